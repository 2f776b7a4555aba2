"""What could be changed: how long each prompt level should be cached, and which routing buys which quality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from capacity.caching.hit_ratio import TtlChoice, cheapest_ttl, ttl_hit_ratio
from capacity.caching.risk import fitted_shards, followed_within
from capacity.cost.interaction import call_costs
from capacity.demand.calls import Calls, assumed_calls
from capacity.fleet.inputs import Case
from capacity.plan import CacheAdvice, RoutingOption
from facts.reader import Model, Quality
from facts.stack import Policy
from scenarios.schema import Scenario

ROUTING_INTERACTIONS = 1_000


def cache_advice(case: Case) -> tuple[CacheAdvice, ...]:
    """Per Bedrock model and prompt level, none, 5m or 1h: what a million tokens of the level cost under each.

    shared: Poisson calls of the region with least traffic, over the shards a run tells, else one. customer and
    conversation: what one call of an interaction leaves for the next; calls of one turn follow at once, turns after the
    customer's thinking and typing; a customer who comes back later finds nothing. They differ in what a model's minimum
    is held against: all up to the customer's own part, or the whole prompt.
    """
    rows = []
    for name in case.model_names:
        model = case.prices.models[name]
        mask = case.calls.of(name)
        if model.supply != "bedrock" or model.prices is None or not mask.any():
            continue
        shared = float(case.calls.shared_tokens[mask].mean())
        if shared > 0:
            rate = min(case.calls_in_event(name, r) for r in case.regions) / case.scenario.event.length_s
            shards = fitted_shards(case, name) or 1.0
            cheapest = cheapest_ttl(
                lambda ttl, rate=rate / shards: ttl_hit_ratio(rate, ttl),  # type: ignore[misc]
                model.prices, model.cache.ttls, shared, model.cache.min_tokens,
            )  # fmt: skip
            rows.append(_row(name, "shared", cheapest))
        customer = float(case.calls.customer_tokens[mask].mean())
        if customer > shared >= 0:
            cheapest = cheapest_ttl(
                followed_within(case, name), model.prices, model.cache.ttls, customer, model.cache.min_tokens
            )
            rows.append(_row(name, "customer", cheapest))
        prompt = float(case.calls.prompt_tokens[mask].mean())
        cheapest = cheapest_ttl(
            followed_within(case, name), model.prices, model.cache.ttls, prompt, model.cache.min_tokens
        )
        rows.append(_row(name, "conversation", cheapest))
    return tuple(rows)


def _row(model: str, level: str, cheapest: TtlChoice) -> CacheAdvice:
    return CacheAdvice(model, level, cheapest.choice, cheapest.usd_per_mtok, cheapest.hit_ratio)


def routing_trade_off(
    case: Case, own_usd_per_call: Mapping[str, float], judged: Sequence[Quality]
) -> tuple[RoutingOption, ...]:
    """The policy as planned, and each answering model alone: dollars of an interaction, judged quality and latency.

    Tokens are the scenario's assumed ones throughout, so that the policies are compared on the same calls.
    Seconds are the means of a run's calls by model, by the calls a policy sends each; none where one is not timed.
    """
    scenario, models = case.scenario, case.prices.models
    policies = {"as planned": scenario.assistant.policy}
    for name in scenario.models:
        answers = any(row.model == name for row in judged)
        if answers and (models[name].prices is not None or own_usd_per_call.get(name)):
            policies[f"all {name}"] = Policy(simple=name, complex=name)
    return tuple(_policy_row(case, models, what, policy, own_usd_per_call, judged) for what, policy in policies.items())


def _policy_row(
    case: Case,
    models: Mapping[str, Model],
    what: str,
    policy: Policy,
    own_usd_per_call: Mapping[str, float],
    judged: Sequence[Quality],
) -> RoutingOption:
    assistant = replace(case.scenario.assistant, policy=policy)
    scenario = case.scenario.model_copy(update={"assistant": assistant})
    calls: Calls = assumed_calls(scenario, models, seed=case.seed, interactions=ROUTING_INTERACTIONS)
    own = {name: own_usd_per_call.get(name, 0.0) for name, model in models.items() if model.supply == "self_hosted"}
    ratio, provenance = _acceptable(scenario, policy, judged)
    return RoutingOption(
        policy=what,
        usd_per_interaction=float(call_costs(calls, models, own).total_usd.sum()) / calls.interactions,
        acceptable_ratio=ratio,
        seconds_per_call=_seconds_per_call(case, calls),
        provenance=provenance,
    )


def _seconds_per_call(case: Case, calls: Calls) -> float | None:
    """Mean seconds of a policy's calls, sent to last token, as the run timed each model; None where it did not."""
    timed = case.calls.latency_s
    names = calls.model.tolist()
    if not all(name in timed for name in set(names)):
        return None
    return sum(timed[name] for name in names) / len(names)


def _acceptable(scenario: Scenario, policy: Policy, judged: Sequence[Quality]) -> tuple[float | None, str]:
    """Share of turns expected to be acceptable under a policy; None when a model in it was never judged."""
    total, origins = 0.0, set()
    for intent, mix in scenario.mix.intents.items():
        for complexity, share in (("simple", 1 - mix.complex_ratio), ("complex", mix.complex_ratio)):
            name = policy.model_for(intent, complexity)
            rows = [r for r in judged if r.model == name and r.complexity == complexity and r.intent in (intent, "any")]
            if not rows:
                return None, "assumed"
            row = max(rows, key=lambda r: r.intent == intent)
            total += mix.weight * share * row.acceptable_ratio
            origins.add(row.provenance)
    return total, next((origin for origin in ("simulated", "assumed") if origin in origins), "expert_estimate")
