"""Exports of tracing services that have words of their own for a span: each record becomes spans, and those rows.

| form | from | a record |
|---|---|---|
| jaeger | Jaeger's query API and its UI's download | `traceID` with `spans`, attributes in `tags` of key and value |
| zipkin | Zipkin's API v2 | one span, `tags` an object, times in microseconds |
| datadog | Datadog LLM Observability, Export API | one span in `attributes`, tokens in `metrics` |
| langsmith | LangSmith runs (`list_runs`, the API, a JSON export) | one run; its `session_id` is the project |
| mlflow | MLflow traces (`search_traces`, `traces.json`) | `info` and `data.spans`; attributes are JSON as text |
| weave | W&B Weave calls | one call, tokens by model in `summary.usage` |

Sources: the services' own references of those names; LangSmith's "run data format", MLflow's trace schema, Datadog's
Export API. Tokens are given under OpenTelemetry's names, so that one reader decides what is a call, a tool or an agent.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from scenarios.columns import plain
from scenarios.traces.cells import flat, name_of, objects, records
from scenarios.traces.row import TraceRow
from scenarios.traces.spans import Span, rows_of_span

Record = Mapping[str, object]
_MICRO, _NANO = 1e-6, 1e-9


def _plain(record: Record) -> dict[str, object]:
    return {plain(key): value for key, value in flat(record).items()}


def _object(record: Record, *path: str) -> Record:
    """The object at a path of keys; an empty one where there is none."""
    value: object = record
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def _end(start: object, duration: object) -> object:
    """A span's end in the unit of its start."""
    numbers = [value for value in (start, duration) if isinstance(value, (int, float))]
    return sum(numbers) if len(numbers) == 2 else None


def _jaeger(line: int, record: Record) -> Iterator[Span]:
    for span in objects(record, "spans") or [record]:
        tags = {plain(str(tag.get("key"))): tag.get("value") for tag in objects(span, "tags")}
        parent = next((one.get("spanID") for one in objects(span, "references")), span.get("parentSpanID"))
        start = span.get("startTime")
        trace, key = name_of(span.get("traceID")), name_of(span.get("spanID"))
        yield Span(line, start, _end(start, span.get("duration")), _MICRO, trace, key, name_of(parent), tags)


def _zipkin(line: int, span: Record) -> Iterator[Span]:
    tags = {plain(key): value for key, value in _object(span, "tags").items()}
    start = span.get("timestamp")
    trace, key, parent = (name_of(span.get(name)) for name in ("traceId", "id", "parentId"))
    yield Span(line, start, _end(start, span.get("duration")), _MICRO, trace, key, parent, tags)


def _datadog(line: int, record: Record) -> Iterator[Span]:
    """`start_ns` is read by its size: the documentation's own example holds milliseconds. Durations are nanoseconds."""
    span = _object(record, "attributes")
    held = {key: span[key] for key in ("session_id", "user_id", "span_kind") if key in span}
    used = {f"gen_ai_usage_{plain(key)}": value for key, value in _object(span, "metrics").items()}
    tags = span.get("tags")
    for tag in tags if isinstance(tags, list) else ():
        name, _, value = str(tag).partition(":")
        held.setdefault(plain(name), value)
    held |= used | {"gen_ai_request_model": span.get("model_name")}
    start, duration = span.get("start_ns", span.get("start_ms")), span.get("duration")
    trace, key, parent = (name_of(span.get(name)) for name in ("trace_id", "span_id", "parent_id"))
    yield Span(line, start, None, None, trace, key, parent, held, _seconds(duration, _NANO))


def _seconds(duration: object, unit_s: float) -> float | None:
    return duration * unit_s if isinstance(duration, (int, float)) and not isinstance(duration, bool) else None


_LANGSMITH_KINDS = {"llm": "chat", "tool": "tool", "retriever": "retriever", "embedding": "embedding"}


def _langsmith(line: int, run: Record) -> Iterator[Span]:
    metadata = _plain(_object(run, "extra", "metadata"))
    details = _object(run, "prompt_token_details") or _object(
        run, "extra", "metadata", "usage_metadata", "input_token_details"
    )
    held = {name: metadata.get(name) for name in ("thread_id", "session_id", "user_id")}
    held["session_id"] = held["session_id"] or metadata.get("conversation_id")
    held |= {
        "gen_ai_operation_name": _LANGSMITH_KINDS.get(str(run.get("run_type")), "chain"),
        "gen_ai_usage_input_tokens": run.get("prompt_tokens", metadata.get("usage_metadata_input_tokens")),
        "gen_ai_usage_output_tokens": run.get("completion_tokens", metadata.get("usage_metadata_output_tokens")),
        "gen_ai_usage_cache_read_input_tokens": details.get("cache_read"),
        "gen_ai_usage_cache_creation_input_tokens": details.get("cache_creation"),
        "gen_ai_request_model": metadata.get("ls_model_name"),
    }
    trace, key, parent = (name_of(run.get(name)) for name in ("trace_id", "id", "parent_run_id"))
    yield Span(line, run.get("start_time"), run.get("end_time"), None, trace, key, parent, held)


_MLFLOW_USAGE = "mlflow.chat.tokenUsage"


def _mlflow(line: int, record: Record) -> Iterator[Span]:
    about = _object(record, "info", "trace_metadata") or _object(record, "info", "request_metadata")
    common = {"session_id": about.get("mlflow.trace.session"), "user_id": about.get("mlflow.trace.user")}
    for span in objects(_object(record, "data"), "spans") or [record]:
        held = {key: _decoded(value) for key, value in _object(span, "attributes").items()}
        used = held.get(_MLFLOW_USAGE)
        tokens = {f"gen_ai_usage_{key}": value for key, value in used.items()} if isinstance(used, dict) else {}
        own = {
            "gen_ai_operation_name": str(held.get("mlflow.spanType") or "").lower(),
            "gen_ai_request_model": held.get("mlflow.llm.model"),
        }
        context = _object(span, "context")
        start, end = (span.get(f"{name}_time_unix_nano", span.get(f"{name}_time")) for name in ("start", "end"))
        trace, key = (name_of(span.get(name) or context.get(name)) for name in ("trace_id", "span_id"))
        parent = name_of(span.get("parent_span_id") or span.get("parent_id"))
        yield Span(line, start, end, _NANO, trace, key, parent, {**common, **tokens, **own})


def _decoded(value: object) -> object:
    """An attribute that is JSON as text; itself where it is none."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return value


_WEAVE_TOKENS = (("input", ("prompt_tokens", "input_tokens")), ("output", ("completion_tokens", "output_tokens")))


def _weave(line: int, call: Record) -> Iterator[Span]:
    """A call of several models sums up those of its children, which are calls of their own."""
    usage = _object(call, "summary", "usage")
    held: dict[str, object] = {"thread_id": call.get("thread_id"), "user_id": call.get("wb_user_id")}
    for what, names in _WEAVE_TOKENS:
        counts = [one[name] for one in usage.values() if isinstance(one, dict) for name in names if one.get(name)]
        if counts and all(isinstance(count, (int, float)) for count in counts):
            held[f"gen_ai_usage_{what}_tokens"] = sum(counts)
    held["gen_ai_request_model"] = next(iter(usage), None)
    trace, key, parent = (name_of(call.get(name)) for name in ("trace_id", "id", "parent_id"))
    yield Span(line, call.get("started_at"), call.get("ended_at"), None, trace, key, parent, held)


def _is_mlflow(record: Record) -> bool:
    return bool(objects(_object(record, "data"), "spans")) or "mlflow.spanType" in _object(record, "attributes")


def _is_jaeger(record: Record) -> bool:
    return "traceID" in record and (isinstance(record.get("spans"), list) or "spanID" in record)


SERVICES: tuple[tuple[str, Callable[[Record], bool], Callable[[int, Record], Iterator[Span]]], ...] = (
    ("jaeger", _is_jaeger, _jaeger),
    ("zipkin", lambda record: {"traceId", "id", "timestamp"} <= set(record) and "localEndpoint" in record, _zipkin),
    ("datadog", lambda record: {"span_kind", "ml_app"} <= set(_object(record, "attributes")), _datadog),
    ("langsmith", lambda record: {"run_type", "trace_id", "start_time"} <= set(record), _langsmith),
    ("mlflow", _is_mlflow, _mlflow),
    ("weave", lambda record: {"op_name", "project_id", "started_at"} <= set(record), _weave),
)
"""Name, what tells a record of it, and its spans."""


def reader(spans_of: Callable[[int, Record], Iterator[Span]]) -> Callable[[str | Path], Iterator[TraceRow]]:
    """The rows of a file of such records."""

    def read(path: str | Path) -> Iterator[TraceRow]:
        for line, record in records(path):
            for span in spans_of(line, record):
                yield from rows_of_span(path, span)

    return read
