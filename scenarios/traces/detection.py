"""What a log or trace is, by what it holds and never by its name; and its rows as one stream. numpy and stdlib only.

| form | file | gives |
|---|---|---|
| csv | a table with a column of times (Azure 2023 and 2024, BurstGPT, LiteLLM, OpenAI) | arrivals; lengths, sessions, models where it has them |
| k6, k6_json, locust | k6's table or JSON lines of metrics; Locust's history of counts | arrivals |
| counts | a table of counts per step (World Cup 98, NAB) | a shape; see `counts.py` |
| access_log, load_balancer, w3c | a web server's common or combined log; AWS's ALB and ELB; `#Fields` (CloudFront, IIS) | arrivals |
| otlp, spans, xray, langfuse | spans of a traced assistant; see `spans.py` | sessions, turns, calls, tools, tokens by class |
| jaeger, zipkin, datadog, langsmith, mlflow, weave | the same in words of their own; see `services.py` | the same |
| bedrock, litellm | model-invocation log; spend log | arrivals, tokens by class, clients; sessions where named |
| json_lines | any records with a time, one a line or one list | arrivals, lengths |
| mooncake | JSON lines, `timestamp` in ms, `hash_ids` of 512-token blocks | arrivals, lengths, prefix blocks |
| ragpulse | JSON lines, `hash_ids` by part of the prompt, lengths per block in files beside it | the same, sessions |
| agentic | JSON, one session a record, `hash_ids`, sub-agents nested (kv-cache-tester) | sessions, turns, calls, prefix blocks; a clock per session |
| sharegpt | JSON, one conversation a record | turns, lengths by characters; no clock |
"""  # noqa: E501 (a table)

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from host.files import read_head
from host.json_values import text
from host.tables import columns_of
from scenarios.columns import DURATIONS, find_columns, find_counts, plain, unread_lengths
from scenarios.errors import ScenarioError
from scenarios.traces.blocks import agentic_rows, mooncake_rows, ragpulse_rows
from scenarios.traces.calls import bedrock_rows, json_rows, litellm_rows
from scenarios.traces.cells import WRAPPERS, first_line, first_record, flat, message_column, objects
from scenarios.traces.conversations import conversation_rows, is_conversation
from scenarios.traces.row import CALL, TraceRow
from scenarios.traces.services import SERVICES, reader
from scenarios.traces.spans import (
    INPUTS,
    OPERATIONS,
    OUTPUTS,
    RESOURCES,
    SPAN_KEYS,
    langfuse_rows,
    otlp_rows,
    span_rows,
    xray_rows,
)
from scenarios.traces.tables import (
    ACCESS_LOG,
    LOAD_BALANCER,
    LOCUST,
    access_log_rows,
    csv_rows,
    is_w3c,
    k6_json_rows,
    k6_rows,
    load_balancer_rows,
    locust_rows,
    w3c_rows,
)

_PACKED = (
    (
        b"PAR1",
        "a Parquet file, no log or trace; export it as CSV, or as JSON lines (pandas: orient='records', lines=True)",
    ),
    (b"PK\3\4", "a ZIP archive; unpack it and give the files within"),
)
_FOREIGN = (
    ("sqlite format 3", "an SQLite database"), ("\0", "a binary file"),
    ("<!doctype html", "an HTML page (a page to sign in?)"), ("<html", "an HTML page (a page to sign in?)"),
    ("<?xml", "an XML file"),
)  # fmt: skip
"""How files begin that a download or a wrong path may hand over, in small letters."""
READERS: Mapping[str, Callable[[str | Path], Iterator[TraceRow]]] = {
    "csv": csv_rows,
    "k6": k6_rows,
    "locust": locust_rows,
    "k6_json": k6_json_rows,
    "access_log": access_log_rows,
    "load_balancer": load_balancer_rows,
    "w3c": w3c_rows,
    "otlp": otlp_rows,
    "spans": span_rows,
    "xray": xray_rows,
    "langfuse": langfuse_rows,
    "bedrock": bedrock_rows,
    "litellm": litellm_rows,
    "json_lines": json_rows,
    "mooncake": mooncake_rows,
    "ragpulse": ragpulse_rows,
    "agentic": agentic_rows,
    "sharegpt": conversation_rows,
    **{name: reader(spans_of) for name, _, spans_of in SERVICES},
}


def detect(path: str | Path) -> str:
    """The form of a file, by what it holds.

    Raises:
        ScenarioError: unreadable, empty, or of none of the known forms.
    """
    head = read_head(Path(path), 8, error=ScenarioError)
    packed = next((what for mark, what in _PACKED if head.startswith(mark)), None)
    if packed is not None:
        raise ScenarioError(f"{path}: {packed}")
    first = first_line(path)
    if not first:
        raise ScenarioError(f"{path}: empty; give a log or trace with one request a line")
    foreign = next((what for mark, what in _FOREIGN if first.lower().startswith(mark)), None)
    if foreign is not None:
        raise ScenarioError(f"{path}: {foreign}, no log or trace; export it as CSV or as JSON lines")
    if first.lstrip()[:1] in ("{", "["):
        return _detect_json(path)
    if ACCESS_LOG.match(first):
        return "access_log"
    if LOAD_BALANCER.match(first):
        return "load_balancer"
    if is_w3c(path):
        return "w3c"
    names = columns_of(Path(path), error=ScenarioError)
    if message_column(path) is not None:
        return _detect_json(path)
    if _is_span_record(first_record(path)):
        return "spans"
    plain_names = {plain(name) for name in names}
    if {"metric_name", "timestamp"} <= plain_names:
        return "k6"
    if plain_names >= LOCUST:
        return "locust"
    columns = find_columns(names)
    lengths = columns is not None and (columns.inputs or columns.outputs)
    return "counts" if len(names) == 2 and find_counts(names) and not lengths else "csv"


def _detect_json(path: str | Path) -> str:
    first = first_record(path)
    if isinstance(first.get("message", first.get("@message")), str):
        first = {**first, **_envelope(first)}
    form = next((name for name, holds in _FORMS if holds(first)), None)
    if form is not None:
        return form
    if find_columns(flat(first)) is not None and first.get("object") != "bucket":
        return "json_lines"
    empty = next((key for key in WRAPPERS if first.get(key) == []), None)
    if empty is not None:
        raise ScenarioError(f"{path}: {empty} is an empty list; widen the export's time range or its filter")
    if first.get("object") == "bucket":
        raise ScenarioError(f"{path}: a bucket sums up many requests (usage API); give a log of one request a record")
    keys = ", ".join(map(str, first))[:120] or "no key"
    raise ScenarioError(
        f"{path}: JSON of no known form ({keys}); convert it to CSV with timestamp,input_tokens,output_tokens"
    )


def _envelope(record: Mapping[str, object]) -> dict[str, object]:
    """What a log service's envelope holds, where that is JSON."""
    try:
        inner = json.loads(text(record.get("message", record.get("@message"))))
    except (ValueError, RecursionError, TypeError):
        return {}
    return inner if isinstance(inner, dict) else {}


def _plain_keys(record: Mapping[str, object]) -> set[str]:
    return {plain(key) for key in flat(record)}


def _is_otlp(record: Mapping[str, object]) -> bool:
    inner = record.get("trace")
    return bool(objects(inner if isinstance(inner, dict) else record, *RESOURCES)) or "resourceSpans" in record


def _is_xray(record: Mapping[str, object]) -> bool:
    """An answer of `BatchGetTraces`, or what a daemon gets: segments, each after a line of format and version."""
    sent = set(record) == {"format", "version"} or (str(record.get("trace_id")).startswith("1-") and "id" in record)
    return sent or isinstance(record.get("Traces"), list) or isinstance(record.get("Segments"), list)


def _is_span_record(record: Mapping[str, object]) -> bool:
    """A span names itself and its trace, and its attributes say what it was."""
    keys = _plain_keys(record)
    bare = {key.removeprefix("attributes_") for key in keys}
    known = bool(bare & {*INPUTS, *OUTPUTS, *OPERATIONS}) or isinstance(record.get("attributes"), (dict, list))
    return bool(keys & SPAN_KEYS) and known


def _is_langfuse(record: Mapping[str, object]) -> bool:
    keys = _plain_keys(record)
    return "type" in keys and "start_time" in keys and bool(keys & {"parent_observation_id", "trace_id"})


def _is_litellm(record: Mapping[str, object]) -> bool:
    return {"start_time", "prompt_tokens", "spend"} <= _plain_keys(record)


def _is_mooncake(record: Mapping[str, object]) -> bool:
    return isinstance(record.get("timestamp"), (int, float)) and "input_length" in record


_FORMS: tuple[tuple[str, Callable[[Mapping[str, object]], bool]], ...] = (
    ("agentic", lambda record: isinstance(record.get("requests"), list)),
    ("otlp", _is_otlp),
    ("k6_json", lambda record: {"type", "metric", "data"} <= set(record)),
    ("xray", _is_xray),
    ("bedrock", lambda record: record.get("schemaType") == "ModelInvocationLog"),
    ("ragpulse", lambda record: isinstance(record.get("hash_ids"), dict)),
    ("mooncake", _is_mooncake),
    ("litellm", _is_litellm),
    *((name, holds) for name, holds, _ in SERVICES),
    ("langfuse", _is_langfuse),
    ("spans", _is_span_record),
    ("sharegpt", is_conversation),
)
"""Asked in this order: what names itself first."""


def rows(path: str | Path) -> Iterator[TraceRow]:
    """Every request of a log, in the file's order, one at a time: memory does not grow with the file.

    Raises:
        ScenarioError: with the line, when a cell is no time or no count; or the file holds counts per step.
    """
    return (row for row in steps(path) if row.kind == CALL)


def steps(path: str | Path) -> Iterator[TraceRow]:
    """As `rows`, and the tools and agents beside the requests.

    Raises:
        ScenarioError: as `rows`.
    """
    kind = detect(path)
    if kind == "counts":
        raise ScenarioError(f"{path}: counts per step, no single arrivals; use it as a shape of kind trace")
    return READERS[kind](path)


def length_doubts(path: str | Path) -> list[str]:
    """What of a log's lengths is not read although its columns seem to hold it, one line each."""
    if detect(path) != "csv":
        return []
    names = columns_of(Path(path), error=ScenarioError)
    columns = find_columns(names)
    if columns is None or (columns.inputs and columns.outputs):
        return []
    missing = [what for what, name in (("prompt", columns.inputs), ("answer", columns.outputs)) if name is None]
    unread = unread_lengths(names, columns)
    hint = f" ({', '.join(unread)}: name it input_tokens or output_tokens)" if unread else ""
    return [f"{path}: no column of {' and '.join(missing)} lengths{hint}; the scenario's assumed lengths are used"]


def unnamed_duration(path: str | Path) -> str | None:
    """The column of a log's durations, where its name states no unit."""
    form = detect(path)
    if form not in ("csv", "json_lines"):
        return None
    names = columns_of(Path(path), error=ScenarioError) if form == "csv" else list(flat(first_record(path)))
    columns = find_columns(names)
    if columns is None or columns.duration is None:
        return None
    name, unit_s = columns.duration
    return name if plain(name) in DURATIONS and unit_s == 1.0 else None
