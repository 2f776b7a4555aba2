"""What the columns of somebody else's log mean: names by synonym, units by name or by plausibility. stdlib only.

Names are compared without case, spaces and signs: `Request tokens`, `requestTokens` and `request_tokens` are one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

TIMES = (
    "timestamp", "time", "datetime", "date_time", "arrival", "arrival_time", "arrived_at", "arrival_timestamp",
    "offset", "relative_time", "start_time", "started_at", "start", "start_timestamp", "request_timestamp",
    "request_start_time", "created_at", "created", "created_time", "sent_at", "received_at", "event_time",
    "time_iso8601", "time_local", "msec", "time_stamp", "request_created_at", "logging_time", "ts", "at", "t", "date",
    "end_time", "start_time_unix_nano",
)  # fmt: skip
INPUTS = (
    "input_tokens", "context_tokens", "prompt_tokens", "request_tokens", "input_length", "prompt_length", "input_len",
    "prompt_len", "num_prompt_tokens", "num_input_tokens", "num_prefill_tokens", "prefill_tokens",
    "input_token_count", "prompt_token_count", "token_count_prompt", "tokens_in", "in_tokens", "isl", "query_tokens",
    "question_tokens", "total_input_tokens", "input_token_length", "tokens_prompt",
)  # fmt: skip
OUTPUTS = (
    "output_tokens", "generated_tokens", "completion_tokens", "response_tokens", "output_length", "completion_length",
    "response_length", "output_len", "num_output_tokens", "num_completion_tokens", "num_generated_tokens",
    "num_decode_tokens", "decode_tokens", "output_token_count", "completion_token_count", "token_count_completion",
    "candidates_token_count", "tokens_out", "out_tokens", "osl", "answer_tokens", "total_output_tokens",
    "output_token_length", "generation_tokens", "tokens_completion",
)  # fmt: skip
CACHE_READS = (
    "cache_read_input_tokens", "cache_read_tokens", "cached_tokens", "input_cached_tokens", "prompt_cached_tokens",
    "cache_hit_tokens", "cached_input_tokens", "cached_prompt_tokens", "cache_read_input_token_count",
    "cached_content_token_count", "prompt_cache_hit_tokens", "tokens_cached", "prompt_cache_read_tokens",
)  # fmt: skip
CACHE_WRITES = (
    "cache_creation_input_tokens", "cache_write_input_tokens", "cache_write_tokens", "cache_creation_tokens",
    "cache_write_input_token_count",
)  # fmt: skip
SESSIONS = ("session_id", "sessionid", "conversation_id", "thread_id", "chat_id", "dialog_id", "session")
CLIENTS = (
    "end_user", "user_id", "user", "customer_id", "client_id", "client", "tenant", "team_id", "api_key", "identity_arn",
)  # fmt: skip
MODELS = ("model", "model_id", "model_name", "model_group", "request_model")
DURATIONS = (
    "elapsed_time", "duration", "latency", "response_time", "api_time", "request_duration", "elapsed", "e2e_latency",
    "request_time", "generation_time", "delay",
)  # fmt: skip
ENDS = ("end_time", "ended_at", "finish_time", "completed_at", "end_timestamp", "finished_at", "response_created_at")
KEYS = ("request_id", "span_id", "generation_id", "call_id")
SUMS = frozenset({"num_model_requests", "request_count", "num_requests", "usage_date_utc"})
"""Columns of reports, of which a row sums up many requests (OpenAI's and Anthropic's usage)."""
COUNTS = ("count", "value", "requests", "request_count", "hits", "views", "sessions", "calls", "invocations")
PERIODS = ("period", "minute", "hour", "day", "interval", "bucket", "window_start", *TIMES)
LOGGED_AT_END = frozenset({"time_iso8601", "time_local", "msec"})
"""Times of nginx: when it has answered, a `request_time` after the request came."""
UNITS_S = {
    "ns": 1e-9, "nanos": 1e-9, "nanoseconds": 1e-9, "nano": 1e-9, "us": 1e-6, "micros": 1e-6, "microseconds": 1e-6,
    "ms": 1e-3, "msec": 1e-3, "millis": 1e-3, "milliseconds": 1e-3, "s": 1.0, "sec": 1.0, "secs": 1.0, "seconds": 1.0,
    "min": 60.0, "minutes": 60.0, "unix": 1.0, "epoch": 1.0, "utc": 1.0,
}  # fmt: skip
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


@lru_cache(maxsize=512)
def plain(name: str) -> str:
    """`ContextTokens`, `Context tokens` and `context-tokens` as `context_tokens`."""
    return re.sub(r"[^a-z0-9]+", "_", _CAMEL.sub("_", name.strip()).lower()).strip("_")


@dataclass(frozen=True)
class Columns:
    """Which columns of a log say what; `unit_s`: of the times, where their name states it."""

    time: str
    unit_s: float | None
    inputs: str | None
    outputs: str | None
    cache_read: str | None = None
    cache_write: str | None = None
    session: str | None = None
    client: str | None = None
    model: str | None = None
    duration: tuple[str, float] | None = None
    end: str | None = None
    key: str | None = None


def find_columns(names: Iterable[str]) -> Columns | None:
    """The columns of a log of requests; None where none of them is of times."""
    known = {plain(name): name for name in reversed(list(names)) if name}
    time = _time_column(known)
    if time is None:
        return None
    end = next((known[name] for name in ENDS if name in known and known[name] != time[0]), None)
    outputs = _first(known, OUTPUTS)
    if outputs is not None and plain(outputs).endswith("response_length") and _first(known, ("request_length",)):
        outputs = None  # bytes of a web server's or a cloud's request and response, no tokens
    return Columns(
        time[0],
        time[1],
        _first(known, INPUTS),
        outputs,
        cache_read=_first(known, CACHE_READS),
        cache_write=_first(known, CACHE_WRITES),
        session=_first(known, SESSIONS),
        client=_first(known, CLIENTS),
        model=_first(known, MODELS),
        duration=_duration_column(known),
        end=end,
        key=next((known[name] for name in KEYS if name in known), None),
    )


def _duration_column(known: Mapping[str, str]) -> tuple[str, float] | None:
    """A column of durations and its unit; seconds where its name states none."""
    for name, column in reversed(list(known.items())):
        stem, _, unit = name.rpartition("_")
        if name in DURATIONS:
            return column, 1e-3 if {"time_stamp", "elapsed", "label"} <= set(
                known
            ) else 1.0  # JMeter's are milliseconds
        if stem in DURATIONS and unit in UNITS_S:
            return column, UNITS_S[unit]
    return None


def find_counts(names: Iterable[str]) -> tuple[str, str] | None:
    """The columns of times and of counts in a table of counts per step."""
    known = {plain(name): name for name in reversed(list(names)) if name}
    time, count = _first(known, PERIODS), _first(known, COUNTS)
    return (time, count) if time is not None and count is not None else None


def unread_lengths(names: Iterable[str], columns: Columns) -> list[str]:
    """Columns that seem to hold lengths and are not read as such."""
    read = {columns.inputs, columns.outputs}
    alike = re.compile(r"token|length|_len\b|prompt|completion")
    return [name for name in names if name not in read and alike.search(plain(name)) and "total" not in plain(name)]


def _time_column(known: Mapping[str, str]) -> tuple[str, float | None] | None:
    for wanted in TIMES:
        if wanted in known:
            return known[wanted], 1e-9 if wanted.endswith("unix_nano") else None
        for name, column in known.items():
            stem, _, unit = name.rpartition("_")
            if stem == wanted and unit in UNITS_S:
                return column, None if unit in ("unix", "epoch", "utc") else UNITS_S[unit]
    return None


def _first(known: Mapping[str, str], wanted: Iterable[str]) -> str | None:
    """The first synonym that is there; else the one column that ends in one, as flattened records have it."""
    synonyms = tuple(wanted)
    exact = next((known[name] for name in synonyms if name in known), None)
    if exact is not None:
        return exact
    for synonym in synonyms:
        nested = [column for name, column in known.items() if name.endswith(f"_{synonym}")]
        if "_" in synonym and len(nested) == 1:
            return nested[0]
    return None
