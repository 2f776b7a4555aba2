"""A run record as gated metrics: one value per run, because the run, and not the request, is the unit."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import SupportsFloat

import pandas as pd

from loadgen.record import Run
from loadgen.run_info import CacheHits

LOWER_IS_WORSE = ("goodput_per_s", "achieved_rate_per_s", "cache_hit_token_ratio")
"""Every other metric is worse when it grows."""
_PERCENTILE = re.compile(r"(\w+)_(p50|p90|p95|p99)")


def run_value(run: Run, metric: str) -> float | None:
    """One metric of one run; None where the run does not have it, or knows only that it is more than so much."""
    match = _PERCENTILE.fullmatch(metric)
    if match and match[1] == "cost_usd_per_interaction":
        costs = interaction_costs(run)
        return float(costs.quantile(int(match[2][1:]) / 100)) if len(costs) else None
    if match:
        quantile = run.info.quantile(match[1], match[2])
        return None if quantile is None or quantile.censored else _number(quantile.value)
    if metric == "model_calls_per_turn":
        turns = int(run.turns["status"].eq("ok").sum())
        return len(run.calls) / turns if turns else None
    value = getattr(run.info.totals, metric, None)
    return _number(value.all if isinstance(value, CacheHits) else value)


def tail(run: Run, metric: str) -> int | None:
    """Samples at or beyond a percentile; None for other metrics."""
    match = _PERCENTILE.fullmatch(metric)
    if match is None or match[2] == "p50":
        return None
    quantile = run.info.quantile(match[1], match[2])
    return quantile.n_tail if quantile else 0


def run_values(run: Run, metrics: Sequence[str]) -> dict[str, float | None]:
    """Several metrics of one run."""
    return {metric: run_value(run, metric) for metric in metrics}


def interaction_costs(run: Run) -> pd.Series[float]:
    """Dollars of each interaction that any priced call belongs to."""
    priced = run.turns.dropna(subset=["cost_usd"])
    costs: pd.Series[float] = priced.groupby("interaction_id")["cost_usd"].sum()
    return costs


def worse_by(metric: str, baseline: float, candidate: float) -> float:
    """log ratio in the direction that is worse: > 0 is a loss, whatever the metric.

    Raises:
        ValueError: a value is not above zero, so that it has no ratio.
    """
    if not (baseline > 0 and candidate > 0):
        raise ValueError(f"{metric}: {baseline:g} and {candidate:g} have no ratio")
    ratio = math.log(candidate / baseline)
    return -ratio if metric in LOWER_IS_WORSE else ratio


def _number(value: SupportsFloat | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
