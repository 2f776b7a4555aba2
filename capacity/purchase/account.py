"""Limits that are no one model's: the account's tokens a day over all models, and AgentCore's sessions and calls."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from capacity.cost.agentcore import use_of
from capacity.fleet.inputs import PlanInputs
from capacity.fleet.service_level import Mask, short_of
from capacity.purchase.joint import SizedPlan
from capacity.quotas.draws import quota_draws
from capacity.rows.figures import Levels
from capacity.rows.needs import AccountNeed
from capacity.simulator.requests import Floats
from facts.agentcore import agent_limit
from scenarios.demand import INTERACTIONS
from scenarios.schema import ACCOUNT

ACCOUNT_TPD = "account_tpd"


def account_needs(sized: SizedPlan) -> tuple[AccountNeed, ...]:
    """Every such limit by region: what demand needs of it, and what carries every draw that all else carries.

    So that asking for it adds no draw in which anything falls short.
    """
    inputs, carried = sized.inputs, sized.carried
    return tuple(
        need
        for region in inputs.regions
        for need in (*_tokens_a_day(sized, region, carried), *_agent(inputs, region, carried))
    )


def _tokens_a_day(sized: SizedPlan, region: str, carried: Mask) -> Iterator[AccountNeed]:
    inputs = sized.inputs
    stated = inputs.scenario.quotas.get(ACCOUNT)
    held = inputs.held.account_tpd(region) if inputs.held is not None else None
    granted, source = (stated.tpd, "scenario: quotas.account") if stated is not None else held or (None, "")
    days = [(s, need) for s in sized.supplies if s.region == region for need in s.quotas if need.kind == "tpd"]
    if granted is None or not days:
        return
    drawn = np.sum([quota_draws(inputs, s.model, region).settlement["tpd"] for s, _ in days], axis=0)
    levels = Levels(*(sum(getattr(need.needed_settlement, at) for _, need in days) for at in ("p50", "p90", "p95")))
    yield _need(ACCOUNT_TPD, region, levels, drawn, carried, granted, "tokens", source)


def _agent(inputs: PlanInputs, region: str, carried: Mask) -> Iterator[AccountNeed]:
    agent = inputs.scenario.capacity.meters.agentcore
    if agent is None:
        return
    use = use_of(inputs.scenario, agent, inputs.calls, inputs.seed)
    peak = inputs.demand[INTERACTIONS][region].timeline.peak_interactions_per_s
    factor = inputs.region_factor(region)
    drawn = factor * peak.p50 * inputs.draws.peak.get((INTERACTIONS, region), inputs.draws.demand[INTERACTIONS])
    counts = {
        "new_sessions_per_s": use.sessions,
        "active_sessions": use.sessions * use.lives_s,  # Little's law
        "invocations_per_s": use.turns / agent.agents,
        "tool_calls_per_s": use.tool_calls / agent.gateways,
    }
    for kind, count in counts.items():
        fact = agent_limit(kind, region)
        stated = agent.limits.get(kind)  # type: ignore[call-overload]
        source = f"AgentCore default, {fact.source} {fact.source_date} ({fact.status}); read your account's"
        levels = Levels(*(factor * value * count for value in (peak.p50, peak.p90, peak.p95)))
        granted = fact.value if stated is None else float(stated)
        source = source if stated is None else "scenario: capacity.meters.agentcore.limits"
        yield _need(kind, region, levels, drawn * count, carried, granted, fact.unit, source)


def _need(
    kind: str, region: str, levels: Levels, drawn: Floats, carried: Mask, granted: float, unit: str, source: str
) -> AccountNeed:
    """drawn: the need in each draw. What is asked for is the most that any carried draw needs."""
    draws = np.broadcast_to(drawn, carried.shape)
    most = float(draws[carried].max()) if carried.any() else levels.p90
    row = AccountNeed(kind, region, Levels(levels.p50, levels.p90, levels.p95, most), granted, unit, source)
    return AccountNeed(kind, region, row.needed, granted, unit, source, short_of(draws <= row.ask))
