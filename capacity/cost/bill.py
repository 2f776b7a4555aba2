"""What the event costs: by part, at list and net, as a range, and what of it an interaction carries."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from capacity.cost.interaction import METERED, CallCosts, Origins, call_costs, cost_lines
from capacity.cost.prices import Prices, load_prices
from capacity.fleet.inputs import PlanInputs
from capacity.fleet.outcome import PLANNER_QUERIES, Base, Multipliers, spent_usd
from capacity.fleet.supply import Sized, self_hosted_usd_per_call
from capacity.rows.figures import Figure, Interval, range_around, weakest
from capacity.rows.fleet import SupplyPlan
from capacity.rows.money import BackgroundStream, CostLine, ServiceTier
from facts.price_variants import TIERS, tier_variant
from scenarios.demand import INTERACTIONS

DEMAND_RATIO_MIN = 0.01
"""A draw without demand has no cost per interaction: below 1% of the median it is held there."""
ELSEWHERE = " served on "
EMPTIED = " after a fault emptied its cache"
HEADLINE_QUANTILES = (0.1, 0.9)
HEADLINE_CONFIDENCE = 0.8
TIER_CAVEATS = {
    "priority": "dearer; for calls that must be answered first when Bedrock is short of capacity",
    "flex": "waits when Bedrock is busy, as at a peak: for work that nobody waits for",
    "latency_optimized": "its own quota; beyond it calls are served and billed as standard",
}


@dataclass(frozen=True)
class Bill:
    """Dollars of the event; parts and list_parts have the same keys."""

    lines: tuple[CostLine, ...]
    parts: dict[str, float]
    list_parts: dict[str, float]
    event: Figure


def bill(
    inputs: PlanInputs,
    base: Base,
    sized: Sequence[Sized],
    supplies: Sequence[SupplyPlan],
    elsewhere_usd_per_call: Mapping[str, float],
    fleets_range: Interval,
) -> Bill:
    """Cost lines, the event's cost by part, and the event's cost as a range.

    fleets_range: what fleets of other seeds cost; the event's range holds it beside the draws.
    """
    origin, public = inputs.calls_provenance, load_prices(None)
    provenance = weakest([origin, *(item.provenance for item in sized)])
    per_call, at_list_per_call = (
        self_hosted_usd_per_call(inputs, supplies, at_list=at_list) | dict(elsewhere_usd_per_call)
        for at_list in (False, True)
    )
    with_silicon = origin if origin == "assumed" and provenance != "simulated" else provenance
    origins = Origins(origin, with_silicon, inputs.calls.source)
    lines = cost_lines(inputs.calls, _costs(inputs, inputs.prices, per_call), origins)
    at_list = cost_lines(inputs.calls, _costs(inputs, public, at_list_per_call), origins)
    lines = tuple(
        replace(line, per_interaction_list_usd=other.per_interaction_usd.mid)
        for line, other in zip(lines, at_list, strict=True)
    )
    middle = float(spent_usd(base, Multipliers())[0])
    low, high = np.quantile(spent_usd(base, inputs.draws), HEADLINE_QUANTILES)
    low = middle - math.hypot(max(0.0, middle - low), base.fleets_usd - fleets_range.low)
    high = middle + math.hypot(max(0.0, high - middle), fleets_range.high - base.fleets_usd)
    event = Figure(
        middle,
        *range_around(middle, max(0.0, float(low)), float(high)),
        "USD",
        origin if origin == "assumed" and not sized else provenance,
        "list prices of facts/ less stated discounts; fleets as bought and held (plan.purchase), tokens at the median "
        "demand; range: 80% of draws of the tokens, and what fleets of other seeds cost",
        HEADLINE_CONFIDENCE,
        simulated=provenance == "simulated",
    )
    parts = _parts(base, supplies, at_list=False)
    list_parts = _parts(
        inputs.base(base.own, public, {k: v for k, v in base.bedrock.items() if ELSEWHERE in k or EMPTIED in k}),
        supplies,
        at_list=True,
    )
    return Bill(_with_joint_range(inputs, base, lines), parts, list_parts, event)


def _costs(inputs: PlanInputs, prices: Prices, own: dict[str, float]) -> CallCosts:
    extra = inputs.scenario.capacity.resilience.retry_extra_attempts
    return call_costs(inputs.calls, prices.models, own, inputs.features(), extra)


def _parts(base: Base, supplies: Sequence[SupplyPlan], *, at_list: bool) -> dict[str, float]:
    features = base.bedrock[METERED].features if METERED in base.bedrock else 0.0
    tokens = float(base.bedrock_usd(Multipliers())[0]) - features
    metered = {"guardrails and web search": features} if features else {}
    beyond: dict[str, float] = {}
    for choice in base.own:
        usd = float(choice.overflow_usd(Multipliers())[0])
        if choice.overflow is not None and usd > 0:
            key = f"{choice.service.model} beyond its fleet, on {choice.overflow.target}"
            beyond[key] = beyond.get(key, 0.0) + usd
    silicon = {
        f"self-hosted {supply.model} {supply.region}": chosen.event_list_usd if at_list else chosen.event_usd
        for supply in supplies
        if (chosen := supply.chosen)
    }
    return {"Bedrock tokens": tokens, **metered, **beyond, **silicon}


def _with_joint_range(inputs: PlanInputs, base: Base, lines: tuple[CostLine, ...]) -> tuple[CostLine, ...]:
    """Cost lines whose ranges hold the joint draws too: bought fleets and drawn tokens over drawn interactions."""
    chat = replace(base, own=[choice for choice in base.own if choice.stream == INTERACTIONS])
    middle = float(spent_usd(chat, Multipliers())[0])
    if middle == 0:
        return lines
    interactions = np.maximum(inputs.draws.demand[INTERACTIONS], DEMAND_RATIO_MIN)
    drawn = spent_usd(chat, inputs.draws) / interactions / middle
    low, high = (float(value) for value in np.quantile(drawn, HEADLINE_QUANTILES))

    def widen(figure: Figure) -> Figure:
        return replace(figure, low=min(figure.low, figure.mid * low), high=max(figure.high, figure.mid * high))

    return tuple(
        replace(line, per_interaction_usd=widen(line.per_interaction_usd), per_turn_usd=widen(line.per_turn_usd))
        for line in lines
    )


def tier_options(inputs: PlanInputs) -> tuple[ServiceTier, ...]:
    """What each Bedrock model's tokens of the event cost on every tier with a published price, all calls on it."""
    rows = []
    scale = inputs.interactions_total / inputs.calls.interactions
    for name in inputs.model_names:
        prices, mask = inputs.prices.models[name].prices, inputs.calls.of(name)
        if prices is None or not mask.any():
            continue
        planned = ["default"] if inputs.calls.tier is None else sorted(set(inputs.calls.tier[mask].tolist()))
        for tier in TIERS:
            variant = tier_variant(prices.price_key, tier)
            if variant is None:
                continue
            only = replace(inputs.calls, tier=np.where(mask, tier, "default").astype(object))
            costs = call_costs(only, inputs.prices.models, dict.fromkeys(_models_without_price(inputs), 0.0))
            rows.append(
                ServiceTier(
                    model=name,
                    tier=tier,
                    usd=float(costs.total_usd[mask].sum()) * scale,
                    planned=tier in planned,
                    why=TIER_CAVEATS.get(tier, ""),
                    assumed=tuple(variant.assumed),
                    source=variant.source,
                )
            )
    return tuple(rows)


def _models_without_price(inputs: PlanInputs) -> list[str]:
    return [name for name in inputs.model_names if inputs.prices.models[name].prices is None]


def background_lines(inputs: PlanInputs, supplies: Sequence[SupplyPlan]) -> tuple[BackgroundStream, ...]:
    """The searches that only the query planner sees: their own rate, SLO and dollars, apart from interactions."""
    queries = inputs.scenario.demand.background.planner_queries
    if queries is None:
        return ()
    demand, usd, why = inputs.demand[PLANNER_QUERIES], 0.0, ""
    for supply in supplies:
        if not inputs.is_planner(supply.model):
            continue
        if supply.chosen is None:
            reasons = [f"{option.chip}: {option.rejected}" for option in supply.options]
            why = "; ".join(reasons) or supply.binding
        elif supply.calls_in_event:
            usd += supply.chosen.event_usd * demand[supply.region].starts / supply.calls_in_event
    searches = sum(region.starts for region in demand.values())
    return (
        BackgroundStream(
            stream=PLANNER_QUERIES,
            model=inputs.scenario.assistant.router.planner_model,
            searches_in_event=searches,
            peak_per_s_p90=sum(region.timeline.peak_interactions_per_s.p90 for region in demand.values()),
            deadline_s=queries.deadline_s,
            sized=not why,
            usd=None if why else usd,
            usd_per_million=None if why or not searches else usd / searches * 1e6,
            why=why,
        ),
    )
