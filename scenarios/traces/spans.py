"""Spans of traced assistants: model calls, tools and agents, by the names of three conventions.

| form | from | a record |
|---|---|---|
| otlp | an OTLP/JSON exporter, the Collector's file exporter | `resourceSpans`, whole or a batch a line |
| spans | Phoenix, the Python SDK's console exporter, CloudWatch's `aws/spans` | one span, attributes in an object |
| xray | X-Ray `BatchGetTraces` | `Traces` of segment documents, attributes in annotations and metadata |
| langfuse | Langfuse's API v2, UI and blob exports | one observation, `type` GENERATION, TOOL, AGENT and others |

Sources: OTLP 1.5 (JSON encoding); OpenTelemetry semantic conventions for generative AI, old (`prompt_tokens`) and new
(`input_tokens`, `cache_read.input_tokens`); OpenInference semantic conventions; X-Ray segment documents; Langfuse
export field reference. A prompt's tokens hold those from a cache; conventions that count them apart are added up.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from host.json_values import mapping
from scenarios.columns import plain
from scenarios.errors import ScenarioError
from scenarios.traces.cells import count, flat, moment, name_of, objects, records
from scenarios.traces.row import AGENT, CALL, ROUND, TOOL, TraceRow
from scenarios.traces.tables import whole_prompt

INPUTS = (
    "gen_ai_usage_input_tokens",
    "gen_ai_usage_prompt_tokens",
    "llm_token_count_prompt",
    "llm_usage_prompt_tokens",
)
OUTPUTS = (
    "gen_ai_usage_output_tokens", "gen_ai_usage_completion_tokens", "llm_token_count_completion",
    "llm_usage_completion_tokens",
)  # fmt: skip
CACHE_READS = (
    "gen_ai_usage_cache_read_input_tokens", "gen_ai_usage_input_tokens_cached", "gen_ai_usage_cached_tokens",
    "llm_token_count_prompt_details_cache_read",
)  # fmt: skip
CACHE_WRITES = (
    "gen_ai_usage_cache_creation_input_tokens", "gen_ai_usage_cache_write_input_tokens",
    "gen_ai_usage_input_tokens_cache_write", "llm_token_count_prompt_details_cache_write",
)  # fmt: skip
SESSIONS = (
    "gen_ai_conversation_id", "session_id", "langfuse_session_id", "traceloop_association_properties_session_id",
    "ai_telemetry_metadata_session_id", "thread_id",
)  # fmt: skip
CLIENTS = ("user_id", "enduser_id", "langfuse_user_id", "gen_ai_user_id", "tenant_id")
MODELS = ("gen_ai_request_model", "gen_ai_response_model", "llm_model_name")
OPERATIONS = ("gen_ai_operation_name", "openinference_span_kind", "traceloop_span_kind", "span_kind")
RESOURCES = ("resourceSpans", "resource_spans", "batches")
"""OTLP's list of resources; Grafana Tempo's API names it the last, or puts it into `trace`."""
_TOKENS_APART = "Bedrock Runtime"
"""The `rpc.service` of botocore's instrumentation, whose input tokens are Converse's own, without those of a cache
(opentelemetry-instrumentation-botocore 0.66b2)."""
TOOL_NAMES = ("gen_ai_tool_name", "tool_name", "gen_ai_tool_call_id")
_TOOLS = ("execute_tool", "tool", "retriever", "retrieval", "reranker")
_AGENTS = ("invoke_agent", "create_agent", "agent", "chain", "workflow", "task", "invoke_workflow")
_NO_CALLS = ("embeddings", "embedding", "embed", "guardrail", "evaluator")
SPAN_KEYS = frozenset(
    {"trace_id", "context_trace_id", "traceid", "span_id", "context_span_id", "spanid", "parent_span_id"}
)


class Span(NamedTuple):
    """A span of any form. `attributes` by plain name; ids are None where the form has none."""

    line: int
    start: object
    end: object
    unit_s: float | None
    trace: str | None
    key: str | None
    parent: str | None
    attributes: Mapping[str, object]
    duration_s: float | None = None
    """Where the record says it in place of an end."""


def otlp_rows(path: str | Path) -> Iterator[TraceRow]:
    """Spans of OTLP/JSON: calls are those that used tokens."""
    for line, record in records(path):
        trace = record.get("trace")
        for resource in objects(trace if isinstance(trace, dict) else record, *RESOURCES):
            common = _attributes(mapping(resource.get("resource")).get("attributes"))
            for scope in objects(resource, "scopeSpans", "scope_spans", "instrumentationLibrarySpans"):
                for span in objects(scope, "spans"):
                    yield from rows_of_span(path, _otlp_span(line, span, common))


def span_rows(path: str | Path) -> Iterator[TraceRow]:
    """A span a record, its attributes in an object or under dotted keys."""
    for line, record in records(path):
        listed = isinstance(record.get("attributes"), list)  # Phoenix's API: spans of OTLP, without its resources
        yield from rows_of_span(path, _otlp_span(line, record, {}) if listed else _flat_span(line, record))


def xray_rows(path: str | Path) -> Iterator[TraceRow]:
    """Segments and subsegments of `BatchGetTraces`, whose documents are text within the JSON; or as a daemon gets them.

    Raises:
        ScenarioError: a document that is no JSON.
    """
    for line, record in records(path):
        for trace in objects(record, "Traces") or [record]:
            for segment in objects(trace, "Segments") or [record]:
                document = segment.get("Document", segment)
                try:
                    parsed = json.loads(document) if isinstance(document, str) else document
                except (ValueError, RecursionError):
                    raise ScenarioError(
                        f"{path}: line {line}: a segment's Document is no JSON; export it again"
                    ) from None
                yield from _segments(path, line, parsed, str(trace.get("Id", "")), 0)


def _segments(path: str | Path, line: int, segment: object, trace: str, depth: int) -> Iterator[TraceRow]:
    if not isinstance(segment, dict) or depth > 50:
        return
    held = {plain(key): value for key, value in flat(segment.get("annotations") or {}).items()}
    for space in (segment.get("metadata") or {}).values():
        if isinstance(space, dict):
            held |= {plain(key): value for key, value in flat(space).items()}
    start, end = segment.get("start_time"), segment.get("end_time")
    if start is not None:
        trace_id = str(segment.get("trace_id") or trace)
        parent = name_of(segment.get("parent_id"))
        held |= {"user_id": segment["user"]} if "user" in segment else {}
        yield from rows_of_span(path, Span(line, start, end, 1.0, trace_id, name_of(segment.get("id")), parent, held))
    for inner in objects(segment, "subsegments"):
        yield from _segments(path, line, {"parent_id": segment.get("id"), **inner}, trace, depth + 1)


# --- spans as rows ----------------------------------------------------------------------------------------------------


def _otlp_span(line: int, span: Mapping[str, object], common: Mapping[str, object]) -> Span:
    start = span.get("startTimeUnixNano", span.get("start_time_unix_nano"))
    end = span.get("endTimeUnixNano", span.get("end_time_unix_nano"))
    own = _attributes(span.get("attributes"))
    trace, key, parent = (name_of(span.get(name) or span.get(other)) for name, other in _OTLP_IDS)
    return Span(line, start, end, 1e-9, trace, key, parent, {**common, **own, **_of_langfuse(own)})


_OTLP_IDS = (("traceId", "trace_id"), ("spanId", "span_id"), ("parentSpanId", "parent_span_id"))


def _attributes(listed: object) -> dict[str, object]:
    """Plain names and values of `[{"key": "a.b", "value": {"intValue": "5"}}]`, or of an object."""
    if isinstance(listed, dict):
        return {plain(key): value for key, value in flat(listed).items()}
    values = {}
    for attribute in listed if isinstance(listed, list) else ():
        if isinstance(attribute, dict) and isinstance(attribute.get("value"), dict):
            held = (value for value in attribute["value"].values() if value is not None)
            values[plain(str(attribute.get("key"))[:200])] = next(held, None)
    return values


def _flat_span(line: int, record: Mapping[str, object]) -> Span:
    """A span whose fields have the names of Phoenix, of the console exporter or of CloudWatch."""
    held = {plain(key): value for key, value in flat(record).items()}
    for prefix in ("resource_attributes_", "attributes_"):
        held |= {key.removeprefix(prefix): value for key, value in held.items() if key.startswith(prefix)}
    nano = next((key for key in ("start_time_unix_nano", "end_time_unix_nano") if key in held), None)
    start = held.get("start_time_unix_nano", held.get("start_time", held.get("timestamp")))
    end = held.get("end_time_unix_nano", held.get("end_time"))
    trace, key, parent = (
        name_of(next((held[name] for name in names if held.get(name)), None))
        for names in (("context_trace_id", "trace_id"), ("context_span_id", "span_id"), ("parent_span_id", "parent_id"))
    )
    return Span(line, start, end, 1e-9 if nano else None, trace, key, parent, held)


def rows_of_span(path: str | Path, span: Span) -> Iterator[TraceRow]:
    """The row of a span; none where it is neither a call nor a tool nor an agent, and names no session either."""
    held = span.attributes
    inputs, outputs, read, write = (
        _tokens(path, span.line, held, names) for names in (INPUTS, OUTPUTS, CACHE_READS, CACHE_WRITES)
    )
    kind = _kind(held, used_tokens=inputs is not None or outputs is not None)
    session, client = _first(held, SESSIONS), _first(held, CLIENTS)
    if kind is None and session is None and client is None:
        return
    at = moment(path, span.line, "start time", span.start, span.unit_s)
    ended = span.end not in (None, "", 0, "0")
    end_s = moment(path, span.line, "end time", span.end, span.unit_s).seconds if ended else None
    call = kind == CALL
    apart = held.get("rpc_service") == _TOKENS_APART
    yield TraceRow(
        span.line,
        at.seconds,
        whole_prompt(inputs or 0, read, write, apart=apart) if call else None,
        (outputs or 0) if call else None,
        session=session,
        zone=at.zone,
        unit=at.unit if span.unit_s is None else "",
        duration_s=span.duration_s if end_s is None else end_s - at.seconds,
        cache_read_tokens=read if call else None,
        cache_write_tokens=write if call else None,
        client=client,
        model=_first(held, MODELS),
        turn=span.trace,
        key=span.key,
        parent=span.parent,
        kind=kind or ROUND,
        answer=_first(held, ("gen_ai_response_id",)),
    )


def _kind(held: Mapping[str, object], *, used_tokens: bool) -> str | None:
    """What a span is; an agent's usage is the sum of its calls', which are spans of their own."""
    operation = (_first(held, OPERATIONS) or "").lower()
    if operation in _NO_CALLS:
        return None
    if operation in _TOOLS or (not used_tokens and _first(held, TOOL_NAMES)):
        return TOOL
    if operation in _AGENTS:
        return AGENT
    return CALL if used_tokens else None


def _first(held: Mapping[str, object], names: tuple[str, ...]) -> str | None:
    return next((name_of(held[name]) for name in names if held.get(name) not in (None, "")), None)


def _tokens(path: str | Path, line: int, held: Mapping[str, object], names: tuple[str, ...]) -> int | None:
    name = next((name for name in names if held.get(name) not in (None, "")), None)
    return None if name is None else count(path, line, name, held[name])


# --- Langfuse ---------------------------------------------------------------------------------------------------------

_LANGFUSE_KINDS = {"generation": CALL, "tool": TOOL, "retriever": TOOL, "agent": AGENT, "chain": AGENT, "span": AGENT}


def langfuse_rows(path: str | Path) -> Iterator[TraceRow]:
    """Observations, in camel case of the API or snake case of the blob export. Tokens of usage types add up."""
    for line, record in records(path):
        held = {plain(key): value for key, value in flat(record).items()}
        kind = _LANGFUSE_KINDS.get(str(held.get("type", "")).lower())
        if kind is None:
            continue
        at = moment(path, line, "startTime", held.get("start_time"), None)
        end = held.get("end_time")
        ended = end not in (None, "")
        inputs, outputs, read, write = _langfuse_usage(path, line, held) if kind == CALL else (None, None, None, None)
        yield TraceRow(
            line, at.seconds, inputs, outputs, session=name_of(held.get("session_id")), zone=at.zone, unit=at.unit,
            duration_s=moment(path, line, "endTime", end, None).seconds - at.seconds if ended else None,
            cache_read_tokens=read, cache_write_tokens=write, client=name_of(held.get("user_id")),
            model=name_of(held.get("model") or held.get("provided_model_name")), turn=name_of(held.get("trace_id")),
            key=name_of(held.get("id")), parent=name_of(held.get("parent_observation_id")), kind=kind,
            failed=str(held.get("level", "")).upper() == "ERROR",
        )  # fmt: skip


def _of_langfuse(held: Mapping[str, object]) -> dict[str, object]:
    """What Langfuse's SDK writes as OTLP, by OpenTelemetry's names; its usage is the model API's own, as JSON text."""
    kind = str(held.get("langfuse_observation_type") or "").lower()
    if not kind:
        return {}
    own = {
        "gen_ai_operation_name": {CALL: "chat"}.get(_LANGFUSE_KINDS.get(kind, ""), "agent" if kind == "span" else kind)
    }
    try:
        usage = json.loads(str(held.get("langfuse_observation_usage_details") or "null"))
    except (ValueError, RecursionError):
        usage = None
    used = {f"usage_{plain(key)}": value for key, value in flat(usage).items()} if isinstance(usage, dict) else {}
    tokens = _langfuse_usage("", 0, used) if used else (None,) * 4
    names = (INPUTS[0], OUTPUTS[0], CACHE_READS[0], CACHE_WRITES[0])
    return own | dict(zip(names, tokens, strict=True)) | {MODELS[0]: held.get("langfuse_observation_model_name")}


def _langfuse_usage(
    path: str | Path, line: int, held: Mapping[str, object]
) -> tuple[int | None, int | None, int | None, int | None]:
    """Prompt, answer, cache reads and writes.

    Langfuse counts each usage type once, so that input types add up to the prompt; a model API's own usage, which is
    kept as it is, says what of its tokens were cached in `…_details`: those are parts.
    """
    prefix = next((p for p in ("usage_details_", "usage_") if any(name.startswith(p) for name in held)), None)
    if prefix is None:
        inputs, outputs = (
            count(path, line, name, held.get(name) or 0) for name in ("prompt_tokens", "completion_tokens")
        )
        return inputs, outputs, None, None
    used = {
        name.removeprefix(prefix): count(path, line, name, value)
        for name, value in held.items()
        if name.startswith(prefix)
        and isinstance(value, (int, float, str))
        and not isinstance(value, bool)
        and value != ""
    }
    cached = {name: value for name, value in used.items() if "cache" in name}
    written = sum(value for name, value in cached.items() if "creation" in name or "write" in name)
    read = sum(cached.values()) - written
    inputs = sum(
        value
        for name, value in used.items()
        if name not in cached and "details_" not in name and name.startswith(("input", "prompt"))
    )
    outputs = sum(
        value for name, value in used.items() if "details_" not in name and name.startswith(("output", "completion"))
    )
    if not any("details_" in name for name in cached):
        inputs += read + written
    return inputs, outputs, read if cached else None, written if cached else None
