"""Bench records from files of others and from this machine."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from peakday.errors import CommandError
from peakday.folders import new_folder
from peakday.output import Talk


def import_bench(file: Path, out: Path | None) -> tuple[str, dict[str, Any]]:
    """Import a table into a new record; what was taken, what was flagged and why."""
    from neuron_bench.importers import import_file
    from neuron_bench.record import load_bench

    if not file.is_file():
        raise CommandError(f"{file}: no such file")
    folder = import_file(file, out or new_folder("benches", file.name.split(".")[0], datetime.now(UTC)))
    return summary(load_bench(folder))


def summary(bench: Any) -> tuple[str, dict[str, Any]]:
    """How many cases a record holds, how many of them are flagged, and for what."""
    flags = bench.cases["flags"].dropna()
    flagged = flags[flags != ""]
    reasons = flagged.str.split(";").explode().value_counts().to_dict()
    lines = [f"{bench.path}: {len(bench.cases)} cases, {len(flagged)} flagged and not used"]
    lines += [f"  {count:>5}  {reason}" for reason, count in reasons.items()]
    data = {"bench": str(bench.path), "cases": len(bench.cases), "flagged": len(flagged), "reasons": reasons}
    return "\n".join(lines), data


def run_bench(device: str, model: str, suite: str, out: Path | None, talk: Talk) -> tuple[str, dict[str, Any]]:
    """Measure a model on a device; a line for every case while it goes on."""
    from neuron_bench.record import load_bench
    from neuron_bench.suite import Spec, run

    folder = out or new_folder("benches", f"{model}-{device}-{suite}", datetime.now(UTC))
    run(Spec(device=device, model=model, suite=suite), folder, progress=_say_progress(talk))
    bench = load_bench(folder)
    lines = [f"{bench.path}: {model} on {device}, suite {suite}, provenance measured"]
    for case in bench.cases.to_dict("records"):
        spread = f"[{case['wall_s_p50_lo'] * 1e3:.2f}, {case['wall_s_p50_hi'] * 1e3:.2f}]"
        flags = f"  {case['flags']}" if case["flags"] else ""
        lines.append(
            f"  {case['phase']:<8} batch {case['batch']:<3} p50 {case['wall_s_p50'] * 1e3:8.2f} ms {spread}"
            f"  n {case['n_samples']}{flags}"
        )
    return "\n".join(lines), {"bench": str(bench.path), **bench.info}


def _say_progress(talk: Talk) -> Callable[[int, int, float, str], None]:
    def say(done: int, total: int, seconds_left: float, label: str) -> None:
        talk.say(f"{done}/{total} {label}, about {seconds_left:.0f} s left")

    return say
