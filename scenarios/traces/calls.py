"""Logs of single model calls: gateways, Bedrock's invocation log, and any JSON records with a time and tokens."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from host.json_values import mapping
from scenarios.columns import SESSIONS, Columns, plain
from scenarios.traces.cells import count, flat, moment, name_of, records
from scenarios.traces.row import TraceRow
from scenarios.traces.tables import columns_or_raise, row_of, whole_prompt


def json_rows(path: str | Path) -> Iterator[TraceRow]:
    """Flat or nested records. Spans without token usage (tools, agents) are parts of a request, and no requests."""
    by_names: dict[tuple[str, ...], tuple[Columns, bool]] = {}  # records of one log have few sets of keys
    for line, record in records(path):
        cells = flat(record)
        names = tuple(cells)
        if names not in by_names:
            columns = columns_or_raise(path, cells)
            by_names[names] = columns, not (is_span(cells) and columns.inputs is None and columns.outputs is None)
        columns, is_request = by_names[names]
        if is_request:
            yield row_of(path, line, cells, columns)


def is_span(cells: Mapping[str, object]) -> bool:
    """Whether a flat record names a trace or a span."""
    names = {plain(name).rpartition("_")[0] for name in cells if plain(name).endswith("_id")}
    return any(name.endswith("trace") or name.endswith("span") for name in names)


def litellm_rows(path: str | Path) -> Iterator[TraceRow]:
    """LiteLLM's spend logs (`LiteLLM_SpendLogs`, its `/spend/logs` API): prompt tokens include cached ones.

    Source: LiteLLM proxy documentation, spend tracking. `metadata` may be text, and holds `usage_object`.
    """
    for line, record in records(path):
        metadata = record.get("metadata")
        if isinstance(metadata, str) and metadata.startswith("{"):
            try:
                record = {**record, "metadata": json.loads(metadata)}
            except (ValueError, RecursionError):
                record = {**record, "metadata": None}
        cells = {key: value for key, value in flat(record).items() if not key.startswith("metadata.user_api_key")}
        row = row_of(path, line, cells, columns_or_raise(path, cells))
        status = str(record.get("status") or mapping(record.get("metadata")).get("status") or "").lower()
        yield row._replace(failed=status in ("failure", "error"))


def bedrock_rows(path: str | Path) -> Iterator[TraceRow]:
    """Bedrock's model-invocation log. Its input tokens are those that no cache gave; reads and writes stand beside.

    Source: Amazon Bedrock user guide, model invocation logging (`schemaType` ModelInvocationLog, version 1.0). A
    session is known where the caller's `requestMetadata` names one.
    """
    for line, record in records(path):
        if record.get("schemaType") not in ("ModelInvocationLog", None):
            continue
        asked, answered = mapping(record.get("input")), mapping(record.get("output"))
        at = moment(path, line, "timestamp", record.get("timestamp"), None)
        inputs, read, write = (
            count(path, line, name, asked.get(name) or 0)
            for name in ("inputTokenCount", "cacheReadInputTokenCount", "cacheWriteInputTokenCount")
        )
        outputs = count(path, line, "outputTokenCount", answered.get("outputTokenCount") or 0)
        metadata = {plain(key): value for key, value in mapping(record.get("requestMetadata")).items()}
        cached = "cacheReadInputTokenCount" in asked
        yield TraceRow(
            line, at.seconds, whole_prompt(inputs, read, write, apart=True), outputs, zone=at.zone, unit=at.unit,
            session=next((name_of(metadata[name]) for name in SESSIONS if name in metadata), None),
            cache_read_tokens=read if cached else None, cache_write_tokens=write if cached else None,
            client=name_of(mapping(record.get("identity")).get("arn")), model=name_of(record.get("modelId")),
            key=name_of(record.get("requestId")), failed=bool(record.get("errorCode")),
        )  # fmt: skip
