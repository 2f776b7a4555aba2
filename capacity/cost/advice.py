"""What could be changed: how long each prompt level should be cached, and which routing buys which quality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

from capacity.caching.hit_ratio import TTL_S, TtlChoice, cheapest_ttl, ttl_hit_ratio
from capacity.caching.risk import fitted_shards, followed_within
from capacity.cost.interaction import cache_hit_figures, call_costs
from capacity.demand.calls import Calls, assumed_calls
from capacity.fleet.inputs import PlanInputs
from capacity.plan import PlanError
from capacity.rows.money import CacheAdvice, RoutingOption
from facts.reader import Model, Quality
from facts.stack import CacheTtl, Policy, Ttl
from scenarios.schema import Scenario

ROUTING_INTERACTIONS = 1_000
ADVICE_INTERACTIONS = 4_000
LIFETIMES: tuple[Ttl, ...] = ("5m", "1h")


def cache_advice(inputs: PlanInputs) -> tuple[CacheAdvice, ...]:
    """Per Bedrock model and prompt level, none, 5m or 1h: what a million tokens of the level cost under each.

    shared: Poisson calls of the region with least traffic, over the shards a run tells, else one. customer and
    conversation: without a run the scenario's own sessions replayed under each lifetime, as hits are; with one, what
    a call of an interaction leaves for the next, turns following after thinking and typing. They differ in what a
    model's minimum is held against: all up to the customer's own part, or the whole prompt.
    """
    rows = []
    replayed = {} if inputs.measured or inputs.usage else {ttl: _replayed(inputs, ttl) for ttl in LIFETIMES}
    for name in inputs.model_names:
        model = inputs.prices.models[name]
        mask = inputs.calls.of(name)
        if model.supply != "bedrock" or model.prices is None or not mask.any():
            continue
        shared = float(inputs.calls.shared_tokens[mask].mean())
        if shared > 0:
            rate = min(inputs.calls_in_event(name, r) for r in inputs.regions) / inputs.scenario.event.length_s
            shards = fitted_shards(inputs, name) or 1.0
            cheapest = cheapest_ttl(
                lambda ttl, rate=rate / shards: ttl_hit_ratio(rate, ttl),  # type: ignore[misc]
                model.prices, model.cache.ttls, shared, model.cache.min_tokens,
            )  # fmt: skip
            rows.append(_row(name, "shared", cheapest))
        customer = float(inputs.calls.customer_tokens[mask].mean())
        prompt = float(inputs.calls.prompt_tokens[mask].mean())
        levels = {"customer": customer} if customer > shared >= 0 else {}
        for level, tokens in (levels | {"conversation": prompt}).items():
            hits = followed_within(inputs, name)
            if replayed:
                by_seconds = {TTL_S[ttl]: cache_hit_figures(calls, name)[level] for ttl, calls in replayed.items()}
                hits = by_seconds.__getitem__
            cheapest = cheapest_ttl(hits, model.prices, model.cache.ttls, tokens, model.cache.min_tokens)
            rows.append(_row(name, level, cheapest))
    return tuple(rows)


def _replayed(inputs: PlanInputs, ttl: Ttl) -> Calls:
    """The scenario's calls, were every level kept for this long."""
    lifetimes = CacheTtl(shared=ttl, customer=ttl, conversation=ttl)
    assistant = replace(inputs.scenario.assistant, cache_ttl=lifetimes)
    scenario = inputs.scenario.model_copy(update={"assistant": assistant})
    return assumed_calls(scenario, inputs.prices.models, seed=inputs.seed, interactions=ADVICE_INTERACTIONS)


def _row(model: str, level: str, cheapest: TtlChoice) -> CacheAdvice:
    return CacheAdvice(model, level, cheapest.choice, cheapest.usd_per_mtok, cheapest.hit_ratio)


def routing_trade_off(
    inputs: PlanInputs, self_hosted_usd_per_call: Mapping[str, float], quality_rows: Sequence[Quality]
) -> tuple[RoutingOption, ...]:
    """The policy as planned, and each answering model alone: dollars of an interaction, quality and latency.

    Tokens are the scenario's assumed ones throughout, so that the policies are compared on the same calls.
    Seconds are the means of a run's calls by model, by the calls a policy sends each; none where one is not timed.
    """
    scenario, models = inputs.scenario, inputs.prices.models
    policies = {"as planned": scenario.assistant.policy}
    for name in scenario.models:
        answers = any(row.model == name for row in quality_rows)
        if answers and (models[name].prices is not None or self_hosted_usd_per_call.get(name)):
            policies[f"all {name}"] = Policy(simple=name, complex=name)
    floor = scenario.capacity.quality_floor
    if floor is not None:
        alone = [name for name in scenario.models if f"all {name}" in policies]
        policies |= cheapest_policy(inputs, alone, floor, self_hosted_usd_per_call, quality_rows)
    return tuple(
        _policy_row(inputs, models, what, policy, self_hosted_usd_per_call, quality_rows)
        for what, policy in policies.items()
    )


def cheapest_policy(
    inputs: PlanInputs,
    names: Sequence[str],
    floor: float,
    self_hosted_usd_per_call: Mapping[str, float],
    quality_rows: Sequence[Quality],
) -> dict[str, Policy]:
    """The cheapest model for each intent and complexity, so that the share of acceptable turns keeps the floor.

    A turn costs what a turn of its intent costs where one model answers all; the chosen policy is then priced whole.
    Solved exactly, as a small integer program (HiGHS).

    Raises:
        PlanError: no mixture of these models reaches the floor.
    """
    scenario = inputs.scenario
    groups = [
        (intent, kind, mix.weight * share)
        for intent, mix in scenario.mix.intents.items()
        for kind, share in (("simple", 1 - mix.complex_ratio), ("complex", mix.complex_ratio))
    ]
    costs = {name: _turn_usd(inputs, name, self_hosted_usd_per_call) for name in names}
    quality = {(g[0], g[1], name): _quality_of(g[0], g[1], name, quality_rows) for g in groups for name in names}
    pairs = [(group, name) for group in groups for name in names if quality[group[0], group[1], name] is not None]
    price = np.array([group[2] * costs[name].get(group[0], 0.0) for group, name in pairs])
    worth = np.array([group[2] * float(quality[group[0], group[1], name] or 0.0) for group, name in pairs])
    one = np.array([[pair[0] is group for pair in pairs] for group in groups], dtype=np.float64)
    found = milp(
        price,
        constraints=[LinearConstraint(one, 1, 1), LinearConstraint(worth[None, :], floor - 1e-12)],
        integrality=np.ones(len(pairs)),
        bounds=Bounds(0, 1),
    )
    if found.x is None:
        best = sum(max((w for w, pair in zip(worth, pairs, strict=True) if pair[0] is g), default=0.0) for g in groups)
        raise PlanError(
            f"scenario {scenario.name}: capacity.quality_floor: {floor:g} acceptable is reached by no mixture of "
            f"{', '.join(names)}; the best has {best:.3f}"
        )
    chosen = {f"{g[0]}/{g[1]}": name for (g, name), taken in zip(pairs, found.x, strict=True) if taken > 0.5}
    by_model = {name: [route for route, other in chosen.items() if other == name] for name in names}
    words = "; ".join(f"{name}: {', '.join(routes)}" for name, routes in by_model.items() if routes)
    return {f"the cheapest of {floor:g} acceptable ({words})": Policy(by_intent=chosen)}


def _turn_usd(inputs: PlanInputs, name: str, self_hosted_usd_per_call: Mapping[str, float]) -> dict[str, float]:
    """Mean dollars of a turn by its intent, where one model answers every turn."""
    models = inputs.prices.models
    assistant = replace(inputs.scenario.assistant, policy=Policy(simple=name, complex=name))
    scenario = inputs.scenario.model_copy(update={"assistant": assistant})
    calls = assumed_calls(scenario, models, seed=inputs.seed, interactions=ROUTING_INTERACTIONS)
    own = {
        key: self_hosted_usd_per_call.get(key, 0.0) for key, model in models.items() if model.supply == "self_hosted"
    }
    usd = np.bincount(calls.turn, weights=call_costs(calls, models, own).total_usd, minlength=calls.turns)
    return {str(intent): float(usd[calls.turn_intent == intent].mean()) for intent in set(calls.turn_intent.tolist())}


def _quality_of(intent: str, complexity: str, name: str, quality_rows: Sequence[Quality]) -> float | None:
    """Share of acceptable turns: the row of the intent, else that of any; None where there is none."""
    row = _quality_row(intent, complexity, name, quality_rows)
    return None if row is None else row.acceptable_ratio


def _quality_row(intent: str, complexity: str, name: str, quality_rows: Sequence[Quality]) -> Quality | None:
    rows = [r for r in quality_rows if r.model == name and r.complexity == complexity and r.intent in (intent, "any")]
    return max(rows, key=lambda r: r.intent == intent, default=None)


def _policy_row(
    inputs: PlanInputs,
    models: Mapping[str, Model],
    what: str,
    policy: Policy,
    self_hosted_usd_per_call: Mapping[str, float],
    quality_rows: Sequence[Quality],
) -> RoutingOption:
    assistant = replace(inputs.scenario.assistant, policy=policy)
    scenario = inputs.scenario.model_copy(update={"assistant": assistant})
    calls: Calls = assumed_calls(scenario, models, seed=inputs.seed, interactions=ROUTING_INTERACTIONS)
    own = {
        name: self_hosted_usd_per_call.get(name, 0.0) for name, model in models.items() if model.supply == "self_hosted"
    }
    ratio, provenance = _acceptable(scenario, policy, quality_rows)
    return RoutingOption(
        policy=what,
        usd_per_interaction=float(call_costs(calls, models, own).total_usd.sum()) / calls.interactions,
        acceptable_ratio=ratio,
        seconds_per_call=_seconds_per_call(inputs, calls),
        provenance=provenance,
    )


def _seconds_per_call(inputs: PlanInputs, calls: Calls) -> float | None:
    """Mean seconds of a policy's calls, sent to last token, as the run timed each model; None where it did not."""
    timed = inputs.calls.latency_s
    names = calls.model.tolist()
    if not all(name in timed for name in set(names)):
        return None
    return sum(timed[name] for name in names) / len(names)


def _acceptable(scenario: Scenario, policy: Policy, quality_rows: Sequence[Quality]) -> tuple[float | None, str]:
    """Share of turns expected to be acceptable under a policy; None when a model in it has no quality row."""
    total, origins = 0.0, set()
    for intent, mix in scenario.mix.intents.items():
        for complexity, share in (("simple", 1 - mix.complex_ratio), ("complex", mix.complex_ratio)):
            name = policy.model_for(intent, complexity)
            row = _quality_row(intent, complexity, name, quality_rows)
            if row is None:
                return None, "assumed"
            total += mix.weight * share * row.acceptable_ratio
            origins.add(row.provenance)
    return total, next((origin for origin in ("simulated", "assumed") if origin in origins), "expert_estimate")
