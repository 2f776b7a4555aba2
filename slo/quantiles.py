"""Quantiles of latencies of which some are only known to be longer than the time we waited.

A turn that was given up waited at least so long: leaving it out would make an overloaded service look quick. The
product-limit estimator counts it as right-censored. With nothing censored it is the plain order statistic.
Source: Kaplan and Meier 1958; Greenwood's variance; the interval is the binomial one on ranks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from slo.slo import WAITED_COLUMN

if TYPE_CHECKING:
    import pandas as pd

Z_95 = 1.959963984540054
"""Half-width, in standard deviations, of a 95% interval of a normal distribution."""


@dataclass(frozen=True)
class Quantile:
    """An order statistic with its interval. n_tail counts samples at or above it; censored: print `>= value`."""

    value: float | None
    lo: float | None = None
    hi: float | None = None
    n: int = 0
    n_tail: int = 0
    censored: bool = False


def censored_values(turns: pd.DataFrame, metric: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A metric's values, which of them are lower bounds, and which turns they are of.

    An answered turn counts with its latency, any other as longer than it waited; one that did not wait stays out.

    Returns:
        values float64[m] and censored bool[m], in the order of the turns; counts bool[n] of the turns.
    """
    values = turns[metric].to_numpy(dtype=np.float64, na_value=np.nan)
    waited = WAITED_COLUMN.get(metric)
    if waited is None:
        counts = np.isfinite(values)
        return values[counts], np.zeros(int(counts.sum()), dtype=bool), counts
    ok = turns["status"].eq("ok").to_numpy(dtype=bool)
    waits = turns[waited].to_numpy(dtype=np.float64, na_value=np.nan)
    began = np.isfinite(values) & metric.startswith("ttft")
    gone = ~ok & np.isfinite(waits) & ~began
    values = np.where(gone, waits, values)
    counts = np.isfinite(values) & (ok | np.isfinite(waits))
    return values[counts], gone[counts], counts


def quantile(values: np.ndarray, censored: np.ndarray, share: float) -> Quantile:
    """One of `quantiles`."""
    return quantiles(values, censored, (share,))[0]


def quantiles(values: np.ndarray, censored: np.ndarray, shares: Iterable[float]) -> list[Quantile]:
    """Quantiles with their 95% intervals. One that only censored values reach is `censored`: at least this.

    Args:
        values: float64[n], the latency, or the time waited where censored.
        censored: bool[n], the true latency is longer than the value.
        shares: 0.95 for p95.
    """
    n, shares = len(values), tuple(shares)
    if n == 0:
        return [Quantile(value=None, lo=None, hi=None, n=0, n_tail=0) for _ in shares]
    if not censored.any():
        return _uncensored(values, shares)
    ranked, gone = _ranked(values, censored)
    at_risk = np.arange(n, 0, -1)
    reached = 1.0 - np.cumprod(np.where(gone, 1.0, 1.0 - 1.0 / at_risk))
    return [_quantile(ranked, gone, at_risk, reached, share) for share in shares]


def _uncensored(values: np.ndarray, shares: Iterable[float]) -> list[Quantile]:
    """As `quantiles`, where every value is known: order statistics, of which only the needed ones are put in place."""
    n = len(values)
    wanted = [
        [_rank(n, at) for at in (share, share - half, share + half)]
        for share in shares
        for half in (Z_95 * float(np.sqrt(share * (1.0 - share) / n)),)
    ]
    ranked = np.partition(values, sorted({rank for ranks in wanted for rank in ranks}))
    values_at = [[float(ranked[rank]) for rank in ranks] for ranks in wanted]
    return [
        Quantile(value=value, lo=lo, hi=hi, n=n, n_tail=int(np.count_nonzero(values >= value)), censored=False)
        for value, lo, hi in values_at
    ]


def _rank(n: int, share: float) -> int:
    """The first of n values in order at which a share of them is reached."""
    reached = share - 1e-9
    rank = min(max(int(np.ceil(reached * n)) - 1, 0), n - 1)
    while rank > 0 and 1.0 - (1.0 - rank / n) >= reached:
        rank -= 1
    while rank < n - 1 and 1.0 - (1.0 - (rank + 1) / n) < reached:
        rank += 1
    return rank


def _ranked(values: np.ndarray, censored: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values in order, and which of them are censored; among equal ones those that are not come first."""
    ended, waited = np.sort(values[~censored]), np.sort(values[censored])
    places = np.searchsorted(ended, waited, side="right")
    return np.insert(ended, places, waited), np.insert(np.zeros(len(ended), dtype=bool), places, True)


def _quantile(ranked: np.ndarray, gone: np.ndarray, at_risk: np.ndarray, reached: np.ndarray, share: float) -> Quantile:
    n = len(ranked)
    half = Z_95 * _standard_error(gone, at_risk, reached, share)
    index = [min(int(np.searchsorted(reached, at - 1e-9)), n) for at in (share, share - half, share + half)]
    value, lo, hi = (float(ranked[min(i, n - 1)]) for i in index)
    n_tail = n - int(np.searchsorted(ranked, value, side="left"))
    return Quantile(value=value, lo=lo, hi=hi, n=n, n_tail=n_tail, censored=bool(index[0] >= n and gone[-1]))


def _standard_error(gone: np.ndarray, at_risk: np.ndarray, reached: np.ndarray, share: float) -> float:
    """Standard error of the share answered by the time of the quantile (Greenwood)."""
    upto = (reached <= share) & ~gone & (at_risk > 1)
    return (1.0 - share) * float(np.sqrt(np.sum(1.0 / (at_risk[upto] * (at_risk[upto] - 1.0)))))
