"""Series of runs: a ladder of rates for calibration, and the highest rate at which every SLO holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from loadgen.job import LoadError

TAIL_MIN = 10
"""Samples a quantile needs at or above it before a search believes it."""
HELD = "held"
MISSED = "missed"
UNSURE = "unsure"


@dataclass(frozen=True)
class Rung:
    """One rate of a ladder. Held-out rungs are kept from a fit and judge it."""

    rate_per_s: float
    held_out: bool


def ladder(low_per_s: float, high_per_s: float, rungs: int = 6) -> tuple[Rung, ...]:
    """Rates in equal ratios from low to high; every second one is held out, never the ends."""
    if not 0 < low_per_s < high_per_s:
        raise LoadError(f"ladder {low_per_s:g}/s to {high_per_s:g}/s: expected 0 < low < high")
    if rungs < 3:
        raise LoadError(f"a ladder needs 3 rungs or more, not {rungs}: two ends to fit and one between to judge")
    step = (high_per_s / low_per_s) ** (1 / (rungs - 1))
    return tuple(Rung(low_per_s * step**i, 0 < i < rungs - 1 and i % 2 == 1) for i in range(rungs))


@dataclass(frozen=True)
class Trial:
    """One run of a search: what came of its SLOs, and why."""

    rate_per_s: float
    result: str
    reason: str


@dataclass(frozen=True)
class MaxRate:
    """The highest rate that held and the lowest that did not: the answer lies between. None: not seen on that side.

    `monotone` is false when a higher rate held than one that missed: the system is noisier than the search is fine.
    """

    held_per_s: float | None
    missed_per_s: float | None
    monotone: bool
    trials: tuple[Trial, ...]


def max_rate(
    run: Callable[[float], Mapping[str, Any]],
    slo: Mapping[str, float | None],
    low_per_s: float,
    high_per_s: float,
    *,
    resolution_ratio: float = 0.1,
    runs_max: int = 12,
) -> MaxRate:
    """Bisection over short runs, in ratios, until the two sides are within the resolution.

    Args:
        run: makes a run at a rate and returns its run.json.
        slo: limits by `METRIC_pNN` and `error_ratio`.

    Raises:
        LoadError: no SLO to hold, or a run that is invalid twice.
    """
    if not any(limit is not None for limit in slo.values()):
        raise LoadError("max-rate needs an SLO; set slo.ttft_s_p99 or another limit in the scenario")
    trials: list[Trial] = []

    def holds(rate_per_s: float) -> bool:
        trials.append(_trial(run, slo, rate_per_s))
        return trials[-1].result == HELD

    low, high = low_per_s, high_per_s
    if not holds(low):
        return _answer(trials)
    while holds(high) and len(trials) < runs_max:
        low, high = high, high * 2
    while high / low > 1 + resolution_ratio and len(trials) < runs_max:
        middle = (low * high) ** 0.5
        low, high = (middle, high) if holds(middle) else (low, middle)
    return _answer(trials)


def _answer(trials: list[Trial]) -> MaxRate:
    held = [trial.rate_per_s for trial in trials if trial.result == HELD]
    missed = [trial.rate_per_s for trial in trials if trial.result != HELD]
    best = max(held, default=None)
    above = [rate for rate in missed if best is None or rate > best]
    monotone = not held or not missed or max(held) < min(missed)
    return MaxRate(best, min(above, default=None), monotone, tuple(trials))


def _trial(run: Callable[[float], Mapping[str, Any]], slo: Mapping[str, float | None], rate_per_s: float) -> Trial:
    """One rate; an invalid run is made once more, and a second one ends the search."""
    info = run(rate_per_s)
    if not info["verdict"]["valid"]:
        info = run(rate_per_s)
    if not info["verdict"]["valid"]:
        raise LoadError(f"max-rate: no valid run at {rate_per_s:g}/s: {info['verdict']['reasons'][0]}")
    result, reason = judge(info, slo)
    return Trial(rate_per_s, result, reason)


def judge(info: Mapping[str, Any], slo: Mapping[str, float | None]) -> tuple[str, str]:
    """Whether a run held its SLOs. Failures and drops count as misses whatever the latency of the rest."""
    totals = info["totals"]
    lost = totals["failed"] + totals["dropped"] + totals["abandoned"]
    allowed = slo.get("error_ratio") or 0.0
    if totals["asked"] and lost / totals["asked"] > allowed:
        return MISSED, f"{lost} of {totals['asked']} turns failed, were dropped or given up; allowed {allowed:.1%}"
    for name, limit in slo.items():
        if limit is None or name == "error_ratio":
            continue
        metric, _, share = name.rpartition("_")
        found = info["quantiles"][metric][share]
        if found["value"] is None or found["n_tail"] < TAIL_MIN:
            return UNSURE, f"{name}: {found['n_tail']} turns in the tail, {TAIL_MIN} needed; make the runs longer"
        if found["censored"] or found["value"] > limit:
            return MISSED, f"{name} is {found['value']:.3g}, limit {limit:g}"
    return HELD, "every SLO held"
