"""Rows of the record from states and answers, in the column order of `loadgen.record`."""

from __future__ import annotations

from typing import Any

from loadgen.schedule.session import SessionState
from loadgen.tables import CALLS, ERROR_WAIT_MIN_S, TOOLS, TURNS, WAITED_STATUSES
from loadgen.transport.answer import Answer

Row = list[Any]
"""Cells in the order of a table's columns: text, numbers, true or false, or null."""

_CALL_COLUMNS = tuple(CALLS)[3:]
_TOOL_COLUMNS = tuple(TOOLS)[3:]
TURN_COLUMNS = tuple(TURNS)
TURN_KEY = slice(1, 4)
"""Where session, interaction and turn stand in a row of `turns`: the key of all other tables."""


def has_waited(answer: Answer) -> bool:
    """Whether a turn ended without its answer, but not at once: it was given up, or an error came after a wait."""
    if answer.status in WAITED_STATUSES:
        return True
    late = bool(answer.first_ns) or answer.end_ns - answer.start_ns >= ERROR_WAIT_MIN_S * 1e9
    return answer.status != "ok" and bool(answer.start_ns) and late


def turn_row(state: SessionState, answer: Answer, t0_ns: int) -> Row:
    """One row of `turns`. E2E ends at the last content, or at the end of the wait where none is known."""
    meta = answer.meta
    intended, start, first = answer.intended_ns, answer.start_ns, answer.first_ns
    waited = has_waited(answer)
    end = answer.end_ns if waited or not answer.last_ns else answer.last_ns
    timed = bool(start) and (waited or answer.status == "ok")
    return [
        state.customer_hash,
        state.session_id,
        state.interaction_id,
        state.turn_index,
        meta.get("trace_id"),
        meta.get("intent"),
        meta.get("complexity"),
        meta.get("region") or state.region,
        meta.get("route"),
        meta.get("route_s"),
        meta.get("prefetch_s"),
        meta.get("guard_action"),
        meta.get("escalated"),
        (intended - t0_ns) * 1e-9,
        (start - intended) * 1e-9 if start else None,
        (answer.ttfb_ns - intended) * 1e-9 if answer.ttfb_ns else None,
        (first - intended) * 1e-9 if first else None,
        (end - intended) * 1e-9 if timed else None,
        (first - start) * 1e-9 if first else None,
        (end - start) * 1e-9 if timed else None,
        answer.tpot_s,
        answer.gap_ns_max * 1e-9 if answer.gap_ns_max else None,
        answer.chunks,
        answer.output_tokens,
        answer.status,
        answer.error_code,
        answer.cost_usd,
        state.began_before,
    ]


def call_rows(key: list[object], answer: Answer) -> list[Row]:
    """Rows of `calls`: one per model call the target reported. `key` is the turn's."""
    return [[*key, *map(call.get, _CALL_COLUMNS)] for call in answer.calls]


def tool_rows(key: list[object], answer: Answer) -> list[Row]:
    """Rows of `tools`."""
    return [[*key, *map(tool.get, _TOOL_COLUMNS)] for tool in answer.tools]
