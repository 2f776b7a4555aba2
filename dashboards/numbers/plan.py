"""Named numbers of plans and benches, as `figures` has them of runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from capacity.plan import Plan
from capacity.rows.doubt import ServiceLevel
from capacity.rows.figures import Figure, Levels
from capacity.rows.fleet import SupplyPlan
from dashboards.numbers.run import Number
from dashboards.numbers.units import show
from neuron_bench.record import Bench

LEVELS = ("p50", "p90", "p95")
"""Levels of demand."""
SELF_HOSTED = "self-hosted"

"""The part of a cost that is chips, shared by the calls they serve."""


def calls_per_interaction(plan: Plan, supply: SupplyPlan) -> float | None:
    """Calls a region carries per interaction, where calls follow interactions at every level of demand; else None."""
    peak = next((d.peak_interactions_per_s for d in plan.demand if d.region == supply.region), None)
    if peak is None or not all(getattr(peak, level) for level in LEVELS):
        return None
    ratios = [getattr(supply.calls_per_s, level) / getattr(peak, level) for level in LEVELS]
    follows = max(ratios) - min(ratios) <= 1e-9 * max(ratios)
    return ratios[0] if follows else None


def plan_numbers(plan: Plan) -> list[Number]:
    """Every named number of a plan, in the order in which a report shows them."""
    numbers = [
        _figure("event_cost_usd", "Cost of the event", plan.event_cost_usd, "cost"),
        *_list_numbers(plan),
        *_cost_numbers(plan),
        *_demand_numbers(plan),
        *_supply_numbers(plan),
        *_quota_numbers(plan),
        *_account_numbers(plan),
        *_hit_numbers(plan),
    ]
    return [replace(number, simulated=number.simulated or _quota_touched(number, plan)) for number in numbers]


def _quota_touched(number: Number, plan: Plan) -> bool:
    """Quota needs carry no provenance of their own: they come from tokens, so a simulated run touches them."""
    return number.name.startswith(("quota_needed", "quota_ask", "account_")) and any(
        note.kind == "run" and note.provenance == "simulated" for note in plan.inputs
    )


def _figure(name: str, label: str, figure: Figure, group: str, **labels: str) -> Number:
    return _as(figure, name, label, figure.mid, figure.unit, group, lo=figure.low, hi=figure.high, labels=labels)


def _as(
    figure: Figure,
    name: str,
    label: str,
    value: float,
    unit: str,
    group: str,
    *,
    labels: Mapping[str, str],
    **of: Any,
) -> Number:
    """A number with the provenance of a figure."""
    touched, named = figure.simulated, tuple(labels.items())
    return Number(name, label, value, unit, group, simulated=touched, provenance=figure.provenance, labels=named, **of)


def _by_level(
    name: str, label: str, levels: Levels, unit: str, group: str, labels: Mapping[str, str], **of: Any
) -> Iterator[Number]:
    """A quantity at each level of demand."""
    for level, value in levels.by_name.items():
        yield Number(name, f"{label}, {level}", value, unit, group, labels=(*labels.items(), ("level", level)), **of)


def _list_numbers(plan: Plan) -> Iterator[Number]:
    """The same at list prices, before your own discounts, where the plan holds them."""
    if plan.event_cost_parts_list_usd:
        listed, what = sum(plan.event_cost_parts_list_usd.values()), "Cost of the event at list prices"
        yield _as(plan.event_cost_usd, "event_cost_list_usd", what, listed, "usd", "cost", labels={})
    for line in plan.cost:
        if (usd := line.per_interaction_list_usd) is not None:
            name, label = "cost_usd_per_interaction_list", f"Cost per interaction at list prices, {line.intent}"
            yield _as(line.per_interaction_usd, name, label, usd, "usd", "cost", labels={"intent": line.intent})


def _cost_numbers(plan: Plan) -> Iterator[Number]:
    for line in plan.cost:
        of, usd = line.intent, line.per_interaction_usd
        yield _figure("cost_usd_per_interaction", f"Cost per interaction, {of}", usd, "cost", intent=of)
        yield _figure("cost_usd_per_turn", f"Cost per turn, {of}", line.per_turn_usd, "cost", intent=of)
        for each in ("interaction", "turn"):
            for share, value in line.quantiles_usd.get(each, {}).items():
                if value is not None:  # else too few calls for it
                    name, label = f"cost_usd_per_{each}_{share}", f"Cost per {each} {share}, {of}"
                    yield _as(usd, name, label, value, "usd", "cost", labels={"intent": of})


def _demand_numbers(plan: Plan) -> Iterator[Number]:
    for demand in plan.demand:
        label, levels = f"Peak interactions, {demand.region}", demand.peak_interactions_per_s
        labels = {"region": demand.region}
        yield from _by_level("peak_interactions_per_s", label, levels, "per_s", "demand", labels, provenance="assumed")


def _supply_numbers(plan: Plan) -> Iterator[Number]:
    for supply in plan.supplies:
        where = {"region": supply.region, "model": supply.model}
        title = f"{supply.model}, {supply.region}"
        touched = supply.input_tokens_per_call.simulated
        levels = supply.calls_per_s
        yield from _by_level(
            "peak_calls_per_s", f"Peak calls, {title}", levels, "per_s", "demand", where, simulated=touched
        )
        option = supply.chosen
        if option is None:
            continue
        chips, rate = option.chips_range, option.rate_per_replica_per_s
        yield _figure("chips", f"Chips, {title}", chips, "chips", **where, chip=option.chip)
        yield _figure("rate_per_replica_per_s", f"Calls per replica, {title}", rate, "chips", **where)
        busy = f"Utilisation at the peak, {title}"
        yield _figure("utilisation_ratio", busy, option.utilisation_ratio, "chips", **where)
        yield _figure("usd_per_hour", f"Chips per hour, {title}", option.usd_per_hour, "chips", **where)
        of = {"simulated": chips.simulated, "provenance": chips.provenance}
        for name, levels in (("replicas", option.replicas), ("instances", option.instances)):
            yield from _by_level(name, f"{name.capitalize()}, {title}", levels, name, "chips", where, **of)


def _quota_numbers(plan: Plan) -> Iterator[Number]:
    for supply in plan.supplies:
        for quota in supply.quotas:
            where = {"region": supply.region, "model": supply.model, "kind": quota.kind}
            labels = tuple(where.items())
            title = f"{quota.kind} {supply.model}, {supply.region}"
            for reading, levels in (("settlement", quota.needed_settlement), ("reservation", quota.needed_reservation)):
                name, label = f"quota_needed_{reading}", f"Quota needed by {reading}, {title}"
                yield from _by_level(name, label, levels, quota.kind, "quota", where)
            yield Number("quota_ask", f"Quota to ask for, {title}", quota.ask, quota.kind, "quota", labels=labels)
            if (granted := quota.granted) is not None:
                yield Number("quota_granted", f"Quota granted, {title}", granted, quota.kind, "quota", labels=labels)


def _account_numbers(plan: Plan) -> Iterator[Number]:
    for need in plan.account_needs:
        where = {"region": need.region, "kind": need.kind}
        unit, labels, title = need.unit, tuple(where.items()), f"{need.kind}, {need.region}"
        yield from _by_level("account_needed", f"Needed of the account, {title}", need.needed, unit, "quota", where)
        yield Number("account_ask", f"To ask for, {title}", need.ask, unit, "quota", labels=labels)
        yield Number("account_granted", f"Granted to the account, {title}", need.granted, unit, "quota", labels=labels)


def _hit_numbers(plan: Plan) -> Iterator[Number]:
    for hit in plan.hit_rates:
        label = f"Prompt cache hit rate, {hit.model}, {hit.level}"
        yield _figure("cache_hit_token_ratio", label, hit.ratio, "cache", model=hit.model, level=hit.level)


_CASE_NUMBERS = {
    "output_tokens_per_s": ("Output tokens per second", "per_s"),
    "requests_per_s": ("Requests per second", "per_s"),
    "wall_s_p50": ("Wall time p50", "s"),
    "ttft_s_mean": ("TTFT mean", "s"),
    "ttft_s_p50": ("TTFT p50", "s"),
    "tpot_s_mean": ("TPOT mean", "s"),
    "tpot_s_p50": ("TPOT p50", "s"),
    "mfu_ratio": ("Share of peak FLOPs", "ratio"),
    "mbu_ratio": ("Share of peak bandwidth", "ratio"),
}


def bench_numbers(bench: Bench) -> list[Number]:
    """The named numbers of every case that is not flagged; unknown cells are left out."""
    numbers = []
    for case in bench.cases.to_dict("records"):
        if isinstance(case["flags"], str) and case["flags"]:
            continue
        labels = tuple(
            (key, str(case[key])) for key in ("record_id", "model_id", "chip", "phase") if case[key] == case[key]
        )
        for name, (label, unit) in _CASE_NUMBERS.items():
            value = case[name]
            if value is None or value != value:
                continue
            lo, hi = (case["wall_s_p50_lo"], case["wall_s_p50_hi"]) if name == "wall_s_p50" else (None, None)
            touched, provenance = case["provenance"] == "simulated", str(case["provenance"])
            number = Number(name, label, float(value), unit, "bench", lo=lo, hi=hi, labels=labels)
            numbers.append(replace(number, provenance=provenance, simulated=touched))
    return numbers


def over_seeds(service: ServiceLevel) -> str:
    """Between which budgets plans of other seeds lie; empty in a plan that does not say."""
    around = service.budget_range
    return f" ({show(around.low, 'usd')} to {show(around.high, 'usd')} over seeds)" if around else ""
