"""How sure a share of misses is: counts by batch, their design effect, and exact one-sided bounds.

Turns that overlap in time are correlated, so misses come in bursts. The spread between batches says how many
independent turns the counted ones are worth (the design effect), and the bounds are those of that many.
Sources: Clopper and Pearson 1934; Kish 1965, section 5.4 (design effect); Cochran 1977, section 3.12 (share of clusters
of unequal size, as a ratio estimator).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from slo.quantiles import Z_95
from slo.slo import Slo, misses

if TYPE_CHECKING:
    import pandas as pd

BATCHES = 5
"""Batches of equal time that a run is cut into."""


@dataclass(frozen=True)
class Batch:
    """Turns of one run, or of one piece of a run, that tell, and how many of them missed."""

    missed: int
    turns: int


@dataclass(frozen=True)
class Bounds:
    """Share of misses with its one-sided lower and upper bound, and how many turns are worth one independent turn."""

    ratio: float | None
    lower: float
    upper: float
    design_effect: float
    missed: int
    turns: int


def one_batch(turns: pd.DataFrame, slo: Slo) -> Batch:
    """All turns that tell, as one batch."""
    missed = misses(turns, slo)
    return Batch(int(np.nansum(missed)), int(np.isfinite(missed).sum()))


def batches_of(turns: pd.DataFrame, slo: Slo, start_s: float, end_s: float, number: int = BATCHES) -> list[Batch]:
    """Turns due in [start_s, end_s) cut into batches of equal time; batches without a turn that tells are left out."""
    at = (turns["intended_start_s"].to_numpy(dtype=np.float64, na_value=0.0) - start_s) * number
    at = at / max(end_s - start_s, 1e-9)
    missed = misses(turns, slo)
    known = np.isfinite(missed) & (at >= 0)
    index = np.minimum(at[known].astype(int), number - 1)
    missed_by = np.bincount(index, weights=missed[known], minlength=number)
    turns_by = np.bincount(index, minlength=number)
    return [Batch(int(m), int(n)) for m, n in zip(missed_by, turns_by, strict=True) if n]


def design_effect(batches: Sequence[Batch]) -> float:
    """How many correlated turns are worth one independent turn; 1 where batches spread no more than chance."""
    known = [batch for batch in batches if batch.turns]
    turns = np.array([batch.turns for batch in known], dtype=np.float64)
    missed = np.array([batch.missed for batch in known], dtype=np.float64)
    if len(known) < 2 or not 0 < missed.sum() < turns.sum():
        return 1.0
    ratio = missed.sum() / turns.sum()
    spread = float(((missed - ratio * turns) ** 2).sum()) * len(known) / (len(known) - 1)
    return max(1.0, spread / float(ratio * (1 - ratio) * turns.sum()))


def share_bounds(batches: Sequence[Batch], alpha: float) -> Bounds:
    """Share of misses with one-sided bounds, each wrong with probability alpha."""
    from scipy.special import betaincinv

    missed, turns = sum(batch.missed for batch in batches), sum(batch.turns for batch in batches)
    if not turns:
        return Bounds(None, 0.0, 1.0, 1.0, 0, 0)
    effect = design_effect(batches)
    k, n = missed / effect, turns / effect
    lower = float(betaincinv(k, n - k + 1, alpha)) if missed else 0.0
    upper = float(betaincinv(k + 1, n - k, 1 - alpha)) if missed < turns else 1.0
    return Bounds(missed / turns, lower, upper, effect, missed, turns)


def wilson(good: int, n: int) -> tuple[float, float]:
    """95% interval of a share; n >= 1. Source: Wilson (1927), score interval."""
    share, z2 = good / n, Z_95**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z_95 / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def turns_to_show(allowed_ratio: float, alpha: float) -> int:
    """Turns without a miss that show a share of at most `allowed_ratio`: the smallest n with (1-a)^n <= alpha."""
    return math.ceil(math.log(alpha) / math.log1p(-allowed_ratio)) if allowed_ratio < 1 else 1


def mean_bounds(values: Sequence[float], alpha: float) -> tuple[float, float, float]:
    """Mean, and its one-sided lower and upper t bounds, each at `alpha`; infinite for a single value."""
    from scipy.special import stdtrit

    n = len(values)
    mean = math.fsum(values) / n
    if n < 2:
        return mean, -math.inf, math.inf
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    half = float(stdtrit(n - 1, 1 - alpha)) * spread / math.sqrt(n)
    return mean, mean - half, mean + half
