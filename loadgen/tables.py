"""The tables of a run record: their columns, and what a row's status may be. docs/run-record.md."""

from __future__ import annotations

from slo.slo import CENSORED, ERROR_STATUSES

TURN_STATUSES = ("ok", *ERROR_STATUSES, "abandoned", CENSORED)
WAITED_STATUSES = ("timeout", "abandoned", "censored")
"""Turns that ended while waiting: right-censored in latency quantiles, as are errors after a wait."""
ERROR_WAIT_MIN_S = 1.0
"""An error that came sooner, before any content, made nobody wait: it has no latency. A choice of ours."""

TURN_KEY = ("session_id", "interaction_id", "turn_index")

# Column -> type. "str", "int", "float", "bool"; every column may be null, and null means unknown, never zero.
TURNS: dict[str, str] = {
    "customer_id": "str",  # salted hash
    "session_id": "str",
    "interaction_id": "str",
    "turn_index": "int",
    "trace_id": "str",
    "intent": "str",
    "complexity": "str",
    "region": "str",
    "route": "str",
    "route_s": "float",
    "prefetch_s": "float",
    "guard_action": "str",
    "escalated": "bool",
    "intended_start_s": "float",  # from t0, the start of the window
    "start_lag_s": "float",
    "ttfb_s": "float",
    "ttft_s": "float",
    "e2e_s": "float",
    "ttft_from_send_s": "float",
    "e2e_from_send_s": "float",
    "tpot_s": "float",
    "gap_s_max": "float",
    "chunks": "int",
    "output_tokens": "int",
    "status": "str",
    "error_code": "str",
    "cost_usd": "float",
    "began_before": "bool",
}
CALLS: dict[str, str] = {
    "session_id": "str",
    "interaction_id": "str",
    "turn_index": "int",
    "call_index": "int",
    "start_s": "float",
    "timed_by": "str",  # loadgen, assistant
    "status": "str",
    "purpose": "str",  # route, answer, tool_round, grounding, judge
    "model": "str",
    "supply": "str",  # bedrock, self_hosted
    "endpoint": "str",
    "region": "str",
    "max_tokens": "int",
    "prefix_hash": "str",
    "prefix_shared_tokens": "int",
    "prefix_customer_tokens": "int",
    "input_tokens": "int",  # uncached
    "cache_read_tokens": "int",
    "cache_write_tokens_5m": "int",
    "cache_write_tokens_1h": "int",
    "output_tokens": "int",
    "ttft_s": "float",
    "tpot_s": "float",
    "e2e_s": "float",
    "attempts": "int",
    "error_code": "str",
    "tier_requested": "str",
    "tier_resolved": "str",
    "latency_mode": "str",
    "stop_reason": "str",
    "cost_usd": "float",
}
TOOLS: dict[str, str] = {
    "session_id": "str",
    "interaction_id": "str",
    "turn_index": "int",
    "tool": "str",
    "start_s": "float",
    "duration_s": "float",
    "status": "str",
}
EVENTS: dict[str, str] = {
    "stream": "str",
    "due_s": "float",
    "sent_s": "float",
    "end_s": "float",
    "status": "str",
    "delay_s": "float",
}
GENERATOR: dict[str, str] = {
    "worker": "int",
    "second": "int",
    "asked": "int",
    "sent": "int",
    "completed": "int",
    "in_flight": "int",
    "dispatch_lag_s_max": "float",
    "heartbeat_late_s_max": "float",
    "cpu_ratio": "float",
}
TEXTS: dict[str, str] = {  # only with --keep-text
    "session_id": "str",
    "interaction_id": "str",
    "turn_index": "int",
    "question": "str",
    "answer": "str",
}
SERVER: dict[str, str] = {"second": "float", "target": "str", "metric": "str", "labels": "str", "value": "float"}
TABLES: dict[str, dict[str, str]] = {
    "turns": TURNS,
    "calls": CALLS,
    "tools": TOOLS,
    "events": EVENTS,
    "generator": GENERATOR,
    "server": SERVER,
    "texts": TEXTS,
}
REPEATED = frozenset(
    {"intent", "complexity", "region", "route", "guard_action", "status", "error_code", "purpose", "model", "tool"}
)
"""Text columns of few distinct values; a compact frame holds each value once."""
