"""Spans of a turn, its model calls and its tools, and of a load run: OpenTelemetry's GenAI names, and never a text.

Names follow OpenTelemetry's semantic conventions for GenAI spans and agent spans, v1.41 (read 2026-11-29); what they
have no name for is `peakday.…`. Ids are computed, not drawn: a turn of the load generator has the span id that its
`traceparent` carried, so the assistant's turn is its child whoever sends first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b

from host.json_values import number, text, whole
from wire.text import Untrusted

INTERNAL, SERVER, CLIENT = 1, 2, 3
"""Kinds of opentelemetry.proto.trace.v1.Span."""
AGENT = "peakday"
_PROVIDERS = {"bedrock": "aws.bedrock", "self_hosted": "self_hosted"}
_INPUT = ("input_tokens", "cache_read_tokens", "cache_write_tokens_5m", "cache_write_tokens_1h")

_TRACE_ID = re.compile(r"(?!0{32})[0-9a-f]{16}(?!0{16})[0-9a-f]{16}")

Value = str | int | float | bool
Row = Mapping[str, Value | None]


@dataclass(frozen=True, slots=True)
class Span:
    """One span. Ids are hex; `parent_id` is empty at the root. `error` is an `error.type`; None: no error."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    kind: int
    start_ns: int
    end_ns: int
    attributes: Mapping[str, Value]
    error: str | None = None
    link: tuple[str, str] | None = None  # trace id and span id of the run


@dataclass(frozen=True, slots=True)
class ToolUsed:
    """One tool call of a turn: the round that asked for it counts from 1, its times from the turn's start."""

    name: str
    call_id: str
    round: int
    start_s: float
    duration_s: float
    status: str


@dataclass(frozen=True, slots=True)
class TurnTrace:
    """What the assistant knows of a turn when it ends; `calls` are its `usage` rows."""

    trace_id: str
    parent_id: str
    started_unix_s: float
    duration_s: float
    error: str | None
    attributes: Mapping[str, Value | None]
    calls: tuple[Row, ...] = ()
    tools: tuple[ToolUsed, ...] = ()

    @property
    def parts(self) -> int:
        """How many spans it becomes."""
        return 1 + len(self.calls) + len(self.tools)


@dataclass(frozen=True, slots=True)
class RunTrace:
    """A load run as the parent of its turns: each turn is a trace of its own, linked to the run's span."""

    run_id: str
    scenario: str
    started_ns: int  # t0
    ended_ns: int
    attributes: Mapping[str, Value | None] = field(default_factory=dict)

    @property
    def ids(self) -> tuple[str, str]:
        """Trace id and span id."""
        trace_id = blake2b(f"peakday run {self.run_id}".encode(), digest_size=16).hexdigest()
        return trace_id, root_span_id(trace_id)


def root_span_id(trace_id: str) -> str:
    """The span id that a `traceparent` of ours carries: the second half of its trace id."""
    return trace_id[16:]


def turn_spans(turn: TurnTrace) -> list[Span]:
    """The assistant's turn, under it its model calls, and under the call that asked for them the tools."""
    root = _id(turn.trace_id, "turn")
    base_ns = int(turn.started_unix_s * 1e9)
    attributes = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": AGENT, **turn.attributes}
    spans = [
        Span(
            f"invoke_agent {AGENT}", turn.trace_id, root, turn.parent_id, SERVER, base_ns,
            base_ns + _ns(turn.duration_s), _known(attributes), turn.error,
        )
    ]  # fmt: skip
    rounds = [_id(turn.trace_id, f"call {row['call_index']}") for row in turn.calls if row["purpose"] == "tool_round"]
    spans += [_call_span(turn.trace_id, root, base_ns, row) for row in turn.calls]
    for place, tool in enumerate(turn.tools):
        asked = rounds[tool.round - 1] if tool.round <= len(rounds) else root
        spans.append(_tool_span(turn.trace_id, asked, base_ns, place, tool))
    return spans


def run_span(run: RunTrace) -> Span:
    """The load run itself."""
    trace_id, span_id = run.ids
    attributes = {"peakday.run_id": run.run_id, "peakday.scenario": run.scenario, **run.attributes}
    return Span("load run", trace_id, span_id, "", INTERNAL, run.started_ns, run.ended_ns, _known(attributes))


def offered_turn_span(run: RunTrace, row: Row) -> Span:
    """One turn as the load generator saw it, from a row of `turns`: from its send to its last content, or its end.

    A turn that was never sent, or has no trace id, is a span of its own trace at the time it was due.
    """
    sent = row["trace_id"]  # as a target repeats it
    trace_id = sent if isinstance(sent, str) and _TRACE_ID.fullmatch(sent) else _id128(run.run_id, row)
    lag_s = row["start_lag_s"]
    start_ns = run.started_ns + _ns(number(row["intended_start_s"]) + number(lag_s))
    attributes = {
        "peakday.run_id": run.run_id,
        "peakday.scenario": run.scenario,
        "session.id": row["session_id"],
        "gen_ai.conversation.id": row["interaction_id"],
        "peakday.turn_index": row["turn_index"],
        "peakday.intent": row["intent"],
        "peakday.complexity": row["complexity"],
        "peakday.route": row["route"],
        "peakday.region": row["region"],
        "peakday.status": row["status"],
        "peakday.start_lag_s": lag_s,
        "peakday.ttft_s": row["ttft_s"],
        "peakday.e2e_s": row["e2e_s"],
        "gen_ai.usage.output_tokens": row["output_tokens"],
        "peakday.cost_usd": row["cost_usd"],
    }
    return Span(
        "turn", trace_id, root_span_id(trace_id), "", CLIENT, start_ns,
        start_ns + _ns(number(row["e2e_from_send_s"])), _known(attributes), _error(row), run.ids,
    )  # fmt: skip


def _call_span(trace_id: str, parent: str, base_ns: int, row: Row) -> Span:
    counts = [row[name] for name in _INPUT]
    written = [whole(row[name]) for name in _INPUT[2:] if row[name] is not None]
    supply = text(row["supply"])
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": _PROVIDERS.get(supply, supply),
        "gen_ai.request.model": row["model"],
        "gen_ai.request.max_tokens": row["max_tokens"],
        "gen_ai.usage.input_tokens": None if counts[0] is None else sum(whole(count) for count in counts),
        "gen_ai.usage.output_tokens": row["output_tokens"],
        "gen_ai.usage.cache_read.input_tokens": row["cache_read_tokens"],
        "gen_ai.usage.cache_creation.input_tokens": sum(written) if written else None,
        "peakday.purpose": row["purpose"],
        "peakday.call_index": row["call_index"],
        "peakday.attempts": row["attempts"],
        "peakday.region": row["region"],
        "peakday.stop_reason": row["stop_reason"],
        "peakday.ttft_s": row["ttft_s"],
        "peakday.cost_usd": row["cost_usd"],
    }
    start_ns = base_ns + _ns(number(row["start_s"]))
    return Span(
        f"chat {row['model']}", trace_id, _id(trace_id, f"call {row['call_index']}"), parent, CLIENT, start_ns,
        start_ns + _ns(number(row["e2e_s"])), _known(attributes), _error(row),
    )  # fmt: skip


def _tool_span(trace_id: str, parent: str, base_ns: int, place: int, tool: ToolUsed) -> Span:
    name = Untrusted(tool.name).label
    attributes: dict[str, Value | None] = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": name,
        "gen_ai.tool.call.id": tool.call_id,
        "gen_ai.tool.type": "function",
        "peakday.status": tool.status,
        "peakday.round": tool.round,
    }
    start_ns = base_ns + _ns(tool.start_s)
    failed = tool.status if tool.status in ("error", "timeout") else None
    return Span(
        f"execute_tool {name}", trace_id, _id(trace_id, f"tool {place}"), parent, INTERNAL, start_ns,
        start_ns + _ns(tool.duration_s), _known(attributes), failed,
    )  # fmt: skip


def _error(row: Row) -> str | None:
    """The code of what went wrong, or the status that says that something did."""
    return None if row["status"] == "ok" else Untrusted(text(row["error_code"]) or text(row["status"])).label


def _known(attributes: Mapping[str, Value | None]) -> dict[str, Value]:
    """What is known, each text short and on one line: a target or a model may have named it."""
    return {
        name: Untrusted(value).label if isinstance(value, str) else value
        for name, value in attributes.items()
        if value is not None
    }


def _ns(seconds: float) -> int:
    return max(0, int(seconds * 1e9))


def _id(trace_id: str, part: str) -> str:
    return blake2b(f"{trace_id} {part}".encode(), digest_size=8).hexdigest()


def _id128(run_id: str, row: Row) -> str:
    key = f"{run_id} {row['session_id']} {row['interaction_id']} {row['turn_index']}"
    return blake2b(key.encode(), digest_size=16).hexdigest()
