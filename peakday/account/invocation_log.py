"""Bedrock model-invocation logs (JSON lines, plain or gzip) as usage.csv. No prompt or answer is kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from facts.account import MINUTE_S, Minute, MinuteKey, usage_text
from facts.model_names import plain_id
from host.json_text import json_lines
from host.times import seconds_of
from peakday.errors import CommandError

SCHEMA_TYPE = "ModelInvocationLog"
"""Bedrock user guide, model invocation logging: `schemaType` of every record."""
_THROTTLED = "ThrottlingException"


def import_logs(files: Sequence[Path], out: Path) -> tuple[str, dict[str, object]]:
    """Write usage.csv from log files; it is written whole or not at all.

    Raises:
        CommandError: a line that cannot be read, no record, or a file that is there already.
    """
    if out.exists():
        raise CommandError(f"{out}: already here; choose another --out")
    rows, counted = read_logs(files)
    if not rows:
        raise CommandError(f"{files[0]}: no {SCHEMA_TYPE} record; is model invocation logging switched on?")
    source = f"model invocation log {', '.join(path.name for path in files[:3])}{' …' if len(files) > 3 else ''}"
    text = usage_text(rows, source)
    with out.open("x", encoding="utf-8") as file:
        file.write(text)
    counts = ", ".join(f"{count:,} {what}" for what, count in sorted(counted.items()))
    return f"{len(rows):,} rows of usage from {counts}\n{out}", {"usage": str(out), "rows": len(rows), **counted}


def read_logs(files: Sequence[Path]) -> tuple[dict[MinuteKey, Minute], Counter[str]]:
    """Minutes by region and model, and how many records were calls, throttles, errors and other lines."""
    rows: dict[MinuteKey, Minute] = {}
    waited: dict[MinuteKey, tuple[float, int]] = {}
    counted: Counter[str] = Counter()
    for path in files:
        for where, record in _records(path):
            if record.get("schemaType") != SCHEMA_TYPE:
                counted["other lines"] += 1
                continue
            try:
                _add(record, rows, waited, counted)
            except (KeyError, ValueError, TypeError, AttributeError, OverflowError) as error:
                raise CommandError(f"{where}: not a whole {SCHEMA_TYPE} record ({type(error).__name__})") from None
    for key, (seconds, calls) in waited.items():
        rows[key].latency_s_mean = seconds / calls
    return rows, counted


def _add(
    record: Mapping[str, object],
    rows: dict[MinuteKey, Minute],
    waited: dict[MinuteKey, tuple[float, int]],
    counted: Counter[str],
) -> None:
    at_s = seconds_of(str(record["timestamp"]))
    key = (int(at_s) // MINUTE_S * MINUTE_S, str(record["region"]), plain_id(str(record["modelId"])))
    code = record.get("errorCode")
    if code and code != _THROTTLED:
        counted["errors"] += 1
        return
    minute = rows.setdefault(key, Minute())
    if code:
        minute.throttles += 1
        counted["throttles"] += 1
        return
    asked, answered = _object(record["input"]), _object(record.get("output", {}))
    minute.invocations += 1
    minute.input_tokens += _tokens(asked, "inputTokenCount")
    minute.cache_read_tokens += _tokens(asked, "cacheReadInputTokenCount")
    minute.cache_write_tokens += _tokens(asked, "cacheWriteInputTokenCount")
    minute.output_tokens += _tokens(answered, "outputTokenCount")
    counted["calls"] += 1
    latency_ms = _latency_ms(answered.get("outputBodyJson"))
    if latency_ms is not None:
        seconds, calls = waited.get(key, (0.0, 0))
        waited[key] = (seconds + latency_ms / 1000, calls + 1)


def _object(value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise TypeError("expected an object")
    return value


def _tokens(part: Mapping[str, object], name: str) -> float:
    value = part.get(name, 0)
    if not isinstance(value, str | float | int):
        raise TypeError(f"{name} is no number")
    return float(value)


def _latency_ms(body: object) -> float | None:
    """Converse tells `metrics.latencyMs`, a stream in its last event, InvokeModel streams in their own metrics."""
    for part in reversed(body) if isinstance(body, list) else [body]:
        if not isinstance(part, dict):
            continue
        metrics = part.get("metrics") or (part.get("metadata") or {}).get("metrics") or {}
        found = metrics.get("latencyMs", part.get("amazon-bedrock-invocationMetrics", {}).get("invocationLatency"))
        if found is not None:
            return float(found)
    return None


def _records(path: Path) -> Iterator[tuple[str, dict[str, object]]]:
    for where, record in json_lines(path, error=CommandError):
        if not isinstance(record, dict):
            raise CommandError(f"{where}: no record; one JSON object a line is expected")
        yield where, record
