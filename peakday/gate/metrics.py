"""A run record as gated metrics: one value per run, because the run, and not the request, is the unit."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from peakday.gate.slo import Count, Limit

if TYPE_CHECKING:
    import pandas as pd

    from loadgen.record import Run

BLOCKS = 5
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
        quantile = (run.info["quantiles"].get(match[1]) or {}).get(match[2]) or {}
        return None if quantile.get("censored") else _number(quantile.get("value"))
    if metric == "model_calls_per_turn":
        turns = int(run.turns["status"].eq("ok").sum())
        return len(run.calls) / turns if turns else None
    value = (run.info.get("totals") or {}).get(metric)
    return _number(value.get("all") if isinstance(value, Mapping) else value)


def tail(run: Run, metric: str) -> int | None:
    """Samples at or beyond a percentile; None for other metrics."""
    match = _PERCENTILE.fullmatch(metric)
    if match is None or match[2] == "p50":
        return None
    quantile = (run.info["quantiles"].get(match[1]) or {}).get(match[2]) or {}
    return int(quantile.get("n_tail") or 0)


def run_values(run: Run, metrics: Sequence[str]) -> dict[str, float | None]:
    """Several metrics of one run."""
    return {metric: run_value(run, metric) for metric in metrics}


def interaction_costs(run: Run) -> pd.Series[float]:
    """Dollars of each interaction that any priced call belongs to."""
    priced = run.turns.dropna(subset=["cost_usd"])
    costs: pd.Series[float] = priced.groupby("interaction_id")["cost_usd"].sum()
    return costs


def beyond_limit(limit: Limit, runs: Sequence[Run], length_s: float) -> list[Count]:
    """For each run, or each block of a single one, how many turns are beyond a limit.

    A turn that was given up counts as beyond: it waited and was not answered. One that the run's end cut off before it
    reached the limit is unknown and left out; one whose first token came counts with its TTFT. Errors have no latency.
    """
    if len(runs) > 1:
        return [_count(limit, run, run.turns) for run in runs]
    import numpy as np

    run, edges = runs[0], [length_s * (i + 1) / BLOCKS for i in range(BLOCKS - 1)]
    start_s = run.turns["intended_start_s"]
    if limit.column == "cost_usd_per_interaction":  # it is of the block that its first turn is in
        start_s = start_s.groupby(run.turns["interaction_id"]).transform("min")
    number = np.digitize(start_s.fillna(0.0).to_numpy(), edges)
    return [_count(limit, run, run.turns.loc[number == i]) for i in range(BLOCKS)]


def _count(limit: Limit, run: Run, turns: pd.DataFrame) -> Count:
    from loadgen.record import ERROR_STATUSES, WAITED_COLUMN, WAITED_STATUSES

    if limit.metric == "error_ratio":
        bad = turns["status"].isin(ERROR_STATUSES)
        return Count(int(bad.sum()), len(turns))
    if limit.metric == "abandoned_ratio":
        return Count(int(turns["status"].eq("abandoned").sum()), len(turns))
    if limit.column == "cost_usd_per_interaction":
        costs = interaction_costs(run)
        costs = costs[costs.index.isin(turns["interaction_id"])]
        return Count(int((costs > limit.value).sum()), len(costs))
    values = turns[limit.column]
    waited = turns["status"].isin(WAITED_STATUSES)
    began = waited & values.notna() & limit.column.startswith("ttft")
    known = values.notna() & (turns["status"].eq("ok") | began)
    waited_s = turns[WAITED_COLUMN[limit.column]] if limit.column in WAITED_COLUMN else values
    cut_off = turns["status"].eq("censored") & ~(waited_s > limit.value)
    gave_up = waited & ~began & ~cut_off
    return Count(int((values[known] > limit.value).sum() + gave_up.sum()), int(known.sum() + gave_up.sum()))


def worse_by(metric: str, baseline: float, candidate: float) -> float:
    """log ratio in the direction that is worse: > 0 is a loss, whatever the metric.

    Raises:
        ValueError: a value is not above zero, so that it has no ratio.
    """
    if not (baseline > 0 and candidate > 0):
        raise ValueError(f"{metric}: {baseline:g} and {candidate:g} have no ratio")
    ratio = math.log(candidate / baseline)
    return -ratio if metric in LOWER_IS_WORSE else ratio


def _number(value: Any) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
