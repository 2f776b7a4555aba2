"""One model in one region: what Bedrock must grant, or what own silicon must hold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from capacity.demand.calls import assumed_answers
from capacity.fleet.inputs import Case
from capacity.fleet.outcome import INTERACTIONS, PLANNER_QUERIES, OwnChoice, Service
from capacity.fleet.self_hosted import Terms, chip_options, make_service, usable_models
from capacity.fleet.uncertainty import Z_90
from capacity.plan import Figure, Levels, PlanError, QuotaNeed, SupplyPlan, weakest
from capacity.quotas.quota import CallTokens, Granted, assumed_latency_s, call_tokens, granted, needs
from capacity.quotas.throttling import increases, max_tokens_advice, throttling
from capacity.simulator.rate_at_slo import Lengths
from capacity.simulator.requests import Ints
from scenarios.schema import OwnSupply
from slo.slo import Slo

SAMPLE_CALLS_MAX = 4_000


@dataclass(frozen=True)
class Sized:
    """One own model: its services on every chip, its supply in every region, and what to warn about."""

    model: str
    services: tuple[Service, ...]
    supplies: tuple[SupplyPlan, ...]
    choices: tuple[OwnChoice, ...]
    warnings: tuple[str, ...]

    @property
    def provenance(self) -> str:
        """Weakest of its services."""
        return weakest([service.provenance for service in self.services])


def bedrock_supply(case: Case, name: str, region: str) -> SupplyPlan:
    """Quota needs of one model in one region, and which kind binds.

    Needs are of the peak that the region must carry, another region's loss included; the buckets over the whole event
    run at the region's ordinary rate, because no region is lost from beginning to end.
    """
    calls, mask = case.calls, case.calls.of(name)
    tokens, max_tokens = quota_tokens(case, name)
    demand, carried = case.demand[INTERACTIONS][region], case.carried_per_s(name, region)
    per_day = demand.starts_busiest_day * calls.per_interaction(name) / max(carried.p50, 1e-12)
    daily = Levels(carried.p50 * per_day, carried.p90 * per_day, carried.p95 * per_day)
    limits, seconds, factor = limits_of(case, name, region), latency_s(case, name), case.region_factor(region)
    quotas = needs(carried, daily, tokens, limits, demand.timeline, latency_s=seconds, region_factor=factor)
    ordinary = Levels(carried.p50 / factor, carried.p90 / factor, carried.p95 / factor)
    buckets = throttling(
        demand.timeline, ordinary, tokens, seconds, limits, length_s=case.scenario.event.length_s, seed=case.seed
    )
    if buckets is not None:
        buckets = replace(
            buckets,
            max_tokens_advice=max_tokens_advice(_answers(case, name), tokens.reserved, max_tokens),
            ask_for=increases(quotas),
        )
    return SupplyPlan(
        region=region,
        model=name,
        supply="bedrock",
        calls_per_s=carried,
        input_tokens_per_call=_tokens_figure(case, name, calls.prompt_tokens[mask]),
        output_tokens_per_call=_tokens_figure(case, name, calls.output_tokens[mask]),
        binding=binding_quota(quotas),
        quotas=quotas,
        throttling=buckets,
        **_arithmetic(case, name, region),
    )


def _answers(case: Case, name: str) -> Ints:
    """Answer tokens of a model's calls; where assumed, enough draws of the same law to know its tail."""
    seen = case.calls.output_tokens[case.calls.of(name)]
    if case.measured:
        return seen
    drawn = assumed_answers(case.scenario, seed=case.seed)
    return np.asarray(np.rint(drawn * (seen.mean() / drawn.mean())), dtype=np.int64)


def quota_tokens(case: Case, name: str) -> tuple[CallTokens, int]:
    """What a mean call of a Bedrock model takes from its quota, and the max_tokens it reserves."""
    calls, model, mask = case.calls, case.prices.models[name], case.calls.of(name)
    max_tokens = case.scenario.assistant.max_tokens or model.max_output_tokens
    tokens = call_tokens(
        input_tokens=float(calls.input_tokens[mask].mean()),
        cache_read_tokens=float(calls.cache_read_tokens[mask].mean()),
        cache_write_tokens=float((calls.cache_write_tokens_5m + calls.cache_write_tokens_1h)[mask].mean()),
        output_tokens=float(calls.output_tokens[mask].mean()),
        max_tokens=max_tokens,
        output_burndown_ratio=model.quota.output_burndown_ratio if model.quota else 1.0,
    )
    return tokens, max_tokens


def limits_of(case: Case, name: str, region: str) -> Granted:
    """What a Bedrock model may be asked in a region: stated, held, or published."""
    model = case.prices.models[name]
    held = case.held.limits(model, region) if case.held is not None else None
    return granted(model, case.scenario.quotas.get(name), held)


def latency_s(case: Case, name: str) -> float:
    """Mean seconds of a model's call: the run's, else the stated assumption."""
    measured = case.calls.latency_s.get(name)
    if measured is not None:
        return measured
    return assumed_latency_s(float(case.calls.output_tokens[case.calls.of(name)].mean()))


def binding_quota(quotas: Sequence[QuotaNeed]) -> str:
    """The kind nearest to its limit at p90, under the reading that is nearer."""
    known = [need for need in quotas if need.granted]
    if not known:
        return "no quota figure: read your account's Service Quotas"
    worst = max(known, key=lambda need: need.pressure)
    reading = "reservation" if worst.needed_reservation.p90 > worst.needed_settlement.p90 else "settlement"
    return f"{worst.kind} ({reading}): {worst.pressure:.0%} of {worst.granted:,.0f} at p90"


def own_supply(case: Case, name: str) -> Sized:
    """Rates of one own model on every allowed chip, and its fleets in every region.

    Raises:
        PlanError: the planner of the background searches answers turns too.
    """
    _refuse_shared_planner(case, name)
    own = case.scenario.capacity.own.get(name)
    lengths = lengths_of(case, name)
    made: list[Service] = []
    notes: list[str] = []
    warnings: dict[str, list[str]] = {}
    if own is None:
        notes.append(f"{name}: no chips allowed in capacity.own, so it is not sized and costs nothing here")
    else:
        steps = usable_models(own, name, case.prices.models[name], case.step_models)
        notes += _unmeasured(name, own.chips, {step.chip for step in steps})
        slos = _slos(own, _deadline_s(case, name))
        origin = case.calls.provenance.get(name, "assumed")
        for step in steps:
            service, warned = make_service(name, step, lengths, slos, origin, case.seed)
            made.append(service)
            for text in warned:
                warnings.setdefault(text, []).append(step.chip)
        notes += [f"{name} on {', '.join(chips)}: {text}" for text, chips in warnings.items()]
    pairs = [_own_region(case, name, region, made, lengths) for region in case.regions]
    supplies = tuple(supply for supply, _ in pairs)
    choices = tuple(choice for _, choice in pairs if choice is not None)
    if made and not choices:
        why = "; ".join(f"{option.chip}: {option.rejected}" for option in supplies[0].options)
        notes.append(f"{name}: no chip meets its SLOs, so it is not sized and its cost is missing ({why})")
    return Sized(name, tuple(made), supplies, choices, tuple(notes))


def _unmeasured(name: str, chips: Sequence[str], known: set[str]) -> list[str]:
    """What an allowed chip without a step model means for the plan."""
    missing = ", ".join(chip for chip in chips if chip not in known)
    if not known:
        return [f"{name}: no step model for {missing}, so it is not sized; measure it with `peakday bench run`"]
    told = f"{name}: {missing} not compared, as there is no step model of it; --step-model takes one of `calibrate`"
    return [told] if missing else []


def _refuse_shared_planner(case: Case, name: str) -> None:
    mix, policy = case.scenario.mix, case.scenario.assistant.policy
    answering = {policy.model_for(intent, kind) for intent in mix.intents for kind in ("simple", "complex")}
    if case.is_planner(name) and name in answering:
        raise PlanError(
            f"scenario {case.scenario.name}: assistant.router.planner_model: {name!r} also answers turns "
            "(assistant.policy), and one fleet cannot be sized for short searches and long answers at once: "
            "give the searches a model of their own"
        )


def _own_region(
    case: Case, name: str, region: str, made: Sequence[Service], lengths: Lengths
) -> tuple[SupplyPlan, OwnChoice | None]:
    carried = case.carried_per_s(name, region)
    stream = PLANNER_QUERIES if case.is_planner(name) else INTERACTIONS
    terms = Terms(case.draws, case.prices, case.scenario.capacity.resilience, case.paid_s)
    options, choice = chip_options(made, carried, region, stream, terms)
    chosen = next((option for option in options if option.rejected is None), None)
    supply = SupplyPlan(
        region=region,
        model=name,
        supply="self_hosted",
        calls_per_s=carried,
        input_tokens_per_call=_tokens_figure(case, name, lengths.input_tokens),
        output_tokens_per_call=_tokens_figure(case, name, lengths.output_tokens),
        binding=chosen.binding if chosen else "not sized: see warnings",
        options=options,
        **_arithmetic(case, name, region),
    )
    return supply, choice


def own_usd_per_call(case: Case, supplies: Sequence[SupplyPlan], *, at_list: bool = False) -> dict[str, float]:
    """Dollars of chips per call: every region's fleet, spare and warm-up included, over the event's calls."""
    usd: dict[str, float] = {}
    for supply in supplies:
        if supply.supply == "self_hosted":
            chosen = supply.chosen
            spent = 0.0 if chosen is None else (chosen.event_list_usd if at_list else chosen.event_usd)
            usd[supply.model] = usd.get(supply.model, 0.0) + spent
    calls = {name: sum(case.calls_in_event(name, region) for region in case.regions) for name in usd}
    return {name: total / calls[name] if calls[name] else 0.0 for name, total in usd.items()}


def lengths_of(case: Case, name: str) -> Lengths:
    """Token lengths of a model's calls: of the planner the searches (the router's few calls of it are as short), else a
    sample of its calls.
    """
    calls, mask = case.calls, case.calls.of(name)
    queries = case.scenario.demand.background.planner_queries
    if queries is not None and (case.is_planner(name) or not mask.any()):
        prompt, answer = max(1, queries.input_tokens), max(1, queries.output_tokens)
        return Lengths(np.array([prompt]), np.array([answer]), np.array([0]))
    prompts = calls.prompt_tokens[mask][:SAMPLE_CALLS_MAX]
    answers = np.maximum(1, calls.output_tokens[mask][:SAMPLE_CALLS_MAX])
    cached = np.minimum(calls.cache_read_tokens[mask][:SAMPLE_CALLS_MAX], prompts - 1)
    return Lengths(prompts, answers, cached)


def _arithmetic(case: Case, name: str, region: str) -> dict[str, Any]:
    """The inputs of a supply's arithmetic as numbers, for spreadsheets."""
    calls, mask, prices = case.calls, case.calls.of(name), case.prices.models[name].prices
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
        "calls_in_event": case.calls_in_event(name, region),
        "tokens_per_call": {key: float(values[mask].mean()) for key, values in columns.items()} if mask.any() else {},
        "prices_usd_per_mtok": {key: usd for key, usd in known.items() if usd is not None},
    }


def _slos(own: OwnSupply, deadline_s: float | None) -> tuple[Slo, ...]:
    """What a replica owes its callers at p99; a deadline is on the last token, where the whole answer is awaited."""
    e2e = () if deadline_s is None else (Slo("e2e_s", 0.99, deadline_s),)
    return (Slo("ttft_s", 0.99, own.ttft_s_p99), Slo("tpot_s", 0.99, own.tpot_s_p99), *e2e)


def _deadline_s(case: Case, name: str) -> float | None:
    queries = case.scenario.demand.background.planner_queries
    return queries.deadline_s if queries is not None and case.is_planner(name) else None


def _tokens_figure(case: Case, name: str, values: Ints) -> Figure:
    """Mean tokens of a call; its range holds its sampling error, by interaction, and the spread that plans draw.

    A search of the planner is of the length the scenario states, with no range.
    """
    origin, mean = case.calls.provenance.get(name, "assumed"), float(values.mean())
    interaction = case.calls.turn_interaction[case.calls.turn[case.calls.of(name)]][: len(values)]
    stated = case.is_planner(name) or not len(interaction)
    half = 0.0 if stated else math.hypot(math.log1p(case.spread), Z_90 * _mean_error(values, interaction) / mean)
    return Figure(
        mean, mean * math.exp(-half), mean * math.exp(half), "tokens", origin,
        case.calls.source, simulated=origin == "simulated",
    )  # fmt: skip


def _mean_error(values: Ints, interaction: Ints) -> float:
    """One sigma of a mean over calls whose interactions are independent: those of one interaction resemble each other.

    Source: the ratio estimator of cluster sampling (Cochran 1977, ch. 6), sqrt(sum of (clusters' excess)^2) / n.
    """
    excess = np.bincount(interaction, weights=values - values.mean())
    return math.sqrt(float((excess * excess).sum())) / len(values)
