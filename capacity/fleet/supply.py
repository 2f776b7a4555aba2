"""One model in one region: what Bedrock must grant, or what self-hosted models must hold."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypedDict

import numpy as np

from capacity.demand.calls import assumed_answers
from capacity.fleet.inputs import PlanInputs
from capacity.fleet.outcome import PLANNER_QUERIES, Overflow, SelfHostedChoice, Service
from capacity.fleet.self_hosted import (
    MostToBeHad,
    Terms,
    chip_options,
    make_service,
    stated_note,
    stated_service,
    usable_models,
)
from capacity.fleet.service_level import JointLevel
from capacity.fleet.uncertainty import Z_90
from capacity.plan import PlanError
from capacity.quotas.draws import QuotaDraws, at_level, latency_s, limits_of, quota_tokens
from capacity.quotas.quota import needs
from capacity.quotas.throttling import increases, max_tokens_advice, throttling
from capacity.rows.figures import Figure, Levels, weakest
from capacity.rows.fleet import SupplyPlan
from capacity.rows.needs import QuotaNeed
from capacity.simulator.rate_at_slo import Lengths
from capacity.simulator.requests import Ints
from scenarios.demand import INTERACTIONS
from scenarios.schema import Resilience, SelfHostedSupply
from slo.slo import Slo

SAMPLE_CALLS_MAX = 4_000


@dataclass(frozen=True)
class Sized:
    """One own model: its services on every chip, its supply in every region, and what to warn about."""

    model: str
    services: tuple[Service, ...]
    supplies: tuple[SupplyPlan, ...]
    choices: tuple[SelfHostedChoice, ...]
    warnings: tuple[str, ...]

    @property
    def provenance(self) -> str:
        """Weakest of its services."""
        return weakest([service.provenance for service in self.services])


def bedrock_supply(inputs: PlanInputs, name: str, region: str, drawn: QuotaDraws, joint: JointLevel) -> SupplyPlan:
    """Quota needs of one model in one region, and which kind binds. drawn, joint: what is asked for.

    Needs are of the peak that the region must carry, another region's loss included; the buckets over the whole event
    run at the region's ordinary rate, because no region is lost from beginning to end.
    """
    calls, mask = inputs.calls, inputs.calls.of(name)
    tokens, max_tokens = quota_tokens(inputs, name)
    demand, carried = inputs.demand[INTERACTIONS][region], inputs.carried_per_s(name, region)
    per_day = demand.starts_busiest_day * calls.per_interaction(name) / max(carried.p50, 1e-12)
    limits, seconds, factor = limits_of(inputs, name, region), latency_s(inputs, name), inputs.region_factor(region)
    attempts = 1 + inputs.scenario.capacity.resilience.retry_extra_attempts

    def scaled(ratio: float) -> Levels:
        return Levels(carried.p50 * ratio, carried.p90 * ratio, carried.p95 * ratio)

    per_s, a_day = scaled(attempts), scaled(attempts * per_day)
    rows = needs(per_s, a_day, tokens, limits, demand.timeline, latency_s=seconds, region_factor=factor)
    quotas = tuple(at_level(row, drawn, joint) for row in rows)
    ordinary = scaled(attempts / factor)
    buckets = throttling(
        demand.timeline, ordinary, tokens, seconds, limits, length_s=inputs.scenario.event.length_s, seed=inputs.seed
    )
    if buckets is not None:
        buckets = replace(
            buckets,
            max_tokens_advice=max_tokens_advice(_answers(inputs, name), tokens.reserved, max_tokens),
            ask_for=increases(quotas),
        )
    return SupplyPlan(
        region=region,
        model=name,
        supply="bedrock",
        calls_per_s=carried,
        input_tokens_per_call=_tokens_figure(inputs, name, calls.prompt_tokens[mask]),
        output_tokens_per_call=_tokens_figure(inputs, name, calls.output_tokens[mask]),
        binding=binding_quota(quotas),
        quotas=quotas,
        throttling=buckets,
        **_arithmetic(inputs, name, region),
    )


def _answers(inputs: PlanInputs, name: str) -> Ints:
    """Answer tokens of a model's calls; where assumed, enough draws of the same distribution to know its tail."""
    answers = inputs.calls.output_tokens[inputs.calls.of(name)]
    if inputs.measured:
        return answers
    drawn = assumed_answers(inputs.scenario, seed=inputs.seed)
    return np.asarray(np.rint(drawn * (answers.mean() / drawn.mean())), dtype=np.int64)


def binding_quota(quotas: Sequence[QuotaNeed]) -> str:
    """The kind nearest to its limit at the service level, under the reading that is nearer."""
    known = [need for need in quotas if need.counts]
    if not known:
        return "no quota figure: read your account's Service Quotas"
    worst = max(known, key=lambda need: need.pressure)
    more = worst.needed_reservation.at_level > worst.needed_settlement.at_level
    reading = "reservation" if more else "settlement"
    return f"{worst.kind} ({reading}): {worst.pressure:.0%} of {worst.granted:,.0f} at the service level"


@dataclass(frozen=True)
class Simulated:
    """One self-hosted model simulated on every allowed chip, and what to warn about."""

    model: str
    services: tuple[Service, ...]
    lengths: Lengths
    notes: tuple[str, ...]


def self_hosted_services(inputs: PlanInputs, name: str) -> Simulated:
    """Rates of one self-hosted model on every allowed chip.

    Raises:
        PlanError: the planner of the background searches answers turns too.
    """
    _refuse_shared_planner(inputs, name)
    own = inputs.scenario.capacity.own.get(name)
    lengths = lengths_of(inputs, name)
    if own is None:
        missing = f"{name}: no chips allowed in capacity.own, so it is not sized and costs nothing here"
        return Simulated(name, (), lengths, (missing,))
    services: list[Service] = []
    warnings: dict[str, list[str]] = {}
    steps = usable_models(own, name, inputs.prices.models[name], inputs.step_models)
    slos = _slos(own, _deadline_s(inputs, name))
    if own.rate_per_replica_per_s is not None:
        stated = stated_service(name, own, next(iter(steps), None), slos)
        return Simulated(name, (stated,), lengths, (stated_note(name, stated, slos),))
    origin = inputs.calls.provenance.get(name, "assumed")
    for step in steps:
        service, warned = make_service(name, step, lengths, slos, origin, inputs.seed, inputs.draws)
        services.append(service)
        for text in warned:
            warnings.setdefault(text, []).append(step.chip)
    notes = _unmeasured(name, own.chips, {step.chip for step in steps})
    notes += [f"{name} on {', '.join(chips)}: {text}" for text, chips in warnings.items()]
    return Simulated(name, tuple(services), lengths, tuple(notes))


TAKES_TURNS = "as cheap as what is bought: which of them is cheaper depends on the draws that the other carries"


@dataclass
class Market:
    """What is left to be had: instances owned by region and type, and the most of a type by region and model.

    fixed: by region and model, the one type that is looked at. overflows: by region and model.
    """

    owned: dict[tuple[str, str], int]
    limits: Mapping[tuple[str, str, str], MostToBeHad]
    fixed: Mapping[tuple[str, str], str] = field(default_factory=dict)
    overflows: Mapping[tuple[str, str], Overflow] = field(default_factory=dict)

    def terms(self, inputs: PlanInputs, region: str, model: str, joint: JointLevel | None) -> Terms:
        """What options of a model in a region are sized and priced by."""
        capacity = inputs.scenario.capacity
        kept = self.fixed.get((region, model))
        others = {kind for kind in inputs.prices.instances if kept is not None and kind != kept}
        return Terms(
            draws=inputs.draws,
            prices=inputs.prices,
            rules=capacity.resilience,
            paid_s=inputs.paid_s,
            service_level=capacity.service_level,
            begins_s=inputs.begins_s,
            owned={kind: count for (where, kind), count in self.owned.items() if where == region},
            limits=dict.fromkeys(others, MostToBeHad(0, TAKES_TURNS))
            | {kind: most for (*of, kind), most in self.limits.items() if of == [region, model]},
            overflows={name: way for (where, name), way in self.overflows.items() if where == region},
            joint=joint,
            hourly={stream: need for stream in inputs.streams if (need := inputs.hourly(stream, region)) is not None},
        )

    def take(self, region: str, choice: SelfHostedChoice, rules: Resilience) -> None:
        """What a fleet uses of the owned is not there for the next."""
        key = (region, choice.offer.instance.instance)
        if self.owned.get(key):
            self.owned[key] = max(0, self.owned[key] - int(choice.bought(rules).instances))


def size_self_hosted(inputs: PlanInputs, simulated: Simulated, joint: JointLevel | None, market: Market) -> Sized:
    """The fleets of a simulated model in every region: each at the service level by itself, or at the joint one."""
    name, services = simulated.model, simulated.services
    pairs = []
    for region in inputs.regions:
        supply, choice = _region_supply(inputs, simulated, region, market.terms(inputs, region, name, joint))
        if choice is not None:
            market.take(region, choice, inputs.scenario.capacity.resilience)
        pairs.append((supply, choice))
    supplies = tuple(supply for supply, _ in pairs)
    choices = tuple(choice for _, choice in pairs if choice is not None)
    notes = list(simulated.notes)
    if services and not choices:
        why = "; ".join(f"{option.chip}: {option.rejected}" for option in supplies[0].options)
        notes.append(f"{name}: no chip meets its SLOs, so it is not sized and its cost is missing ({why})")
    return Sized(name, services, supplies, choices, tuple(notes))


def _unmeasured(name: str, chips: Sequence[str], known: set[str]) -> list[str]:
    """What an allowed chip without a step model means for the plan."""
    missing = ", ".join(chip for chip in chips if chip not in known)
    if not known:
        return [f"{name}: no step model for {missing}, so it is not sized; measure it with `peakday bench run`"]
    line = f"{name}: {missing} not compared, as there is no step model of it; --step-model takes one of `calibrate`"
    return [line] if missing else []


def _refuse_shared_planner(inputs: PlanInputs, name: str) -> None:
    mix, policy = inputs.scenario.mix, inputs.scenario.assistant.policy
    answering = {policy.model_for(intent, kind) for intent in mix.intents for kind in ("simple", "complex")}
    if inputs.is_planner(name) and name in answering:
        raise PlanError(
            f"scenario {inputs.scenario.name}: assistant.router.planner_model: {name!r} also answers turns "
            "(assistant.policy), and one fleet cannot be sized for short searches and long answers at once: "
            "give the searches a model of their own"
        )


def _region_supply(
    inputs: PlanInputs, simulated: Simulated, region: str, terms: Terms
) -> tuple[SupplyPlan, SelfHostedChoice | None]:
    name = simulated.model
    carried = inputs.carried_per_s(name, region)
    stream = PLANNER_QUERIES if inputs.is_planner(name) else INTERACTIONS
    options, choice = chip_options(simulated.services, carried, region, stream, terms)
    chosen = next((option for option in options if option.rejected is None), None)
    supply = SupplyPlan(
        region=region,
        model=name,
        supply="self_hosted",
        calls_per_s=carried,
        input_tokens_per_call=_tokens_figure(inputs, name, simulated.lengths.input_tokens),
        output_tokens_per_call=_tokens_figure(inputs, name, simulated.lengths.output_tokens),
        binding=chosen.binding if chosen else "not sized: see warnings",
        options=options,
        **_arithmetic(inputs, name, region),
    )
    return supply, choice


def self_hosted_usd_per_call(
    inputs: PlanInputs, supplies: Sequence[SupplyPlan], *, at_list: bool = False
) -> dict[str, float]:
    """Dollars of chips per call: every region's fleet, spare and warm-up and its overflow at the median demand
    included, over the event's calls.
    """
    usd: dict[str, float] = {}
    for supply in supplies:
        if supply.supply == "self_hosted":
            chosen, spent = supply.chosen, 0.0
            if chosen is not None:
                spent = chosen.event_list_usd if at_list else chosen.event_usd
                spent += chosen.overflow.usd_p50 if chosen.overflow else 0.0
            usd[supply.model] = usd.get(supply.model, 0.0) + spent
    calls = {name: sum(inputs.calls_in_event(name, region) for region in inputs.regions) for name in usd}
    return {name: total / calls[name] if calls[name] else 0.0 for name, total in usd.items()}


def lengths_of(inputs: PlanInputs, name: str) -> Lengths:
    """Token lengths of a model's calls: of the planner the searches (the router's few calls of it are as short), else a
    sample of its calls.
    """
    calls, mask = inputs.calls, inputs.calls.of(name)
    queries = inputs.scenario.demand.background.planner_queries
    if queries is not None and (inputs.is_planner(name) or not mask.any()):
        prompt, answer = max(1, queries.input_tokens), max(1, queries.output_tokens)
        return Lengths(np.array([prompt]), np.array([answer]), np.array([0]))
    prompts = np.maximum(1, calls.prompt_tokens[mask][:SAMPLE_CALLS_MAX])
    answers = np.maximum(1, calls.output_tokens[mask][:SAMPLE_CALLS_MAX])
    cached = np.minimum(calls.cache_read_tokens[mask][:SAMPLE_CALLS_MAX], prompts - 1)
    return Lengths(prompts, answers, cached)


class _Arithmetic(TypedDict):
    calls_per_interaction: float
    calls_in_event: float
    tokens_per_call: dict[str, float]
    prices_usd_per_mtok: dict[str, float]


def _arithmetic(inputs: PlanInputs, name: str, region: str) -> _Arithmetic:
    """The inputs of a supply's arithmetic as numbers, for spreadsheets."""
    calls, mask, prices = inputs.calls, inputs.calls.of(name), inputs.prices.models[name].prices
    columns = {
        "input": calls.input_tokens,
        "cache_read": calls.cache_read_tokens,
        "cache_write_5m": calls.cache_write_tokens_5m,
        "cache_write_1h": calls.cache_write_tokens_1h,
        "output": calls.output_tokens,
    }
    known = {} if prices is None else {key: getattr(prices, f"{key}_usd_per_mtok") for key in columns}
    return {
        "calls_per_interaction": calls.per_interaction(name),
        "calls_in_event": inputs.calls_in_event(name, region),
        "tokens_per_call": {key: float(values[mask].mean()) for key, values in columns.items()} if mask.any() else {},
        "prices_usd_per_mtok": {key: usd for key, usd in known.items() if usd is not None},
    }


def _slos(own: SelfHostedSupply, deadline_s: float | None) -> tuple[Slo, ...]:
    """What a replica owes its callers at p99: first token and gaps, or a deadline where the whole answer is awaited."""
    if deadline_s is not None:
        return (Slo("e2e_s", 0.99, deadline_s),)
    return (Slo("ttft_s", 0.99, own.ttft_s_p99), Slo("tpot_s", 0.99, own.tpot_s_p99))


def _deadline_s(inputs: PlanInputs, name: str) -> float | None:
    queries = inputs.scenario.demand.background.planner_queries
    return queries.deadline_s if queries is not None and inputs.is_planner(name) else None


def _tokens_figure(inputs: PlanInputs, name: str, values: Ints) -> Figure:
    """Mean tokens of a call; its range holds its sampling error, by interaction, and the spread that plans draw.

    A search of the planner is of the length the scenario states, with no range.
    """
    origin, mean = inputs.calls.provenance.get(name, "assumed"), float(values.mean())
    interaction = inputs.calls.turn_interaction[inputs.calls.turn[inputs.calls.of(name)]][: len(values)]
    stated = inputs.is_planner(name) or not len(interaction)
    half = (
        0.0
        if stated or mean <= 0
        else math.hypot(math.log1p(inputs.spread), Z_90 * _mean_error(values, interaction) / mean)
    )
    low, high, touched = mean * math.exp(-half), mean * math.exp(half), origin == "simulated"
    return Figure(mean, low, high, "tokens", origin, inputs.calls.source, simulated=touched)


def _mean_error(values: Ints, interaction: Ints) -> float:
    """One sigma of a mean over calls whose interactions are independent: those of one interaction resemble each other.

    Source: the ratio estimator of cluster sampling (Cochran 1977, ch. 6), sqrt(sum of (clusters' excess)^2) / n.
    """
    excess = np.bincount(interaction, weights=values - values.mean())
    return math.sqrt(float((excess * excess).sum())) / len(values)
