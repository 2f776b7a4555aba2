"""`make_plan`: demand, calls, step models and prices in, one `Plan` out. Pure: no clock, no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from capacity.caching.risk import cache_stampedes, hit_stability
from capacity.cost.advice import cache_advice, routing_trade_off
from capacity.cost.bill import ELSEWHERE, background_lines, bill, tier_options
from capacity.cost.hours import HOUR_S
from capacity.cost.interaction import cache_hit_figures
from capacity.cost.prices import load_prices
from capacity.cost.purchase import PurchaseOption, buy, hourly_need
from capacity.cost.rates import with_tiers
from capacity.demand.calls import assumed_calls, measured_calls, tokens_line
from capacity.demand.usage import usage_line, with_usage
from capacity.fleet.bookable import unbookable
from capacity.fleet.fallback_chain import diverted, fallback_chains
from capacity.fleet.findings import assumptions_first, first_limit_exceeded, range_note, rejected, warnings
from capacity.fleet.headroom import minimax_regret_option, quantile_options, spare_options, worthwhile_option
from capacity.fleet.inputs import PlanInputs
from capacity.fleet.outcome import INTERACTIONS, Base, BedrockSpend, SelfHostedChoice, spent_usd
from capacity.fleet.service_level import JointLevel, Mask, all_carried, joint_level, order_statistic, short_of
from capacity.fleet.supply import (
    Market,
    Simulated,
    Sized,
    bedrock_supply,
    latency_s,
    quota_draws,
    self_hosted_services,
    self_hosted_usd_per_call,
    size_self_hosted,
)
from capacity.fleet.uncertainty import (
    error_bars,
    expected_value_of_information,
    hits_over,
    moves,
    sensitivities,
    variance_shares,
)
from capacity.fleet.warm_up import with_measured_warm_up
from capacity.plan import (
    Figure,
    HeadroomOption,
    HitRate,
    InputNote,
    Plan,
    PlanError,
    Purchase,
    ScenarioRef,
    Schedule,
    ServiceLevel,
    SizingRules,
    SupplyPlan,
)
from facts.account import Held, Usage
from facts.reader import Quality, quality
from loadgen.record import Run
from neuron_bench.record import Bench
from neuron_bench.step_model import StepModel
from scenarios.schema import Resilience, Scenario


def make_plan(
    scenario: Scenario,
    *,
    run: Run | None = None,
    benches: Sequence[Bench] = (),
    step_models: Sequence[StepModel] = (),
    prices: Mapping[str, Any] | None = None,
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
    sizes = size_supplies(inputs)
    supplies, sized = sizes.supplies, sizes.sized
    qualities = quality() if quality_rows is None else quality_rows
    unserved = {item.model: _why_not(item) for item in sized if not item.choices}
    moved = diverted(inputs, unserved, qualities)
    elsewhere = {
        f"{each.model}{ELSEWHERE}{each.target}": BedrockSpend(input=each.prompt_usd, output=each.output_usd)
        for each in moved
        if each.target
    }
    own = [choice for item in sized for choice in item.choices if choice.load_per_s > 0]
    base = inputs.base(own, elsewhere=elsewhere)
    ranked = sensitivities(base, moves(inputs.streams, inputs.unknown))
    stability = hit_stability(inputs, base.own)
    notes = [note for item in sized for note in item.warnings] + [row.warning for row in stability if row.warning]
    charged = bill(inputs, base, sized, supplies, {each.model: each.usd_per_call for each in moved})
    bars = error_bars(base, inputs.draws) if base.own else None
    known = expected_value_of_information(base, inputs.draws)
    return Plan(
        plan_id=plan_id,
        created_utc=now_utc,
        peakday_version=version,
        scenario=ScenarioRef(scenario.name, scenario_hash, scenario.seed),
        seed=seed,
        assumptions_with_most_effect=assumptions_first(ranked),
        first_limit_exceeded=first_limit_exceeded(supplies),
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
        schedules=_schedules(inputs, base),
        rules=_rules(inputs),
        errors=bars,
        not_served=tuple(each.note for each in moved),
        service=_service(inputs, base, sizes),
        variance=variance_shares(base, inputs.draws) if base.own or base.bedrock else (),
        expected_value_of_information=known,
    )


def _why_not(item: Sized) -> str:
    """Why no chip serves a model."""
    reasons = [f"{option.chip}: {option.rejected}" for option in item.supplies[0].options]
    return "; ".join(reasons) or "no chips allowed, or no step model of them"


def plan_inputs(
    scenario: Scenario,
    run: Run | None,
    step_models: Sequence[StepModel],
    prices: Mapping[str, Any] | None,
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
    calls = with_tiers(calls, scenario.capacity.service_tiers)
    return PlanInputs.of(scenario, calls, priced, step_models, seed, measured=run is not None, held=held, usage=usage)


@dataclass(frozen=True)
class SizedPlan:
    """Every model in every region, and the joint levels of what is bought and asked for; bool [n] of each part."""

    supplies: list[SupplyPlan]
    sized: list[Sized]
    fleet: JointLevel
    quota: JointLevel
    fleet_carried: dict[str, Mask]  # by region: no fleet of it falls short
    quota_carried: dict[str, Mask]


def size_supplies(inputs: PlanInputs) -> SizedPlan:
    """Every model in every region at the service level: all fleets jointly, and all quota asks jointly.

    Self-hosted models are simulated once; each fleet is sized alone to choose its chip, then all at the joint level.
    """
    level = inputs.scenario.capacity.service_level
    hosted = [name for name in inputs.model_names if inputs.prices.models[name].supply != "bedrock"]
    simulated = {name: self_hosted_services(inputs, name) for name in hosted}
    alone, barred = _bookable(inputs, simulated)
    loads = {
        (choice.service.model, choice.region): choice.load_at_middle_rate(inputs.draws)
        for item in alone
        for choice in item.choices
        if choice.load_per_s > 0
    }
    fleet = joint_level([*loads.values()], level)
    market = Market(_owned(inputs), barred)
    sized = {each.model: size_self_hosted(inputs, each, fleet, market) for each in simulated.values()}
    drawn = {
        (name, region): quota_draws(inputs, name, region)
        for name in inputs.model_names
        if name not in hosted
        for region in inputs.regions
    }
    quota = joint_level([need for each in drawn.values() for need in each.needs.values()], level)
    supplies: list[SupplyPlan] = []
    for name in inputs.model_names:
        if name in sized:
            supplies += sized[name].supplies
        else:
            supplies += [bedrock_supply(inputs, name, r, drawn[name, r], quota) for r in inputs.regions]
    asks = {(s.model, s.region, q.kind): q.ask for s in supplies for q in s.quotas}
    every = np.ones(inputs.scenario.capacity.draws, dtype=bool)
    fleet_carried, quota_carried = {}, {}
    for region in inputs.regions:
        bought = [
            choice.load_at_middle_rate(inputs.draws) <= choice.load_per_s * choice.bought_over_p50 * (1 + 1e-12)
            for item in sized.values()
            for choice in item.choices
            if choice.region == region
        ]
        asked = [
            need <= asks[name, where, kind]
            for (name, where), each in drawn.items()
            if where == region
            for kind, need in each.needs.items()
        ]
        fleet_carried[region] = np.all([every, *bought], axis=0)
        quota_carried[region] = np.all([every, *asked], axis=0)
    return SizedPlan(supplies, list(sized.values()), fleet, quota, fleet_carried, quota_carried)


def _bookable(inputs: PlanInputs, simulated: Mapping[str, Simulated]) -> tuple[list[Sized], dict[tuple[str, str], str]]:
    """Every model sized alone with what can be booked; and what cannot, where something else serves in its place.

    What nothing else serves stays chosen, and is an exception to ask for (`bookable.supply_findings`).
    """
    barred: dict[tuple[str, str], str] = {}
    rules = inputs.scenario.capacity.resilience
    while True:
        market = Market(_owned(inputs), barred)
        alone = [size_self_hosted(inputs, each, None, market) for each in simulated.values()]
        reasons = unbookable([choice for item in alone for choice in item.choices], rules)
        more = barred | reasons
        if more == barred:
            return alone, barred
        market = Market(_owned(inputs), more)
        instead = [size_self_hosted(inputs, each, None, market) for each in simulated.values()]
        if sum(len(item.choices) for item in instead) < sum(len(item.choices) for item in alone):
            return alone, barred
        barred = more


def _owned(inputs: PlanInputs) -> dict[tuple[str, str], int]:
    return {(region, kind): count for region in inputs.regions for kind, count in inputs.prices.owned.items()}


def _service(inputs: PlanInputs, base: Base, sized: SizedPlan) -> ServiceLevel:
    """The one probability of the plan, and what it is made of."""
    level = inputs.scenario.capacity.service_level
    fleet, quota = all_carried(sized.fleet_carried), all_carried(sized.quota_carried)
    spent = spent_usd(base, inputs.draws) * np.ones(len(fleet))
    budget = order_statistic(spent, level)
    beyond = [
        choice.service.surface.beyond(inputs.draws.input_tokens, inputs.draws.output_tokens, inputs.draws.prefix_hits)
        for choice in base.own
        if choice.stream == INTERACTIONS
    ]
    return ServiceLevel(
        level=level,
        basis="stated",
        fleet_short=short_of(fleet),
        quota_short=short_of(quota),
        short=short_of(fleet & quota),
        region_short={
            region: short_of(sized.fleet_carried[region] & sized.quota_carried[region]) for region in inputs.regions
        },
        budget_usd=budget,
        budget_short=short_of(spent <= budget),
        reached=sized.fleet.reached,
        beyond_design_ratio=max(beyond, default=0.0),
    )


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
        value = f"{latency_s(inputs, name):.2f} s a call options its reservation"
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


def _schedules(inputs: PlanInputs, base: Base) -> tuple[Schedule, ...]:
    """Instances by the hour for the p90 timeline, scaled ahead of the need by the warm-up, against a flat fleet."""
    rows = []
    for choice in base.own:
        flat = choice.bought(base.rules)
        timeline = inputs.demand[choice.stream][choice.region].timeline
        rate = np.array(timeline.interactions_per_s_p90) / max(timeline.interactions_per_s_p90)
        need, lasts_h = hourly_need(
            np.array(timeline.offset_s),
            rate * choice.load_per_s * choice.bought_over_p50,
            inputs.scenario.event.length_s,
            base.rules.warm_up_lag_s,
        )
        bought = buy(need, _offers(inputs, choice, base.rules), lasts_h)
        groups = sum(bought.hourly.values(), np.zeros(len(need), dtype=np.int64)) + sum(bought.held.values())
        rows.append(
            Schedule(
                region=choice.region,
                model=choice.service.model,
                instance_type=choice.offer.instance.instance,
                price_kind=choice.offer.price_kind,
                committed={name: count * base.rules.zones for name, count in bought.held.items()},
                instances_by_hour=tuple((groups * base.rules.zones).tolist()),
                usd=bought.usd,
                flat_usd=float(choice.usd(flat).max()),
            )
        )
    return tuple(rows)


def _offers(inputs: PlanInputs, choice: SelfHostedChoice, rules: Resilience) -> list[PurchaseOption]:
    """One instance in each zone, as the plan bought it; and the user's commitments on the same chip."""
    offer, zones = choice.offer, rules.zones
    term_h = choice.billed_hours if offer.price_kind == "capacity block" else None
    owned = inputs.prices.owned.get(offer.instance.instance, 0) // zones
    offers = [
        PurchaseOption(
            offer.instance.instance, offer.usd_per_hour * zones, choice.calls_per_group(rules), term_h, owned
        )
    ]
    for number, other in enumerate(inputs.prices.commitments):
        instance = inputs.prices.instances[other.instance]
        if instance.chip == offer.instance.chip:
            carries = choice.calls_per_group(rules, instance.chips)
            name = f"{other.instance} for {other.term_h:g} h (commitment {number})"
            offers.append(PurchaseOption(name, other.usd_per_hour * zones, carries, other.term_h))
    return offers


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
        )
        for supply in supplies
        if supply.chosen
    )
