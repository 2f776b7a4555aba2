"""Series of runs: a sweep of rates for calibration, and the highest rate at which every SLO holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count

from loadgen.analysis.sequential import ALPHA, HELD, MISSED, UNSURE, judge, warm_batches
from loadgen.analysis.totals import failed_codes
from loadgen.job import LoadError
from loadgen.record import Run
from slo.bounds import Batch
from slo.slo import Slo, slos_of

CODES_SHOWN = 3
RATES_MAX = 12
LOOKS_MAX = 6
"""Runs that one rate gets at most before it is left undecided."""
BEYOND_RATIO = 1.5
"""A rate this far above the lowest that missed is tried last: where more load holds again, the search saw noise."""


@dataclass(frozen=True)
class LoadStep:
    """One rate of a sweep. Steps held out are kept from a fit and test it."""

    rate_per_s: float
    held_out: bool


def rate_sweep(low_per_s: float, high_per_s: float, steps: int = 6) -> tuple[LoadStep, ...]:
    """Rates in equal ratios from low to high; every second one is held out, never the ends."""
    if not 0 < low_per_s < high_per_s:
        raise LoadError(f"rate sweep {low_per_s:g}/s to {high_per_s:g}/s: expected 0 < low < high")
    if steps < 3:
        raise LoadError(f"a rate sweep needs 3 load steps or more, not {steps}: two ends to fit, one to test")
    factor = (high_per_s / low_per_s) ** (1 / (steps - 1))
    return tuple(LoadStep(low_per_s * factor**i, 0 < i < steps - 1 and i % 2 == 1) for i in range(steps))


@dataclass(frozen=True)
class Trial:
    """One rate of a search: what came of its SLOs, why, and how many runs it took to know.

    failed_ratio: share of its turns that failed, of those that were offered; `reason` names their codes.
    """

    rate_per_s: float
    result: str
    reason: str
    runs: int
    failed_ratio: float = 0.0


@dataclass(frozen=True)
class MaxRate:
    """The highest rate that held and the lowest above it that missed: the answer lies between. None: no rate did.

    `undecided_per_s` are rates that stayed unsure after all their looks. `monotone` is false when a higher rate held
    than one that missed: the system is noisier than the search is fine.
    """

    held_per_s: float | None
    missed_per_s: float | None
    undecided_per_s: tuple[float, ...]
    monotone: bool
    trials: tuple[Trial, ...]


def max_rate(
    run: Callable[[float, int], Run],
    slo: Mapping[str, float | None],
    low_per_s: float,
    high_per_s: float,
    *,
    resolution_ratio: float = 0.1,
    looks_max: int = LOOKS_MAX,
) -> MaxRate:
    """Bisection in ratios, until the two sides are within the resolution; each rate by a sequential test over runs.

    Args:
        run: makes a run at a rate and returns its record; its second argument numbers the runs, for their seeds.
        slo: limits by `METRIC_pNN` and `error_ratio`.

    Raises:
        LoadError: no SLO to hold, or a run that is invalid twice.
    """
    slos = slos_of(slo)
    if not slos:
        raise LoadError("max-rate needs an SLO; set slo.ttft_s_p99 or another limit in the scenario")
    if not 0 < low_per_s < high_per_s:
        raise LoadError(f"max-rate from {low_per_s:g}/s to {high_per_s:g}/s: expected 0 < from < to")
    trials: list[Trial] = []
    numbers = count()

    def holds(rate_per_s: float) -> bool:
        trials.append(_trial(lambda: _valid_run(run, rate_per_s, numbers), slos, rate_per_s, looks_max))
        return trials[-1].result == HELD

    low, high = low_per_s, high_per_s
    if not holds(low):
        return _answer(trials)
    while holds(high) and len(trials) < RATES_MAX:
        low, high = high, high * 2
    while high / low > 1 + resolution_ratio and len(trials) < RATES_MAX:
        middle = (low * high) ** 0.5
        low, high = (middle, high) if holds(middle) else (low, middle)
    holds(high * BEYOND_RATIO)  # a bisection never looks above what missed: would it hold there, all this was noise
    return _answer(trials)


def _answer(trials: list[Trial]) -> MaxRate:
    rates = {
        result: [trial.rate_per_s for trial in trials if trial.result == result] for result in (HELD, MISSED, UNSURE)
    }
    best = max(rates[HELD], default=None)
    above = [rate for rate in rates[MISSED] if best is None or rate > best]
    monotone = not rates[HELD] or not rates[MISSED] or max(rates[HELD]) < min(rates[MISSED])
    return MaxRate(best, min(above, default=None), tuple(sorted(rates[UNSURE])), monotone, tuple(trials))


def _trial(run: Callable[[], Run], slos: tuple[Slo, ...], rate_per_s: float, looks_max: int) -> Trial:
    """One rate: runs until it is clear whether it holds, or its looks are spent."""
    batches: dict[Slo, list[Batch]] = {slo: [] for slo in slos}
    result, reason, look = UNSURE, "", 0
    offered, codes = 0, Counter[str]()
    while result == UNSURE and look < looks_max:
        made = run()
        for slo, parts in batches.items():
            parts += warm_batches(made.turns, made.info.asked_s or 0.0, slo)
        look += 1
        offered += len(made.turns)
        codes.update(failed_codes(made.turns))
        result, reason = judge(batches, ALPHA / looks_max)
    if result == UNSURE:
        reason += f"; not decided after {looks_max} runs, make them longer"
    failed = codes.total()
    if failed:
        named = ", ".join(f"{code} x {n}" for code, n in codes.most_common(CODES_SHOWN))
        reason += f"; {failed} of {offered} turns failed: {named}"
    return Trial(rate_per_s, result, reason, look, failed / max(offered, 1))


def _valid_run(run: Callable[[float, int], Run], rate_per_s: float, numbers: Iterator[int]) -> Run:
    """A valid run; an invalid one is made once more, and a second one ends the search."""
    for _ in range(2):
        made = run(rate_per_s, next(numbers))
        if made.info.valid:
            return made
    raise LoadError(f"max-rate: no valid run at {rate_per_s:g}/s: {made.info.reasons[0]}")
