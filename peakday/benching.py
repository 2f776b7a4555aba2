"""Bench records from files of others and from this machine."""

from __future__ import annotations

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
