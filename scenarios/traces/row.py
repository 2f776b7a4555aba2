"""One line of work in a trace: a model call, a tool's run, or an agent that holds both. stdlib only."""

from __future__ import annotations

from typing import NamedTuple

CALL, TOOL, AGENT, ROUND = "call", "tool", "agent", "round"


class TraceRow(NamedTuple):
    """One request of a log, or a tool or agent beside it. No text of a prompt or an answer is kept.

    Attributes:
        line: of the file, or the number of its record.
        at_s: its time; None where the file's sessions have no clock in common, and `since_s` counts from theirs.
        input_tokens: of the whole prompt, what a cache gave included; None where the file does not say.
        block_ids, block_tokens: prefix blocks in order, and how many tokens each holds.
        zone: its time is of a known zone, or since the log's start. unit: how a bare number was taken as a time.
        cache_read_tokens, cache_write_tokens: of the input tokens.
        turn: what the file itself keeps together as one message's work. starts_turn: whether a turn begins here, where
            the file shows it; None: it does not.
        agent: path of sub-agents in the session, empty for its own.
        key, parent: its own name in the file and that of the work around it.
        kind: `call`, `tool`, `agent`, or `round`: what lies around them and names their session (an HTTP request).
        scope: block ids of one scope mean the same content.
        failed: the service gave no answer.
        answer: the service's own name of its answer.
    """

    line: int
    at_s: float | None
    input_tokens: int | None = None
    output_tokens: int | None = None
    block_ids: tuple[int, ...] = ()
    block_tokens: tuple[int, ...] = ()
    session: str | None = None
    zone: bool = True
    unit: str = ""
    since_s: float | None = None
    duration_s: float | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    client: str | None = None
    model: str | None = None
    turn: str | None = None
    starts_turn: bool | None = None
    agent: str = ""
    key: str | None = None
    parent: str | None = None
    kind: str = CALL
    scope: str = ""
    failed: bool = False
    answer: str | None = None
