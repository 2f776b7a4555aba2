"""Does a rate hold its promises? A sequential test: look after every run, and stop as soon as the answer is clear.

A promise such as `ttft_s_p99 <= 1 s` says that at most one turn in a hundred may take longer. Each turn is a hit or a
miss, and a turn that failed, was dropped or given up is a miss whatever the latency of the rest. Turns that overlap are
correlated: the spread between stretches of time says how many independent turns they are worth.

Each side of the answer may be wrong with 5% over all looks, spent in equal parts (Bonferroni); bounds are those of
Clopper and Pearson 1934 at the worth of the turns (the design effect of Kish 1965).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

HELD = "held"
MISSED = "missed"
UNSURE = "unsure"
ALPHA = 0.05
STRETCHES = 5
"""Stretches of equal time that each run is cut into."""
WARM_RATIO = 0.2
WARM_S_MAX = 10.0
"""The start of a run is left out: this share of it, at most so many seconds."""
_SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


@dataclass(frozen=True)
class Promise:
    """`metric` None: answered at all. `allowed` is the share of turns that may miss."""

    name: str
    metric: str | None
    limit: float
    allowed: float


def promises(slo: Mapping[str, float | None]) -> tuple[Promise, ...]:
    """The limits of a scenario's `slo` that are set."""
    found = []
    for name, limit in slo.items():
        if limit is None:
            continue
        metric, _, share = name.rpartition("_")
        if name == "error_ratio":
            found.append(Promise(name, None, limit, limit))
        else:
            found.append(Promise(name, metric, limit, 1 - _SHARES[share]))
    return tuple(found)


def misses(turns: pd.DataFrame, promise: Promise) -> np.ndarray:
    """float64[n]: 1 for a miss, 0 for a hit, NaN where the turn says nothing (it was cut off at the end, too early)."""
    ok = turns["status"].eq("ok").to_numpy(dtype=bool)
    cut = turns["status"].eq("censored").to_numpy(dtype=bool)
    if promise.metric is None:
        return np.where(cut, np.nan, (~ok).astype(np.float64))
    values = turns[promise.metric].to_numpy(dtype=np.float64, na_value=np.nan)
    waited = turns["e2e_s"].to_numpy(dtype=np.float64, na_value=np.nan)
    over = (values > promise.limit) | (
        cut & (promise.metric != "tpot_s") & ~np.isfinite(values) & (waited > promise.limit)
    )
    unknown = ~np.isfinite(values) & ~over & (ok | cut)
    return np.where(unknown, np.nan, (over | ~(ok | cut)).astype(np.float64))


@dataclass(frozen=True)
class Stretch:
    """Turns of one stretch of time that say something, and how many of them missed."""

    missed: int
    turns: int


def stretches(turns: pd.DataFrame, length_s: float, promise: Promise) -> list[Stretch]:
    """A run's stretches after its warm-up."""
    warm_s = min(WARM_S_MAX, WARM_RATIO * length_s)
    at = (turns["intended_start_s"].to_numpy() - warm_s) * STRETCHES / max(length_s - warm_s, 1e-9)
    found = misses(turns, promise)
    known = np.isfinite(found) & (at >= 0)
    number = np.minimum(at[known].astype(int), STRETCHES - 1)
    missed = np.bincount(number, weights=found[known], minlength=STRETCHES)
    counts = np.bincount(number, minlength=STRETCHES)
    return [Stretch(int(m), int(n)) for m, n in zip(missed, counts, strict=True) if n]


def bounds(seen: Sequence[Stretch], alpha: float) -> tuple[float, float]:
    """One-sided lower and upper bound of the share of misses, each wrong with probability alpha."""
    from scipy.special import betaincinv

    missed, turns = sum(one.missed for one in seen), sum(one.turns for one in seen)
    if not turns:
        return 0.0, 1.0
    worth = turns / design_effect(seen)
    missed_worth = missed * worth / turns
    lower = float(betaincinv(missed_worth, worth - missed_worth + 1, alpha)) if missed else 0.0
    upper = float(betaincinv(missed_worth + 1, worth - missed_worth, 1 - alpha)) if missed < turns else 1.0
    return lower, upper


def design_effect(seen: Sequence[Stretch]) -> float:
    """How many correlated turns are worth one independent turn; 1 where the stretches spread no more than chance."""
    counts = np.array([one.turns for one in seen], dtype=np.float64)
    missed = np.array([one.missed for one in seen], dtype=np.float64)
    share, batches = missed.sum() / counts.sum(), len(seen)
    if batches < 2 or not 0 < share < 1:
        return 1.0
    spread = float(((missed - share * counts) ** 2).sum()) * batches / (batches - 1)
    return max(1.0, spread / float(share * (1 - share) * counts.sum()))


def judge(seen: Mapping[Promise, Sequence[Stretch]], alpha: float) -> tuple[str, str]:
    """What all looks so far say of a rate, and why. One broken promise is enough to miss; all must be kept to hold."""
    open_words = ""
    for promise, parts in seen.items():
        lower, upper = bounds(parts, alpha)
        missed, turns = sum(part.missed for part in parts), sum(part.turns for part in parts)
        words = f"{promise.name}: {missed} of {turns} turns missed {promise.limit:g}, allowed {promise.allowed:.1%}"
        if lower > promise.allowed:
            return MISSED, f"{words}, surely over {lower:.1%}"
        if upper > promise.allowed:
            open_words = open_words or f"{words}, may be up to {upper:.1%}"
    return (UNSURE, open_words) if open_words else (HELD, "every SLO held")
