"""`make_plan`: demand, calls, step models and prices in, one `Plan` out. Pure: no clock, no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from capacity.caching.risk import cache_stampedes, hit_stability
from capacity.cost.advice import cache_advice, routing_trade_off
from capacity.cost.bill import background_lines, bill, tier_options
from capacity.cost.hours import HOUR_S
from capacity.cost.interaction import cache_hit_figures
from capacity.cost.prices import load_prices
from capacity.cost.rates import with_tiers
from capacity.cost.reserved import reserved_advice
from capacity.demand.calls import assumed_calls, measured_calls, tokens_line
from capacity.demand.hits import with_hit_ratios
from capacity.demand.usage import usage_line, with_usage
from capacity.fleet.bookable import instance_limits
from capacity.fleet.fallback_chain import fallback_chains
from capacity.fleet.findings import assumptions_first, first_limit_exceeded, range_note, rejected, warnings
from capacity.fleet.headroom import minimax_regret_option, quantile_options, spare_options, worthwhile_option
from capacity.fleet.inputs import PlanInputs
from capacity.fleet.outcome import Base
from capacity.fleet.supply import Sized, self_hosted_usd_per_call
from capacity.fleet.uncertainty import (
    error_bars,
    expected_value_of_information,
    hits_over,
    moves,
    sensitivities,
    variance_shares,
)
from capacity.fleet.warm_up import with_measured_warm_up
from capacity.plan import InputNote, Plan, PlanError, ScenarioRef
from capacity.purchase.account import account_needs
from capacity.purchase.joint import size_supplies, stated_level
from capacity.purchase.schedules import schedules
from capacity.purchase.spill import spill_options
from capacity.quotas.draws import latency_s
from capacity.rows.figures import Figure
from capacity.rows.fleet import HeadroomOption, HitRate, SizingRules, SupplyPlan
from capacity.rows.money import Purchase
from facts.account import Held, Usage
from facts.reader import Quality, quality
from loadgen.record import Run
from neuron_bench.record import Bench
from neuron_bench.step_model import StepModel
from scenarios.demand import INTERACTIONS
from scenarios.schema import Scenario


def make_plan(
    scenario: Scenario,
    *,
    run: Run | None = None,
    benches: Sequence[Bench] = (),
    step_models: Sequence[StepModel] = (),
    prices: Mapping[str, object] | None = None,
    seed: int = 1,
    now_utc: str,
    version: str,
    plan_id: str,
    scenario_hash: str = "",
    usage: Usage | None = None,
    held: Held | None = None,
    quality_rows: Sequence[Quality] | None = None,
) -> Plan:
    """Chips, hit rates, quota and dollars for an event.

    Args:
        run: measured calls, turns and tokens; without it the scenario's assumed tokens, marked `assumed`.
        benches: bench records: how long a replica takes to start; what was fitted from them comes in as step_models.
        step_models: candidates; per model and chip the strongest provenance is used.
        prices: an overlay, see `capacity.cost.prices.load_prices`.
        usage: an account's own counters: measured tokens per call where no run is given.
        held: an account's quotas, where the scenario states none.
        quality_rows: None takes the shipped, assumed ones.
    Raises:
        PlanError: an input that cannot be planned from; the message has the remedy.
    """
    scenario, warm_up = with_measured_warm_up(scenario, benches)
    inputs = plan_inputs(scenario, run, step_models, prices, seed, usage=usage, held=held)
    qualities = quality() if quality_rows is None else quality_rows
    sizes = size_supplies(inputs, qualities)
    inputs, supplies, sized, base, moved = sizes.inputs, sizes.supplies, sizes.sized, sizes.base, sizes.moved
    ranked = sensitivities(base, moves(inputs.streams, inputs.unknown))
    stability = hit_stability(inputs, base.own)
    notes = [note for item in sized for note in item.warnings] + [row.warning for row in stability if row.warning]
    elsewhere = {each.model: each.usd_per_call for each in moved}
    charged = bill(inputs, base, sized, supplies, elsewhere, sizes.range.fleets_usd)
    bars = error_bars(base, inputs.draws) if base.own else None
    known = expected_value_of_information(base, inputs.draws)
    beside = account_needs(sizes)
    return Plan(
        plan_id=plan_id,
        created_utc=now_utc,
        peakday_version=version,
        scenario=ScenarioRef(
            scenario.name, scenario_hash, scenario.seed, scenario.event.start.isoformat(), scenario.event.length_s
        ),
        seed=seed,
        assumptions_with_most_effect=assumptions_first(ranked),
        first_limit_exceeded=first_limit_exceeded(supplies, beside),
        inputs=(*_inputs(inputs, run, benches, sized), *warm_up, *_quality_notes(inputs, qualities)),
        demand=tuple(demand.timeline for demand in inputs.demand["interactions"].values()),
        supplies=tuple(supplies),
        hit_rates=_hit_rates(inputs),
        cost=charged.lines,
        event_cost_usd=charged.event,
        event_cost_parts_usd=charged.parts,
        event_cost_parts_list_usd=charged.list_parts,
        tiers=tier_options(inputs),
        background=background_lines(inputs, supplies),
        hit_stability=stability,
        cache_stampede=cache_stampedes(inputs),
        fallback_chain=fallback_chains(inputs, base.own, qualities),
        rejected=rejected(supplies),
        sensitivities=ranked,
        warnings=range_note(bars, known) + warnings(inputs, supplies, notes, now_utc),
        purchase=_purchase(supplies),
        cache_advice=cache_advice(inputs),
        routing=routing_trade_off(inputs, self_hosted_usd_per_call(inputs, supplies), qualities),
        headroom=_headroom(inputs, base),
        schedules=schedules(inputs, base),
        rules=_rules(inputs),
        errors=bars,
        spill=spill_options(sizes, qualities),
        limits=instance_limits(inputs, base.own),
        not_served=tuple(each.note for each in moved),
        account_needs=beside,
        reserved=reserved_advice(inputs),
        service=stated_level(sizes),
        variance=variance_shares(base, inputs.draws) if base.own or base.bedrock else (),
        expected_value_of_information=known,
    )


def plan_inputs(
    scenario: Scenario,
    run: Run | None,
    step_models: Sequence[StepModel],
    prices: Mapping[str, object] | None,
    seed: int,
    *,
    usage: Usage | None = None,
    held: Held | None = None,
) -> PlanInputs:
    """The checked inputs of a plan."""
    priced = load_prices(prices)
    unknown = sorted(set(scenario.models) - set(priced.models))
    if unknown:
        raise PlanError(f"scenario {scenario.name}: models: {unknown[0]!r} is not in models.yaml")
    planner = scenario.assistant.router.planner_model
    if scenario.demand.background.planner_queries is not None and priced.models[planner].supply == "bedrock":
        raise PlanError(
            f"scenario {scenario.name}: assistant.router.planner_model: {planner!r} is on Bedrock; background searches "
            "are planned on self-hosted models alone: name a self_hosted model"
        )
    horizon_s = scenario.capacity.horizon_s
    if horizon_s is not None and horizon_s < scenario.event.length_s:
        raise PlanError(
            f"scenario {scenario.name}: capacity.horizon_s: {horizon_s:,.0f} s is shorter than the event "
            f"({scenario.event.length_s:,.0f} s), which must be paid for throughout; give at least its length"
        )
    if scenario.demand.interactions.peak_per_s.mid <= 0:
        raise PlanError(
            f"scenario {scenario.name}: demand.interactions.peak_per_s: 0 leaves nothing to plan; give a rate"
        )
    calls = measured_calls(run) if run is not None else assumed_calls(scenario, priced.models, seed=seed)
    missing = sorted(set(calls.model.tolist()) - set(priced.models))
    if missing:
        raise PlanError(f"{calls.source}: model {missing[0]!r} is not in models.yaml; add it there with its price")
    if run is None and usage is not None:
        calls = with_usage(calls, usage)
    calls = with_hit_ratios(calls, scenario.capacity.hit_ratios)
    calls = with_tiers(calls, scenario.capacity.service_tiers)
    return PlanInputs.of(scenario, calls, priced, step_models, seed, measured=run is not None, held=held, usage=usage)


MISSES_MIN = 0.02
"""A hit is never guaranteed: the range of a ratio of 1 is that of this share of misses."""


def _hit_rates(inputs: PlanInputs) -> tuple[HitRate, ...]:
    rates = []
    for name in inputs.model_names:
        if not inputs.calls.of(name).any():
            continue
        origin = inputs.calls.provenance.get(name, "assumed")
        unknown = inputs.unknown
        on_bedrock = inputs.prices.models[name].supply == "bedrock"
        factor = unknown.provider_misses if on_bedrock else unknown.prefix_misses
        for level, ratio in cache_hit_figures(inputs.calls, name).items():
            likely = min(ratio, 1 - MISSES_MIN)
            high, low = likely * hits_over(likely, np.array([1 / factor, factor]))
            source = (
                f"middle {origin}, {inputs.calls.source}; range: misses to a hit x or / {factor:g}, expert estimate"
            )
            shown = "expert_estimate" if origin == "measured" else origin
            figure = Figure(
                ratio, float(low), max(ratio, float(high)), "ratio", shown, source, 0.0, simulated=origin == "simulated"
            )
            rates.append(HitRate(name, level, figure))
    return tuple(rates)


def _inputs(
    inputs: PlanInputs, run: Run | None, benches: Sequence[Bench], sized: Sequence[Sized]
) -> tuple[InputNote, ...]:
    scenario = inputs.scenario
    notes = [InputNote("scenario", scenario.name, scenario.description or scenario.name, "assumed", "scenario file")]
    for name, stream in inputs.streams.items():
        peak = stream.peak_per_s
        value = f"{peak.low:g} .. {peak.mid:g} .. {peak.high:g}/s at {peak.confidence:.0%}"
        notes.append(InputNote("assumption", f"{name} at the peak", value, "assumed", stream.source or "scenario file"))
    if run is not None:
        for model, origin in sorted(inputs.calls.provenance.items()):
            notes.append(InputNote("run", model, inputs.calls.source, origin, run.run_id))
    else:
        value = tokens_line(scenario.capacity.assumed_tokens)
        notes.append(InputNote("assumption", "tokens per call", value, "assumed", "capacity.assumed_tokens"))
    for service in (service for item in sized for service in item.services):
        step = service.step
        value = f"{step.engine} {step.version}, {step.date}, relative error {step.relative_error:.0%}"
        notes.append(InputNote("step_model", f"{step.model_id} on {step.chip}", value, step.provenance, step.source))
    notes += _account_notes(inputs, run)
    notes += [
        InputNote("bench", b.bench_id, str(b.path), str(b.info.get("provenance", "measured")), "bench record")
        for b in benches
    ]
    for name in inputs.model_names:
        price = inputs.prices.models[name].prices
        if price is not None:
            value = f"{price.input_usd_per_mtok:g} in, {price.output_usd_per_mtok:g} out USD per million tokens"
            notes.append(InputNote("prices", name, value, "published", f"{price.source} {price.source_date}".strip()))
            notes += [
                InputNote("prices", f"{name} {part}", "assumed", "assumed", "models.yaml") for part in price.assumed
            ]
    for name in (name for name in inputs.model_names if inputs.prices.models[name].supply == "bedrock"):
        timed = name in inputs.calls.latency_s
        origin = inputs.calls.provenance.get(name, "assumed") if timed else "expert_estimate"
        value = f"{latency_s(inputs, name):.2f} s a call holds its reservation"
        source = inputs.calls.source if timed else "no run timed it: capacity/quotas/quota.py assumed_latency_s"
        notes.append(InputNote("quotas", f"{name} latency", value, origin, source))
    return tuple(dict.fromkeys((*notes, *inputs.prices.notes)))


def _account_notes(inputs: PlanInputs, run: Run | None) -> list[InputNote]:
    """What an account's counters and quotas brought into the plan."""
    notes = []
    if inputs.usage is not None:
        where = inputs.usage.source if run is None else f"{inputs.usage.source}; the run's own tokens were used"
        for name, row in inputs.usage.per_call().items():
            notes.append(InputNote("usage", name, usage_line(row), "measured", where))
    if inputs.held is not None:
        notes.append(InputNote("quotas", "held by the account", inputs.held.source, "measured", inputs.held.source))
    return notes


def _quality_notes(inputs: PlanInputs, qualities: Sequence[Quality]) -> list[InputNote]:
    """Where the quality of each model that may answer comes from; `assumed` as shipped."""
    origins = {row.model: row.provenance for row in qualities if row.model in inputs.scenario.models}
    what = "share of acceptable turns"
    return [InputNote("quality", name, what, origin, "quality.yaml") for name, origin in origins.items()]


def _headroom(inputs: PlanInputs, base: Base) -> tuple[HeadroomOption, ...]:
    """What p90, p95 and p99 cost; and, once an interaction has a value, how much pays."""
    value = inputs.scenario.capacity.value_per_interaction_usd
    options = [option for choice in base.own for option in quantile_options(choice, inputs.draws, base.rules)]
    for choice in base.own:
        options += spare_options(choice, base.rules, inputs.region_factor(choice.region))
    if value is not None:
        chat = [choice for choice in base.own if choice.stream == INTERACTIONS]
        options += [
            rule(inputs, choice, value) for choice in chat for rule in (worthwhile_option, minimax_regret_option)
        ]
    return tuple(options)


def _rules(inputs: PlanInputs) -> SizingRules:
    """What chips were counted by."""
    resilience = inputs.scenario.capacity.resilience
    return SizingRules(
        zones=float(resilience.zones),
        zones_lost=float(resilience.zones_lost),
        drain_ratio=resilience.drain_ratio,
        broken_ratio=resilience.broken_ratio,
        retry_extra_attempts=resilience.retry_extra_attempts,
        hours=inputs.paid_s / HOUR_S,
        interactions_in_event=inputs.interactions_total,
    )


def _purchase(supplies: Sequence[SupplyPlan]) -> tuple[Purchase, ...]:
    """What is bought at p90, by region and model, for the event's hours."""
    return tuple(
        Purchase(
            region=supply.region,
            model=supply.model,
            instance_type=supply.chosen.instance_type,
            instances=supply.chosen.bought_instances,
            usd_per_hour=supply.chosen.usd_per_hour.mid,
            price_kind=supply.chosen.price_kind,
            billed_hours=supply.chosen.billed_hours,
            usd=supply.chosen.event_usd,
            usd_per_hour_list=(supply.chosen.list_usd_per_hour or 0.0)
            * (supply.chosen.bought_instances - supply.chosen.owned_instances)
            or supply.chosen.usd_per_hour.mid,
            usd_list=supply.chosen.event_list_usd,
            held=supply.chosen.held,
        )
        for supply in supplies
        if supply.chosen
    )
