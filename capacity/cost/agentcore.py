"""An assistant that runs on Bedrock AgentCore: how long its sessions live, how often it is called, what that costs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from capacity.demand.calls import ASSUMED_TPOT_S, ASSUMED_TTFT_S, Calls
from capacity.demand.conversations import converse
from facts.agentcore import agent_facts
from scenarios.objectives import AgentCore
from scenarios.schema import Scenario

SESSIONS_DRAWN = 2_000
HOUR_S = 3_600.0


@dataclass(frozen=True)
class Use:
    """Of one interaction: sessions begun, seconds that a session of its lives, turns, tool calls."""

    sessions: float
    lives_s: float
    turns: float
    tool_calls: float
    works_s: float  # of one session: from its first turn to its last answer


def use_of(scenario: Scenario, agent: AgentCore, calls: Calls, seed: int) -> Use:
    """From the scenario's own sessions: waits as its customers take them, answers as long as assumed.

    A session lives on for the idle time after its last answer, and never longer than the service lets it.
    """
    spoken = converse(scenario, SESSIONS_DRAWN, np.random.default_rng([seed, 0xA6E7]))
    turns = len(spoken.interaction)
    per_turn = len(calls.turn) / calls.turns
    answer_s = per_turn * (ASSUMED_TTFT_S + float(calls.output_tokens.mean()) * ASSUMED_TPOT_S)
    works_s = (float(spoken.wait_s.sum()) + turns * answer_s) / spoken.sessions
    tools = per_turn - 1 if agent.tool_calls_per_turn is None else agent.tool_calls_per_turn
    of_interaction = calls.turns / calls.interactions
    longest_s = agent_facts()["session_s_max"].value
    return Use(
        sessions=spoken.sessions / spoken.interactions,
        lives_s=min(works_s + agent.idle_s, longest_s),
        turns=of_interaction,
        tool_calls=tools * of_interaction,
        works_s=min(works_s, longest_s),
    )


def usd_per_interaction(use: Use, agent: AgentCore) -> dict[str, float]:
    """Dollars by meter: processors for the busy share of a session's work, memory for all of its life."""
    facts = {name: fact.value for name, fact in agent_facts().items()}
    busy_h = use.works_s * agent.busy_ratio * agent.vcpus / HOUR_S
    held_gb_h = use.lives_s * agent.memory_gb / HOUR_S
    usd = {
        "agent runtime": use.sessions * (busy_h * facts["usd_per_vcpu_hour"] + held_gb_h * facts["usd_per_gb_hour"]),
        "agent memory": use.turns * agent.memory_events_per_turn * facts["usd_per_thousand_memory_events"] / 1_000,
        "agent gateway": use.tool_calls * facts["usd_per_thousand_tool_calls"] / 1_000,
    }
    return {name: value for name, value in usd.items() if value > 0}
