"""What a plan expects of one model in one region (or in all) at a minute of the event: band, ranges, limits, chain."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass

from capacity.plan import Plan
from capacity.rows.figures import Figure
from capacity.rows.fleet import SupplyPlan
from dashboards.numbers.plan import LEVELS
from facts.reader import models
from peakday.watch.observed import ALL_REGIONS, Key

MINUTE_S = 60.0


@dataclass(frozen=True)
class Limit:
    """What holds calls or tokens a minute. `of`: calls, or tokens as a quota charges them."""

    name: str
    of: str
    per_min: float
    output_burndown_ratio: float = 1.0


@dataclass(frozen=True)
class Planned:
    """Expected of a series. `calls_per_min`: p50, p90, p95 at the minute, or at the peak where no minute is known."""

    key: Key
    calls_per_min: Mapping[str, float]
    ranges: Mapping[str, Figure]
    limits: tuple[Limit, ...]
    then: tuple[str, ...]


def planned(plan: Plan, key: Key, offset_s: float | None) -> Planned | None:
    """What the plan has for a series; None where it has nothing for this model there."""
    model, region = key
    supplies = [s for s in plan.supplies if s.model == model and region in (s.region, ALL_REGIONS)]
    if not supplies:
        return None
    band = [_band(plan, supply, offset_s) for supply in supplies]
    hit = next((rate.ratio for rate in plan.hit_rates if rate.model == model and rate.level == "all"), None)
    ranges = {
        "prompt tokens per call": supplies[0].input_tokens_per_call,
        "answer tokens per call": supplies[0].output_tokens_per_call,
        **({"cache hit ratio": hit} if hit is not None else {}),
    }
    return Planned(
        key=key,
        calls_per_min={level: sum(one[level] for one in band) for level in LEVELS},
        ranges=ranges,
        limits=_limits(supplies),
        then=_then(plan, key),
    )


def _band(plan: Plan, supply: SupplyPlan, offset_s: float | None) -> dict[str, float]:
    demand = next(d for d in plan.demand if d.region == supply.region)
    peak = demand.peak_interactions_per_s.p50
    each = supply.calls_per_interaction or (supply.calls_per_s.p50 / peak if peak else 0.0)
    rates = demand.peak_interactions_per_s.by_name
    if offset_s is not None and demand.offset_s:
        place = max(0, bisect_right(demand.offset_s, offset_s) - 1)
        rates = {level: getattr(demand, f"interactions_per_s_{level}")[place] for level in LEVELS}
    return {level: rates[level] * each * MINUTE_S for level in LEVELS}


def _limits(supplies: list[SupplyPlan]) -> tuple[Limit, ...]:
    """Quotas and fleets, summed over the regions of the series where every one of them has it."""
    parts = [dict(_of_supply(supply)) for supply in supplies]
    names = [name for name in parts[0] if all(name in part for part in parts)]
    fact = models()[supplies[0].model].quota if supplies[0].model in models() else None
    burndown = fact.output_burndown_ratio if fact else 1.0
    return tuple(
        Limit(name, "tokens" if name == "tpm" else "calls", sum(part[name] for part in parts), burndown)
        for name in names
    )


def _of_supply(supply: SupplyPlan) -> list[tuple[str, float]]:
    known = [need for need in supply.quotas if need.kind in ("rpm", "tpm") and need.counts]
    rows = [(need.kind, need.granted) for need in known if need.granted is not None]
    chosen = supply.chosen
    if chosen is not None:
        rows.append(("fleet", chosen.bought_replicas * chosen.rate_per_replica_per_s.mid * MINUTE_S))
    return rows


def _then(plan: Plan, key: Key) -> tuple[str, ...]:
    """Where calls go next by the plan's fallback chain, in its order, each place once."""
    model, region = key
    rows = [row for row in plan.fallback_chain if row.model == model and region in (row.region, ALL_REGIONS)]
    return tuple(dict.fromkeys(f"{row.tier}: {row.to}" if row.to else row.tier for row in rows))
