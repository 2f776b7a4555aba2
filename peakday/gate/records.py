"""Stored records under the gates: runs as measurements, benches and plans by their own comparison."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from capacity.calibration.backtest import Change, compare_plans
from capacity.plan import load_plan
from loadgen.record import load_run
from neuron_bench.record import load_bench
from neuron_bench.report.compare import compare
from peakday.errors import CommandError
from peakday.gate.builds.runs import BLOCK_METRICS, Measured, load_asked
from peakday.gate.metrics import run_values, tail
from peakday.gate.verdicts import Line, Outcome, Verdict
from peakday.records.folders import find_any, find_pair

GATE = "record"


def measured(path: Path) -> Measured:
    """A stored run as a measurement.

    Raises:
        CommandError: it is INVALID, so no evidence.
    """
    run = load_run(path)
    if not run.info.valid:
        raise CommandError(f"{path}: INVALID, so no evidence: {run.info.reasons[0]}")
    return Measured(
        path=str(path),
        valid=True,
        reasons=(),
        values=run_values(run, BLOCK_METRICS),
        tails={name: count for name in BLOCK_METRICS if (count := tail(run, name)) is not None},
        host=run.info.host or {},
        workload=load_asked(run.info),
        turns=len(run.turns),
    )


def check_records(candidate: str, against: str, margin: float) -> Outcome:
    """A bench or a plan against an earlier one.

    Args:
        margin: share by which chips, cost or a median may grow.

    Raises:
        CommandError: the two are of different kinds, or runs, which need a scenario.
    """
    (kind, old), (other, new) = find_pair(against, candidate)
    if kind != other:
        raise CommandError(f"{against} is in {kind}/ and {candidate} in {other}/: compare records of one kind")
    if kind == "runs":
        raise CommandError("runs are gated under their scenario: peakday check SCENARIO --against RUN,RUN")
    lines = (_benches if kind == "benches" else _plans)(old, new, margin)
    return Outcome(f"{old.name} -> {new.name}", tuple(lines))


def _benches(old: Path, new: Path, margin: float) -> list[Line]:
    comparison = compare(load_bench(old), load_bench(new), threshold_ratio=margin)
    lines = [
        Line(GATE, text.partition(":")[0], Verdict.FAIL, f"nothing may change it: {text}") for text in comparison.exact
    ]
    verdicts = {"slower": Verdict.FAIL, "unclear": Verdict.INCONCLUSIVE}
    whys = {
        "slower": f"median beyond {margin:.0%}, intervals apart",
        "unclear": f"median beyond {margin:.0%}, but the intervals touch or the machine was contended",
        "faster": "faster",
        "same": f"within {margin:.0%}",
    }
    for change in comparison.changes:
        verdict = verdicts.get(change.verdict, Verdict.PASS)
        ratio = change.ratio - 1
        lines.append(Line(GATE, change.case, verdict, whys[change.verdict], change.before_s, change.after_s, ratio))
    lines += [Line(GATE, name, Verdict.INCONCLUSIVE, "vanished: only one bench has it") for name in comparison.only_in]
    return lines


def _plans(old: Path, new: Path, margin: float) -> list[Line]:
    plans = load_plan(old), load_plan(new)
    if plans[0].scenario.hash != plans[1].scenario.hash:
        why = "the plans are of two scenarios, so a difference says nothing about the code"
        return [Line(GATE, "scenario", Verdict.INCONCLUSIVE, why)]
    changes = compare_plans(*plans)
    lines = [*_plan_lines(changes, margin)]
    return lines or [Line(GATE, "plan", Verdict.PASS, f"no figure grew by more than {margin:.0%}")]


def _plan_lines(changes: Sequence[Change], margin: float) -> Iterator[Line]:
    """Of the figures that differ, those that are no pass; words that differ, of an input or a warning, are none."""
    for change in changes:
        before, after = (float(value) if _is_number(value) else None for value in (change.before, change.after))
        if before is None and after is None:
            continue
        if before is None or after is None:
            why = "vanished: the earlier plan has it" if after is None else "new: the earlier plan does not have it"
            yield Line(GATE, change.name, Verdict.INCONCLUSIVE, why, before, after)
        elif _is_cost(change) and after > before * (1 + margin):
            why = f"grew by more than {margin:.0%}" if before else "grew from nothing"
            ratio = after / before - 1 if before else None
            yield Line(GATE, change.name, Verdict.FAIL, why, before, after, ratio)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)


def _is_cost(change: Change) -> bool:
    return any(word in f"{change.name} {change.unit}" for word in ("chips", "USD", "usd", "instances", "cost"))


def is_record(name: str, candidates: Sequence[str] = ("benches", "plans")) -> bool:
    """Whether the first argument of `check` names a bench or a plan and no scenario."""
    try:
        return find_any(name)[0] in candidates
    except CommandError:
        return False
