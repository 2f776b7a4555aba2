"""What is left of each fleet and each quota at the peak, at three quantiles of demand."""

from __future__ import annotations

from capacity.rows.fleet import ChipOption, SupplyPlan
from capacity.rows.needs import QuotaNeed
from dashboards.numbers.units import show
from peakday.ready.criteria import peak_per_s
from peakday.ready.evidence import Evidence

SHARES = (0.5, 0.9, 0.99)


def headroom_rows(evidence: Evidence) -> list[list[str]]:
    """A row for each fleet and quota of the plan: 1 - need / limit; needs at p50 grow as demand does."""
    if evidence.plan is None:
        return []
    median = peak_per_s(evidence, 0.5)
    growth = [peak_per_s(evidence, share) / median if median else 1.0 for share in SHARES]
    rows = []
    for supply in evidence.plan.supplies:
        if supply.chosen is not None:
            rows.append(_row(supply, _fleet(supply, supply.chosen), growth, _fleet_words(supply.chosen)))
        for need in supply.quotas:
            if need.counts and need.granted:
                limit = f"{need.kind}: {need.granted:,.0f}"
                rows.append(_row(supply, _quota(need) / need.granted, growth, limit))
    return rows


def _row(supply: SupplyPlan, used_ratio: float, growth: list[float], limit: str) -> list[str]:
    left = [show(1 - used_ratio * factor, "ratio") for factor in growth]
    return [supply.model, supply.region, limit, *left]


def _fleet(supply: SupplyPlan, option: ChipOption) -> float:
    """Share of the bought replicas' rate that the median peak takes."""
    load = option.load_per_s or supply.calls_per_s
    return load.p50 / max(option.bought_replicas * option.rate_per_replica_per_s.mid, 1e-12)


def _fleet_words(option: ChipOption) -> str:
    mark = " SIMULATED" if option.rate_per_replica_per_s.simulated else ""
    return f"{option.bought_replicas} replicas on {option.bought_instances} x {option.instance_type}{mark}"


def _quota(need: QuotaNeed) -> float:
    return max(need.needed_settlement.p50, need.needed_reservation.p50)
