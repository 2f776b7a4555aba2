"""Two records of a kind side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from capacity.calibration.backtest import compare_plans
from capacity.plan import load_plan
from dashboards.html.compare import APART, TOO_FEW, pairs_of, write_compare
from dashboards.numbers.bridge import bridge
from dashboards.numbers.run import run_numbers
from loadgen.record import load_run
from neuron_bench.record import load_bench
from neuron_bench.report.compare import compare
from peakday.errors import CommandError
from peakday.records.folders import find_pair
from peakday.records.reports import load_any


def compare_records(before: str, after: str, page: Path | None) -> tuple[str, dict[str, object]]:
    """What changed from one record to another of its kind; as a page too where asked.

    Raises:
        CommandError: the two are of different kinds.
    """
    (kind, old), (other, new) = find_pair(before, after)
    if kind != other:
        raise CommandError(f"{before} is in {kind}/ and {after} in {other}/: only records of one kind can be compared")
    if old.resolve() == new.resolve():
        raise CommandError(f"{before} and {after} are one record, {old.name}: name two, such as latest~1 latest")
    text, data = _COMPARERS[kind](old, new)
    if page is not None:
        text += f"\n\n{write_compare(page, load_any(str(old))[0], load_any(str(new))[0])}"
    return text, data


def _runs(old: Path, new: Path) -> tuple[str, dict[str, object]]:
    """Every number that both runs have and that differs; apart: their intervals do not touch."""
    runs = load_run(old), load_run(new)
    rows: list[dict[str, object]] = []
    for pair in pairs_of(run_numbers(runs[0]), run_numbers(runs[1])):
        was, number, verdict = pair.a, pair.b, pair.verdict
        if was.value is None or number.value is None or was.value == number.value:
            continue
        apart, few = verdict == APART, verdict == TOO_FEW
        rows.append(
            {"name": number.label, "unit": number.unit, "before": was.value, "after": number.value, "apart": apart}
            | ({"too_few_samples": True} if few else {})
        )
    lines = [
        f"{row['name']:<44} {row['before']:>12.6g} -> {row['after']:>12.6g} {row['unit']}{_mark(row)}" for row in rows
    ]
    invalid = [run.run_id for run in runs if not run.info.valid]
    head = [f"INVALID, so no evidence: {', '.join(invalid)}"] if invalid else []
    return "\n".join([*head, *lines]), {"invalid": invalid, "changes": rows}


def _mark(row: Mapping[str, object]) -> str:
    return f"  {APART}" if row["apart"] else f"  {TOO_FEW}" if "too_few_samples" in row else ""


def _plans(old: Path, new: Path) -> tuple[str, dict[str, object]]:
    plans = load_plan(old), load_plan(new)
    changes, steps = compare_plans(*plans), bridge(*plans)
    lines = [steps.sentence]
    lines += [
        f"{c.name}: {_shown(c.before)} -> {_shown(c.after)} {c.unit}{'  ranges apart' if c.apart else ''}"
        for c in changes
    ]
    return "\n".join(lines), {"bridge": asdict(steps), "changes": [asdict(change) for change in changes]}


def _shown(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.6g}"


def _benches(old: Path, new: Path) -> tuple[str, dict[str, object]]:
    comparison = compare(load_bench(old), load_bench(new))
    lines = [f"changed although nothing may: {line}" for line in comparison.exact]
    lines += [
        f"{c.case:<40} {c.before_s:.6g} s -> {c.after_s:.6g} s  x{c.ratio:.3f} {c.verdict}" for c in comparison.changes
    ]
    lines += [f"without a partner: {name}" for name in comparison.only_in]
    return "\n".join(lines) or "no case in common", asdict(comparison)


_COMPARERS = {"runs": _runs, "plans": _plans, "benches": _benches}
