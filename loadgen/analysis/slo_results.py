"""Which SLOs a run met: counts of misses with their bounds, by the same `misses` as the gate and max-rate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from loadgen.run_info import SloResult
from slo.bounds import Bounds, batches_of, share_bounds
from slo.quantiles import Quantile
from slo.slo import Slo, slos_of

if TYPE_CHECKING:
    import pandas as pd

MET = "met"
MISSED = "missed"
UNDECIDED = "not enough turns to tell"
ALPHA = 0.05
"""Each side of the answer may be wrong so often."""


def whole_run(turns: pd.DataFrame, slo: Slo, length_s: float) -> Bounds:
    """The share of turns that missed an SLO, over a run of this length."""
    return share_bounds(batches_of(turns, slo, 0.0, length_s), ALPHA)


def slo_results(
    turns: pd.DataFrame,
    slo: Mapping[str, float | None],
    length_s: float,
    quantiles: Mapping[str, Mapping[str, Quantile]],
) -> tuple[SloResult, ...]:
    """A row for each SLO of the scenario that is set.

    Args:
        slo: limits by `METRIC_pNN` and `error_ratio`.
        quantiles: of the run, to show beside the counts; by metric and `p50`, `p95`, `p99`.
    """
    return tuple(_result(turns, each, length_s, quantiles) for each in slos_of(slo))


def _result(
    turns: pd.DataFrame, slo: Slo, length_s: float, quantiles: Mapping[str, Mapping[str, Quantile]]
) -> SloResult:
    allowed = slo.allowed_ratio
    assert allowed is not None
    bounds = whole_run(turns, slo, length_s)
    result = MISSED if bounds.lower > allowed else MET if bounds.upper <= allowed and bounds.turns else UNDECIDED
    return SloResult(
        name=slo.name,
        limit=slo.limit,
        result=result,
        missed=bounds.missed,
        turns=bounds.turns,
        allowed_ratio=allowed,
        missed_ratio=bounds.ratio,
        missed_ratio_lo=bounds.lower,
        missed_ratio_hi=bounds.upper,
        measured=(quantiles.get(slo.metric) or {}).get(slo.name.removeprefix(f"{slo.metric}_")),
    )
