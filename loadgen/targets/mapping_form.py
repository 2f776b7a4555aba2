"""The form of a target mapping: the keys of its YAML file, once `loadgen.targets.mapping` has checked them."""

from __future__ import annotations

from typing import TypedDict


class Rule(TypedDict, total=False):
    """Where a part of an answer stands: an event by its names, a dotted path, how the text is encoded, what ends it."""

    event: str | list[str]
    path: str
    encoding: str
    data: object
    equals: object
    absent: str
    close: bool


class TokenSource(TypedDict, total=False):
    """A user's own command that prints a token, and how old one may become."""

    command: list[str]
    refresh_s: float


class Signing(TypedDict):
    """AWS Signature Version 4."""

    service: str
    region: str


class ToolCall(TypedDict, total=False):
    """A tool of an MCP server; None lists the tools."""

    tool: str | None
    weight: float
    arguments: dict[str, object]


class TargetMapping(TypedDict, total=False):
    """How to ask an assistant, and where in its answer things stand. docs/load.md says what each key means."""

    schema: str
    url: str | dict[str, str]
    method: str
    headers: dict[str, str]
    customers: str
    token: TokenSource
    body: object
    format: str
    framing: str
    event_name: str
    text: Rule | list[Rule]
    end: Rule | list[Rule]
    error: Rule | list[Rule]
    usage: dict[str, object] | list[dict[str, object]]
    conversation_id: Rule | list[Rule]
    tools: Rule | list[Rule]
    sigv4: Signing
    statuses: list[int]
    resend: bool
    open: list[object]
    calls: list[ToolCall]
    sessions: int
