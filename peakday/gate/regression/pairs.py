"""The regression gate over measured runs: pairs to ratios, and every way in which a metric may be absent."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from peakday.gate.builds.runs import Measured
from peakday.gate.fingerprint import differences, host_fingerprint
from peakday.gate.metrics import LOWER_IS_WORSE, worse_by
from peakday.gate.regression.decision import TAIL_MIN, Decision, decide, log_margin, settled, spend
from peakday.gate.settings import Regression
from peakday.gate.verdicts import Line, Verdict
from slo.bounds import mean_bounds
from slo.slo import RATIOS

GATE = "regression"
HISTORY_MIN = 8
_FAR = 3.5
"""Robust standard deviations from the median of earlier runs beyond which history mode warns."""
_SPREAD_MIN = 0.01
"""Least standard deviation taken, as a share of the median: equal runs do not show such precision."""
Pair = tuple[Measured, Measured]


def judge_pairs(pairs: Sequence[Pair], gate: Regression, look: int) -> tuple[list[Line], bool]:
    """Lines of every gated metric after so many pairs, and whether the gate may stop.

    Args:
        pairs: (baseline, candidate) runs.
        look: index into gate.looks.
    """
    absent = {line.metric: line for line in _absent(pairs, gate)}
    kept = [metric for metric in gate.metrics if metric not in absent]
    ratios = {metric: [_worse_by(metric, *pair) for pair in pairs] for metric in kept}
    decisions = decide(ratios, gate.metrics, spend(gate.alpha, gate.looks)[look]) if ratios else []
    lines = [*absent.values(), *(_line(decision, pairs) for decision in decisions)]
    broken = any(line.verdict == Verdict.FAIL for line in absent.values())
    return lines, broken or (not absent and settled(decisions))


def _worse_by(metric: str, baseline: Measured, candidate: Measured) -> float:
    old, new = (_positive(one, metric) for one in (baseline, candidate))
    assert old is not None
    assert new is not None
    return worse_by(metric, old, new)


def _positive(one: Measured, metric: str) -> float | None:
    """A value that has a ratio. A share of turns that is none of so many is half a turn of so many.

    Source: half a turn added to both sides of the ratio keeps a ratio of shares finite (Haldane 1956, Anscombe 1956).
    """
    value = one.values.get(metric)
    if value is not None and metric in RATIOS and one.turns:
        return (value * one.turns + 0.5) / (one.turns + 1)
    return value


def _absent(pairs: Sequence[Pair], gate: Regression) -> Iterator[Line]:
    """A line for each metric that has no ratios, and why; none of them is a pass."""
    for metric in gate.metrics:
        builds = [[pair[build] for pair in pairs] for build in (0, 1)]
        absence = _without_ratio(metric, *builds) or _thin_tail(metric, *builds)
        if absence is not None:
            verdict, why = absence
            old, new = (_mean([one.values.get(metric) for one in build]) for build in builds)
            change = new / old - 1 if old and new is not None else None
            yield Line(GATE, metric, verdict, why, old, new, change)


def pooled_tails(pairs: Sequence[Pair]) -> dict[str, list[int]]:
    """Turns at or beyond each percentile that was measured: over all runs of the baseline, and of the candidate."""
    metrics = sorted({metric for pair in pairs for one in pair for metric in one.tails})
    return {metric: [sum(pair[build].tails.get(metric, 0) for pair in pairs) for build in (0, 1)] for metric in metrics}


def _without_ratio(metric: str, before: Sequence[Measured], after: Sequence[Measured]) -> tuple[Verdict, str] | None:
    old, new = ([_positive(one, metric) for one in build] for build in (before, after))
    lacking = [sum(value is None for value in build) for build in (old, new)]
    if lacking == [len(old), len(new)]:
        offered = any(one.turns for one in (*before, *after))
        return Verdict.INCONCLUSIVE, f"no run of either build has it{'' if offered else ': zero traffic'}"
    if any(lacking):
        why = (
            f"vanished, or known to be beyond a bound only: {lacking[1]} of {len(new)} candidate runs and {lacking[0]}"
        )
        return Verdict.INCONCLUSIVE, f"{why} of the baseline's lack it"
    if all(old) and all(new):
        return None
    if metric in LOWER_IS_WORSE and all(old) and not any(new):
        return Verdict.FAIL, "the candidate has none of it"
    if metric not in LOWER_IS_WORSE and all(new) and not any(old):
        return Verdict.FAIL, "the baseline had none of it"
    return Verdict.INCONCLUSIVE, "it is zero in runs of either build, and zero has no ratio"


def _thin_tail(metric: str, *builds: Sequence[Measured]) -> tuple[Verdict, str] | None:
    """Too few turns at or beyond a percentile, over the pooled runs of a build."""
    if not any(metric in one.tails for build in builds for one in build):
        return None
    fewest = min(sum(one.tails.get(metric, 0) for one in build) for build in builds)
    if fewest >= TAIL_MIN:
        return None
    why = f"n_tail {fewest} of {TAIL_MIN}: too few turns lie that far out; gate p50, or run longer"
    return Verdict.INCONCLUSIVE, why


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None


def _line(decision: Decision, pairs: Sequence[Pair]) -> Line:
    old, new = ([pair[build].values.get(decision.metric) for pair in pairs] for build in (0, 1))
    sign = -1.0 if decision.metric in LOWER_IS_WORSE else 1.0
    ends = sorted((sign * decision.lo, sign * decision.hi))
    why, change = f"{decision.why} ({decision.pairs} pairs)", sign * decision.mean
    return Line(GATE, decision.metric, decision.verdict, why, _mean(old), _mean(new), change, *ends)


def judge_records(old: Sequence[Measured], new: Sequence[Measured], gate: Regression) -> list[Line]:
    """Runs of another hour against runs of now: nothing cancels the machine's mood between them.

    So it fails nobody: a threshold against stored runs raises a false alarm in one check of four.
    """
    first, *others = (host_fingerprint(one.host) for one in (*old, *new))
    different = dict.fromkeys(text for other in others for text in differences(first, other))
    if different:
        why = f"the runs are of several machines: {'; '.join(different)}"
        return [Line(GATE, "environment", Verdict.INCONCLUSIVE, why)]
    loads = sorted({one.workload for one in (*old, *new)})
    if len(loads) > 1:
        why = f"the runs were asked for different loads: {' and '.join(loads)}"
        return [Line(GATE, "scenario", Verdict.INCONCLUSIVE, why)]
    return [_stored_line(metric, margin, (old, new), gate.alpha) for metric, margin in gate.metrics.items()]


def _stored_line(metric: str, margin: float, builds: tuple[Sequence[Measured], ...], alpha: float) -> Line:
    values = [[_positive(run, metric) for run in build] for build in builds]
    why = ""
    if any(not value for build in values for value in build) or min(map(len, values)) < 2:
        why = "vanished, or fewer than two runs of a build have it"
    elif thin := _thin_tail(metric, *builds):
        why = thin[1]
    if why:
        shown = (_mean([run.values.get(metric) for run in build]) for build in builds)
        return Line(GATE, metric, Verdict.INCONCLUSIVE, why, *shown)
    return _unpaired(metric, margin, values, alpha)


def _unpaired(metric: str, margin: float, values: Sequence[Sequence[float | None]], alpha: float) -> Line:
    sign = -1.0 if metric in LOWER_IS_WORSE else 1.0
    logs = [[sign * math.log(value) for value in build if value] for build in values]
    (old, _, high_old), (new, _, high_new) = (mean_bounds(build, alpha) for build in logs)
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
        if off > _FAR * max(spread, _SPREAD_MIN * abs(middle)):
            why = f"far from the median of {len(earlier)} earlier runs; a warning, no gate"
            lines.append(
                Line("history", metric, Verdict.WARN, why, middle, value, value / middle - 1 if middle else None)
            )
    return lines
