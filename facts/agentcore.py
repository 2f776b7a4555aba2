"""Bedrock AgentCore: default limits of sessions and calls, and prices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from facts.reader import keyed


@dataclass(frozen=True)
class AgentFact:
    """One limit or price. name: a limit of one region alone has it behind a slash."""

    name: str
    value: float
    unit: str
    what: str
    status: str
    source: str
    source_date: str


@cache
def agent_facts() -> Mapping[str, AgentFact]:
    """Limits and prices by name."""
    return keyed(AgentFact, "agentcore.csv", "name")


def agent_limit(name: str, region: str) -> AgentFact:
    """A limit in a region: its own where it has one."""
    return agent_facts().get(f"{name}/{region}") or agent_facts()[name]
