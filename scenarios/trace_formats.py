"""Logs of LLM services as people have them, each read as a stream of the same rows. numpy and stdlib only.

What a file holds decides its format, never its name.

| format | file | gives |
|---|---|---|
| csv | a table with a column of times (Azure, BurstGPT, LiteLLM, OpenAI) | arrivals, and lengths where it has them |
| k6 | a table of k6's metrics, of which `http_reqs` are requests | arrivals |
| counts | a table of counts per step (World Cup 98, NAB) | a shape; see `counts.py` |
| access_log | lines of a web server in the common or combined log format | arrivals |
| json_lines | records with a time (LiteLLM, Bedrock logs, spans), one a line or one list | arrivals, lengths |
| otlp | OTLP JSON, whole or a batch a line: spans that used tokens are requests | arrivals, lengths |
| mooncake | JSON lines, `timestamp` in ms, `hash_ids` of 512-token blocks | arrivals, lengths, prefix blocks |
| ragpulse | JSON lines, `hash_ids` by part of the prompt, lengths per block in files beside it | the same |
| agentic | JSON lines, one session each, `hash_ids` local to it, sub-agents nested | lengths, prefix blocks; no clock |
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from host.files import open_text
from host.tables import columns_of, table_rows
from host.times import Moment, moment_of
from scenarios.columns import Columns, find_columns, find_counts, plain, unread_lengths
from scenarios.errors import ScenarioError

MOONCAKE_BLOCK_TOKENS = 512
JSON_DOCUMENT_CHARS_MAX = 256_000_000
"""A JSON document that is no JSON lines is read whole."""
_SINCE_1970_S = 1e9
"""As milliseconds twelve days, as seconds the year 2001: a larger number in a Mooncake log is no offset."""
RAGPULSE_PARTS = ("sys_prompt", "passages_ids", "history", "web_search", "user_input")
_RAGPULSE_TABLES = {
    "sys_prompt": ("1_sys_prompt", "sys_prompt_id"),
    "passages_ids": ("2_passages", "passage_id"),
    "history": ("3_history", "history_id"),
    "web_search": ("5_web_search", "web_search_id"),
    "user_input": ("4_user_input", "user_input_id"),
}
_ACCESS_LOG = re.compile(r'\S+ \S+ .*?\[(\d{2}/[A-Z][a-z]{2}/\d{4}:\d{2}:\d{2}:\d{2} [+-]\d{4})\] "')
_NESTED = ("requests", "subagents", "sub_agents", "children")


class TraceRow(NamedTuple):
    """One request of a log. at_s is None where the log has no clock in common; blocks are prefix blocks in order.

    zone: its time is of a known zone, or since the log's start. unit: how a bare number was taken as a time.
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


def detect(path: str | Path) -> str:
    """The format of a file, by what it holds.

    Raises:
        ScenarioError: unreadable, empty, or of none of the known forms.
    """
    first = _first_line(path)
    if first.lstrip()[:1] in ("{", "["):
        return _detect_json(path, first)
    if _ACCESS_LOG.match(first):
        return "access_log"
    names = columns_of(Path(path), error=ScenarioError)
    if {"metric_name", "timestamp"} <= {plain(name) for name in names}:
        return "k6"
    columns = find_columns(names)
    lengths = columns is not None and (columns.inputs or columns.outputs)
    return "counts" if len(names) == 2 and find_counts(names) and not lengths else "csv"


def _first_line(path: str | Path) -> str:
    with open_text(Path(path), error=ScenarioError) as file:
        return next((line for line in iter(lambda: file.readline(1_000_000), "") if line.strip()), "")


def _detect_json(path: str | Path, line: str) -> str:
    try:
        first = json.loads(line)
    except (ValueError, RecursionError):
        first = _document(path)
    if isinstance(first, list):
        first = first[0] if first and isinstance(first[0], dict) else {}
    if isinstance(first.get("requests"), list):
        return "agentic"
    if isinstance(first.get("resourceSpans"), list):
        return "otlp"
    if isinstance(first.get("hash_ids"), dict):
        return "ragpulse"
    if isinstance(first.get("timestamp"), (int, float)) and "input_length" in first:
        return "mooncake"
    if find_columns(_flat(first)) is not None:
        return "json_lines"
    keys = ", ".join(map(str, first))[:120] or "no key"
    raise ScenarioError(
        f"{path}: JSON of no known form ({keys}); convert it to CSV with timestamp,input_tokens,output_tokens"
    )


def rows(path: str | Path) -> Iterator[TraceRow]:
    """Every request of a log, in the file's order, one at a time: memory does not grow with the file.

    Raises:
        ScenarioError: with the line, when a cell is no time or no count; or the file holds counts per step.
    """
    kind = detect(path)
    if kind == "counts":
        raise ScenarioError(f"{path}: counts per step, no single arrivals; use it as a shape of kind trace")
    return _READERS[kind](path)


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


# --- tables -----------------------------------------------------------------------------------------------------------


def _csv(path: str | Path) -> Iterator[TraceRow]:
    columns: Columns | None = None
    for line, row in table_rows(Path(path), error=ScenarioError):
        columns = columns or _columns(path, row)
        yield _row(path, line, row, columns)


def _k6(path: str | Path) -> Iterator[TraceRow]:
    for line, row in table_rows(Path(path), error=ScenarioError):
        if row.get("metric_name") == "http_reqs":
            at = _moment(path, line, "timestamp", row.get("timestamp"), None)
            yield TraceRow(line, at.seconds, zone=at.zone, unit=at.unit)


def _columns(path: str | Path, row: Mapping[str, Any]) -> Columns:
    columns = find_columns(row)
    if columns is None:
        names = ", ".join(str(name) for name in row)[:120]
        raise ScenarioError(f"{path}: no column of times; name one of them timestamp or timestamp_ms; it has {names}")
    return columns


def _row(path: str | Path, line: int, row: Mapping[str, Any], columns: Columns) -> TraceRow:
    at = _moment(path, line, columns.time, row.get(columns.time), columns.unit_s)
    inputs, outputs = (
        None if name is None else _tokens(path, line, name, row.get(name)) for name in (columns.inputs, columns.outputs)
    )
    return TraceRow(line, at.seconds, inputs, outputs, zone=at.zone, unit=at.unit)


def _access_log(path: str | Path) -> Iterator[TraceRow]:
    with open_text(Path(path), error=ScenarioError) as file:
        for line, text in enumerate(file, start=1):
            match = _ACCESS_LOG.match(text)
            if match:
                at = datetime.strptime(match[1], "%d/%b/%Y:%H:%M:%S %z")
                yield TraceRow(line, at.timestamp(), unit="access log time")
            elif text.strip():
                raise ScenarioError(f"{path}: line {line}: no line of an access log: {text.strip()[:60]!r}")


# --- cells ------------------------------------------------------------------------------------------------------------


def _moment(path: str | Path, line: int, column: str, cell: object, unit_s: float | None) -> Moment:
    try:
        if isinstance(cell, bool) or cell is None:
            raise ValueError
        return moment_of(str(cell), unit_s)
    except (ValueError, OverflowError):
        raise ScenarioError(f"{path}: line {line}: {column} is {cell!r}, expected ISO time or seconds") from None


def _tokens(path: str | Path, line: int, column: str, cell: object) -> int:
    """A count of tokens; a blank cell, as logs have it for a request that failed, is zero."""
    return 0 if cell is None or cell == "" else _count(path, line, column, cell)


def _count(path: str | Path, line: int, column: str, cell: object) -> int:
    try:
        if isinstance(cell, bool) or not isinstance(cell, (int, float, str)):
            raise ValueError
        value = float(cell)
        if not (math.isfinite(value) and 0 <= value < 2**62 and value == int(value)):
            raise ValueError
    except ValueError:
        raise ScenarioError(f"{path}: line {line}: {column} is {cell!r}, expected a whole number >= 0") from None
    return int(value)


def _ids(path: str | Path, line: int, ids: object) -> tuple[int, ...]:
    if not isinstance(ids, list) or not all(type(item) is int and abs(item) < 2**62 for item in ids):
        raise ScenarioError(f"{path}: line {line}: hash_ids are no list of whole numbers")
    return tuple(ids)


# --- JSON -------------------------------------------------------------------------------------------------------------


def _parsed(path: str | Path, line: int, text: str) -> Mapping[str, Any]:
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        raise ScenarioError(f"{path}: line {line}: no JSON; the file may be cut off") from None
    if not isinstance(record, dict):
        raise ScenarioError(f"{path}: line {line}: expected a JSON object")
    return record


def _document(path: str | Path) -> Any:
    """A whole file as one JSON value: a list of records, or one object over many lines."""
    with open_text(Path(path), error=ScenarioError) as file:
        text = file.read(JSON_DOCUMENT_CHARS_MAX + 1)
    if len(text) > JSON_DOCUMENT_CHARS_MAX:
        raise ScenarioError(f"{path}: larger than {JSON_DOCUMENT_CHARS_MAX:,} characters; write one record a line")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise ScenarioError(f"{path}: line 1: no JSON; the file may be cut off") from None
    if not isinstance(document, (dict, list)):
        raise ScenarioError(f"{path}: expected JSON objects")
    return document


def _records(path: str | Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Number and value of each record: a line each, or the items of one list, or one object that is all."""
    with open_text(Path(path), error=ScenarioError) as file:
        numbered = enumerate(file, start=1)
        line, text = next(((line, text) for line, text in numbered if text.strip()), (1, ""))
        if text.lstrip().startswith("{") and _is_json(text):
            yield line, _parsed(path, line, text)
            for line, text in numbered:
                if text.strip():
                    yield line, _parsed(path, line, text)
            return
    document = _document(path)
    for number, record in enumerate(document if isinstance(document, list) else [document], start=1):
        if not isinstance(record, dict):
            raise ScenarioError(f"{path}: record {number}: expected a JSON object")
        yield number, record


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _flat(record: Mapping[str, Any], prefix: str = "", depth: int = 0) -> dict[str, Any]:
    """Nested keys joined by dots; lists, and what lies deeper than records of logs do, are left out."""
    flat: dict[str, Any] = {}
    for key, value in record.items():
        if isinstance(value, dict) and depth < 5:
            flat |= _flat(value, f"{prefix}{key}.", depth + 1)
        elif not isinstance(value, (dict, list)):
            flat[f"{prefix}{key}"] = value
    return flat


def _json_lines(path: str | Path) -> Iterator[TraceRow]:
    """Flat or nested records. Spans without token usage (tools, agents) are parts of a request, and no requests."""
    by_names: dict[tuple[str, ...], tuple[Columns, bool]] = {}  # records of one log have few sets of keys
    for line, record in _records(path):
        flat = _flat(record)
        names = tuple(flat)
        if names not in by_names:
            columns = _columns(path, flat)
            by_names[names] = columns, not (_is_span(flat) and columns.inputs is None and columns.outputs is None)
        columns, is_request = by_names[names]
        if is_request:
            yield _row(path, line, flat, columns)


def _is_span(flat: Mapping[str, Any]) -> bool:
    names = {plain(name).rpartition("_")[0] for name in flat if plain(name).endswith("_id")}
    return any(name.endswith("trace") or name.endswith("span") for name in names)


def _otlp(path: str | Path) -> Iterator[TraceRow]:
    """Spans with GenAI token usage, under their old or new names.

    Source: OpenTelemetry protocol 1.5 (JSON encoding); semantic conventions for generative AI 1.37.
    """
    for line, record in _records(path):
        for span in _spans(record):
            attributes = _attributes(span)
            tokens = [
                next(
                    (attributes[f"gen_ai.usage.{name}"] for name in names if f"gen_ai.usage.{name}" in attributes), None
                )
                for names in (("input_tokens", "prompt_tokens"), ("output_tokens", "completion_tokens"))
            ]
            if tokens == [None, None]:
                continue
            at = _moment(path, line, "startTimeUnixNano", span.get("startTimeUnixNano"), 1e-9)
            inputs, outputs = (_count(path, line, "gen_ai.usage", value or 0) for value in tokens)
            yield TraceRow(line, at.seconds, inputs, outputs, session=str(span.get("traceId")), unit=at.unit)


def _usage(attributes: Mapping[str, Any], *names: str) -> Any:
    return next((attributes[f"gen_ai.usage.{name}"] for name in names if f"gen_ai.usage.{name}" in attributes), None)


def _spans(record: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for resource in _list_of(record, "resourceSpans"):
        for scope in _list_of(resource, "scopeSpans"):
            yield from _list_of(scope, "spans")


def _list_of(record: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    value = record.get(key)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _attributes(span: Mapping[str, Any]) -> dict[str, Any]:
    """Keys and plain values: `[{"key": "gen_ai.usage.input_tokens", "value": {"intValue": "5"}}]`."""
    return {
        str(attribute.get("key")): next(iter(attribute["value"].values()), None)
        for attribute in _list_of(span, "attributes")
        if isinstance(attribute.get("value"), dict)
    }


def _even_blocks(total: int, blocks: int, size: int) -> tuple[int, ...]:
    """Tokens of each block: full ones, and the last with what is left."""
    return tuple([size] * (blocks - 1) + [max(0, total - size * (blocks - 1))]) if blocks else ()


def _mooncake(path: str | Path) -> Iterator[TraceRow]:
    for line, record in _records(path):
        ids = _ids(path, line, record.get("hash_ids", []))
        inputs = _count(path, line, "input_length", record.get("input_length"))
        outputs = _count(path, line, "output_length", record.get("output_length"))
        stamp = record.get("timestamp")
        offset = isinstance(stamp, (int, float)) and abs(stamp) < _SINCE_1970_S
        at = _moment(path, line, "timestamp", stamp, 1e-3 if offset else None)
        blocks = _even_blocks(inputs, len(ids), MOONCAKE_BLOCK_TOKENS)
        yield TraceRow(line, at.seconds, inputs, outputs, ids, blocks, zone=at.zone, unit=at.unit)


def _agentic(path: str | Path) -> Iterator[TraceRow]:
    for line, record in _records(path):
        size = _count(path, line, "block_size", record.get("block_size"))
        yield from _agentic_requests(path, line, record, size, str(record.get("id")), 0)


def _agentic_requests(
    path: str | Path, line: int, record: Mapping[str, Any], size: int, session: str, depth: int
) -> Iterator[TraceRow]:
    """The requests of a session in order; those of a sub-agent stand where it was started, in its own session."""
    if depth > 20:
        raise ScenarioError(f"{path}: line {line}: sub-agents nested too deeply")
    for key in _NESTED:
        for number, request in enumerate(_list_of(record, key)):
            if "in" in request or "out" in request:
                ids = _ids(path, line, request.get("hash_ids", []))
                inputs = _count(path, line, "in", request.get("in"))
                outputs = _count(path, line, "out", request.get("out"))
                yield TraceRow(line, None, inputs, outputs, ids, _even_blocks(inputs, len(ids), size), session)
            if any(isinstance(request.get(name), list) for name in _NESTED):
                inner = str(request.get("id", f"{session}/{number}"))
                yield from _agentic_requests(path, line, request, size, inner, depth + 1)


def _ragpulse(path: str | Path) -> Iterator[TraceRow]:
    tables = {part: _ragpulse_lengths(str(Path(path).parent), part) for part in RAGPULSE_PARTS}
    for line, record in _records(path):
        parts = record.get("hash_ids")
        if not isinstance(parts, dict):
            raise ScenarioError(f"{path}: line {line}: hash_ids are no mapping of parts to block ids")
        ids: list[int] = []
        tokens: list[int] = []
        for part in RAGPULSE_PARTS:
            for block in _ids(path, line, parts.get(part, [])):
                ids.append(block)
                tokens.append(tables[part].get(block, 0))
        inputs = _count(path, line, "input_length", record.get("input_length"))
        outputs = _count(path, line, "output_length", record.get("output_length"))
        at = _moment(path, line, "timestamp", record.get("timestamp"), None)
        session = str(record.get("session_id"))
        yield TraceRow(line, at.seconds, inputs, outputs, tuple(ids), tuple(tokens), session, at.zone, at.unit)


@lru_cache(maxsize=16)
def _ragpulse_lengths(folder: str, part: str) -> Mapping[int, int]:
    """Tokens of each block of one part of the prompt; empty when the table does not lie beside the trace."""
    stem, key = _RAGPULSE_TABLES[part]
    path = next((p for p in (Path(folder) / f"{stem}.jsonl", Path(folder) / f"{stem}.jsonl.gz") if p.is_file()), None)
    if path is None:
        return {}
    return {
        _count(path, line, key, record.get(key)): _count(path, line, "token_length", record.get("token_length"))
        for line, record in _records(path)
    }


_READERS: Mapping[str, Callable[[str | Path], Iterator[TraceRow]]] = {
    "csv": _csv,
    "k6": _k6,
    "access_log": _access_log,
    "json_lines": _json_lines,
    "otlp": _otlp,
    "mooncake": _mooncake,
    "ragpulse": _ragpulse,
    "agentic": _agentic,
}
