"""The regression gate over measured runs: pairs to ratios, and every way in which a metric may be absent."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from peakday.check.driving import Measured
from peakday.check.fingerprint import differences, host_fingerprint
from peakday.check.metrics import LOWER_IS_WORSE, worse_by
from peakday.check.regression import TAIL_MIN, Decision, decide, log_margin, settled, spend
from peakday.check.settings import Regression
from peakday.check.slo import t_bounds
from peakday.check.verdicts import Line, Verdict

GATE = "regression"
HISTORY_MIN = 8
_FAR = 3.5
"""Robust standard deviations from the median of earlier runs beyond which history mode warns."""
Pair = tuple[Measured, Measured]


def judge_pairs(pairs: Sequence[Pair], gate: Regression, look: int) -> tuple[list[Line], bool]:
    """Lines of every gated metric after so many pairs, and whether the gate may stop.

    Args:
        pairs: (baseline, candidate) runs.
        look: index into gate.looks.
    """
    absent = {line.metric: line for line in _absent(pairs, gate)}
    kept = [metric for metric in gate.metrics if metric not in absent]
    ratios = {metric: [worse_by(metric, *_values(pair, metric)) for pair in pairs] for metric in kept}
    decisions = decide(ratios, gate.metrics, spend(gate.alpha, gate.looks)[look]) if ratios else []
    lines = [*absent.values(), *(_line(decision, pairs) for decision in decisions)]
    broken = any(line.verdict == Verdict.FAIL for line in absent.values())
    return lines, broken or (not absent and settled(decisions))


def _values(pair: Pair, metric: str) -> tuple[float, float]:
    old, new = (one.values.get(metric) for one in pair)
    assert old is not None
    assert new is not None
    return old, new


def _absent(pairs: Sequence[Pair], gate: Regression) -> Iterator[Line]:
    """A line for each metric that cannot be compared, and why; none of them is a pass."""
    for metric in gate.metrics:
        old = [pair[0].values.get(metric) for pair in pairs]
        new = [pair[1].values.get(metric) for pair in pairs]
        tails = [sum(pair[side].tails.get(metric, 0) for pair in pairs) for side in (0, 1)]
        if all(_none(value) for value in old) and all(_none(value) for value in new):
            why = "no run of either side has it" + (": zero traffic" if not _turns(pairs) else "")
            yield Line(GATE, metric, Verdict.INCONCLUSIVE, why)
        elif metric in LOWER_IS_WORSE and all(not value for value in new) and all(old):
            yield Line(GATE, metric, Verdict.FAIL, "the candidate has none of it", _mean(old), 0.0, change=1.0)
        elif any(_none(value) for value in (*old, *new)):
            missing = sum(_none(value) for value in new)
            why = (
                f"vanished: {missing} of {len(new)} candidate runs and {sum(map(_none, old))} of the baseline's lack it"
            )
            yield Line(GATE, metric, Verdict.INCONCLUSIVE, why, _mean(old), _mean(new))
        elif any(metric in pair[0].tails for pair in pairs) and min(tails) < TAIL_MIN:
            why = f"n_tail {min(tails)} of {TAIL_MIN}: too few turns lie that far out; gate p50, or run longer"
            yield Line(GATE, metric, Verdict.INCONCLUSIVE, why, _mean(old), _mean(new))


def _none(value: float | None) -> bool:
    return value is None or not value > 0


def _turns(pairs: Sequence[Pair]) -> int:
    return sum(one.turns for pair in pairs for one in pair)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None


def _line(decision: Decision, pairs: Sequence[Pair]) -> Line:
    old, new = ([pair[side].values.get(decision.metric) for pair in pairs] for side in (0, 1))
    sign = -1.0 if decision.metric in LOWER_IS_WORSE else 1.0
    ends = sorted((sign * decision.lo, sign * decision.hi))
    return Line(
        GATE, decision.metric, decision.verdict, f"{decision.why} ({decision.pairs} pairs)",
        _mean(old), _mean(new), sign * decision.mean, *ends,
    )  # fmt: skip


def judge_records(old: Sequence[Measured], new: Sequence[Measured], gate: Regression) -> list[Line]:
    """Runs of another hour against runs of now: nothing cancels the machine's mood between them.

    So it fails nobody: a threshold against stored runs raises a false alarm in one check of four.
    """
    different = differences(host_fingerprint(old[0].host), host_fingerprint(new[0].host))
    if different:
        return [
            Line(GATE, "environment", Verdict.INCONCLUSIVE, f"the runs are of two machines: {'; '.join(different)}")
        ]
    loads = sorted({one.workload for one in (*old, *new)})
    if len(loads) > 1:
        why = f"the runs were asked for different loads: {' and '.join(loads)}"
        return [Line(GATE, "scenario", Verdict.INCONCLUSIVE, why)]
    lines = []
    for metric, margin in gate.metrics.items():
        values = [[run.values.get(metric) for run in side] for side in (old, new)]
        if any(_none(value) for side in values for value in side) or min(map(len, values)) < 2:
            why = "vanished, or fewer than two runs of a side have it"
            lines.append(Line(GATE, metric, Verdict.INCONCLUSIVE, why, _mean(values[0]), _mean(values[1])))
            continue
        lines.append(_unpaired(metric, margin, values, gate.alpha))
    return lines


def _unpaired(metric: str, margin: float, values: Sequence[Sequence[float | None]], alpha: float) -> Line:
    sign = -1.0 if metric in LOWER_IS_WORSE else 1.0
    logs = [[sign * math.log(value) for value in side if value] for side in values]
    (old, _, high_old), (new, _, high_new) = (t_bounds(side, alpha) for side in logs)
    half = math.hypot(high_old - old, high_new - new)
    mean, limit = new - old, log_margin(metric, margin)
    shown = (math.expm1(sign * x) for x in (mean, mean - half if sign > 0 else mean + half, mean + sign * half))
    ends = (_mean(values[0]), _mean(values[1]), *shown)
    if mean - half > limit / 2 and mean > limit:
        why = "worse than the stored runs; not taken side by side, so confirm it with --against REF"
        return Line(GATE, metric, Verdict.INCONCLUSIVE, why, *ends)
    if mean + half < limit:
        return Line(GATE, metric, Verdict.PASS, f"within its margin of {margin:.0%} of the stored runs", *ends)
    return Line(GATE, metric, Verdict.INCONCLUSIVE, "the runs scatter too much to tell", *ends)


def history(values: Mapping[str, Sequence[float]], now: Mapping[str, float | None]) -> list[Line]:
    """Warnings where a value lies far from earlier runs of the same thing; with fewer than eight it is silent.

    Source: median and median absolute deviation, x 1.4826 to be a standard deviation of a normal law (Hampel 1974).
    """
    lines = []
    for metric, earlier in values.items():
        value = now.get(metric)
        if len(earlier) < HISTORY_MIN or value is None:
            continue
        ranked = sorted(earlier)
        middle = ranked[len(ranked) // 2]
        spread = 1.4826 * sorted(abs(one - middle) for one in ranked)[len(ranked) // 2]
        off = (value - middle) * (-1.0 if metric in LOWER_IS_WORSE else 1.0)
        if spread and off > _FAR * spread:
            why = f"far from the median of {len(earlier)} earlier runs; a warning, no gate"
            lines.append(
                Line("history", metric, Verdict.WARN, why, middle, value, value / middle - 1 if middle else None)
            )
    return lines
