"""Quantiles of latencies of which some are only known to be longer than the time we waited.

A turn that was given up waited at least so long: leaving it out would make an overloaded service look quick. The
product-limit estimator counts it as right-censored. With nothing censored it is the plain order statistic.
Source: Kaplan and Meier 1958; Greenwood's variance; the interval is the binomial one on ranks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from loadgen.run_info import Quantile
from slo.slo import WAITED_COLUMN

if TYPE_CHECKING:
    import pandas as pd

_Z = 1.959963984540054  # two-sided 95% of the normal


def censored_quantile(values_s: np.ndarray, censored: np.ndarray, share: float) -> Quantile:
    """One quantile with its 95% interval.

    Args:
        values_s: float64[n], the latency, or the time waited where censored.
        censored: bool[n], the true latency is longer than the value.
        share: such as 0.99.
    """
    n = len(values_s)
    if n == 0:
        return Quantile(None, None, None, 0, 0)
    order = np.lexsort((censored, values_s))  # at a tie, those that were answered come first
    values, gone = values_s[order], censored[order]
    at_risk = np.arange(n, 0, -1)
    reached = 1.0 - np.cumprod(np.where(gone, 1.0, 1.0 - 1.0 / at_risk))
    half = _Z * _standard_error(gone, at_risk, reached, share)
    value, open_ended = _at(values, gone, reached, share)
    return Quantile(
        value=value,
        lo=_at(values, gone, reached, share - half)[0],
        hi=_at(values, gone, reached, share + half)[0],
        n=n,
        n_tail=int(np.count_nonzero(values >= value)),
        censored=open_ended,
    )


def censored_values(turns: pd.DataFrame, metric: str) -> tuple[np.ndarray, np.ndarray]:
    """A metric's values and which of them are lower bounds: float64[m], bool[m].

    An answered turn counts with its latency, any other as longer than it waited; one that did not wait stays out.
    """
    ok = turns["status"].eq("ok").to_numpy(dtype=bool)
    values = turns[metric].to_numpy(dtype=np.float64, na_value=np.nan)
    waited = WAITED_COLUMN.get(metric)
    if waited is None:
        known = np.isfinite(values)
        return values[known], np.zeros(int(known.sum()), dtype=bool)
    waits = turns[waited].to_numpy(dtype=np.float64, na_value=np.nan)
    began = np.isfinite(values) & metric.startswith("ttft")
    gone = ~ok & np.isfinite(waits) & ~began
    values = np.where(gone, waits, values)
    keep = np.isfinite(values) & (ok | np.isfinite(waits))
    return values[keep], gone[keep]


def _at(values: np.ndarray, gone: np.ndarray, reached: np.ndarray, share: float) -> tuple[float, bool]:
    """The smallest answered value at which the share is reached; else the longest value, which is a lower bound."""
    index = int(np.searchsorted(reached, share - 1e-9))
    if index >= len(values):
        return float(values[-1]), bool(gone[-1])
    return float(values[index]), False


def _standard_error(gone: np.ndarray, at_risk: np.ndarray, reached: np.ndarray, share: float) -> float:
    """Standard error of the share answered by the time of the quantile (Greenwood); binomial when none is censored."""
    upto = (reached <= share) & ~gone & (at_risk > 1)
    greenwood = float(np.sum(1.0 / (at_risk[upto] * (at_risk[upto] - 1.0))))
    if not gone.any():
        return float(np.sqrt(share * (1.0 - share) / len(gone)))
    return (1.0 - share) * float(np.sqrt(greenwood))
