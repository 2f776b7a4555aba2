"""Public logs of LLM services, each read as a stream of the same rows. numpy and stdlib only.

| format | file | gives |
|---|---|---|
| csv | any CSV with a column of times (Azure LLM traces among them) | arrivals, and lengths where it has them |
| counts | CSV of counts per step (World Cup 98, NAB) | a shape; see `counts.py` |
| mooncake | JSON lines, `timestamp` in ms, `hash_ids` of 512-token blocks | arrivals, lengths, prefix blocks |
| ragpulse | JSON lines, `hash_ids` by part of the prompt, lengths per block in files beside it | the same |
| agentic | JSON lines, one session each, `hash_ids` local to it | lengths, prefix blocks; no common clock |
"""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from scenarios.counts import csv_rows, open_text, seconds_of
from scenarios.errors import ScenarioError

TIME_COLUMNS = ("TIMESTAMP", "timestamp", "time", "arrival_s", "offset_s")
TIME_COLUMNS_MS = ("timestamp_ms", "time_ms", "arrival_ms")
INPUT_COLUMNS = ("ContextTokens", "input_tokens", "input_length")
OUTPUT_COLUMNS = ("GeneratedTokens", "output_tokens", "output_length")
COUNT_COLUMNS = ("count", "value", "requests")
MILLISECONDS_SINCE_1970 = 1e11
"""As seconds this is the year 5138, as milliseconds 1973: a bare number above it is milliseconds."""

MOONCAKE_BLOCK_TOKENS = 512
RAGPULSE_PARTS = ("sys_prompt", "passages_ids", "history", "web_search", "user_input")
_RAGPULSE_TABLES = {
    "sys_prompt": ("1_sys_prompt", "sys_prompt_id"),
    "passages_ids": ("2_passages", "passage_id"),
    "history": ("3_history", "history_id"),
    "web_search": ("5_web_search", "web_search_id"),
    "user_input": ("4_user_input", "user_input_id"),
}


class TraceRow(NamedTuple):
    """One request of a log. at_s is None where the log has no clock in common; blocks are prefix blocks in order."""

    line: int
    at_s: float | None
    input_tokens: int | None = None
    output_tokens: int | None = None
    block_ids: tuple[int, ...] = ()
    block_tokens: tuple[int, ...] = ()
    session: str | None = None


def detect(path: str | Path) -> str:
    """The format of a file, by its first line.

    Raises:
        ScenarioError: unreadable, empty, or of none of the known forms.
    """
    try:
        with open_text(path) as file:
            line = file.readline()
    except (UnicodeDecodeError, EOFError, gzip.BadGzipFile, OSError) as error:
        raise ScenarioError(f"{path}: damaged or no text ({error}); give a CSV or JSON lines, gzipped or not") from None
    if not line.lstrip().startswith("{"):
        names = [name.strip() for name in line.strip().split(",")]
        lengths = set(names) & {*INPUT_COLUMNS, *OUTPUT_COLUMNS}
        return "counts" if set(names) & set(COUNT_COLUMNS) and len(names) == 2 and not lengths else "csv"
    first = _json(path, 1, line)
    if isinstance(first.get("requests"), list):
        return "agentic"
    if isinstance(first.get("hash_ids"), dict):
        return "ragpulse"
    if "timestamp" in first and "input_length" in first:
        return "mooncake"
    raise ScenarioError(
        f"{path}: JSON lines of no known form; convert it to CSV with timestamp,input_tokens,output_tokens"
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


def _json(path: str | Path, line: int, text: str) -> Mapping[str, Any]:
    try:
        record = json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        raise ScenarioError(f"{path}: line {line}: no JSON; the file may be cut off") from None
    if not isinstance(record, dict):
        raise ScenarioError(f"{path}: line {line}: expected a JSON object")
    return record


def _json_lines(path: str | Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    with open_text(path) as file:
        try:
            for line, text in enumerate(file, start=1):
                if text.strip():
                    yield line, _json(path, line, text)
        except (UnicodeDecodeError, EOFError, OSError) as error:
            raise ScenarioError(f"{path}: damaged ({error}); fetch it again") from None


def _csv(path: str | Path) -> Iterator[TraceRow]:
    columns: tuple[str, float, str | None, str | None] | None = None
    for line, row in csv_rows(path):
        columns = columns or _columns(path, row)
        time, unit_s, inputs, outputs = columns
        at_s = _time(path, line, time, row.get(time)) * unit_s
        yield TraceRow(
            line,
            at_s,
            None if inputs is None else _count(path, line, inputs, row.get(inputs)),
            None if outputs is None else _count(path, line, outputs, row.get(outputs)),
        )


def _columns(path: str | Path, row: Mapping[str, Any]) -> tuple[str, float, str | None, str | None]:
    def first(names: tuple[str, ...]) -> str | None:
        return next((name for name in names if name in row), None)

    time, time_ms = first(TIME_COLUMNS), first(TIME_COLUMNS_MS)
    if time is None and time_ms is None:
        found = ", ".join(str(name) for name in row)[:120]
        known = ", ".join((*TIME_COLUMNS, *TIME_COLUMNS_MS))
        raise ScenarioError(f"{path}: no column of times; name one of {known}; found {found}")
    return time or str(time_ms), 1.0 if time else 1e-3, first(INPUT_COLUMNS), first(OUTPUT_COLUMNS)


def _time(path: str | Path, line: int, column: str, cell: object) -> float:
    try:
        at = seconds_of(str(cell) if cell is not None else "")
    except ValueError:
        raise ScenarioError(f"{path}: line {line}: {column} is {cell!r}, expected ISO time or seconds") from None
    if abs(at) > MILLISECONDS_SINCE_1970 and column not in TIME_COLUMNS_MS:
        raise ScenarioError(f"{path}: line {line}: {column} is {cell!r}: milliseconds? name the column timestamp_ms")
    return at


def _count(path: str | Path, line: int, column: str, cell: object) -> int:
    try:
        value = float(str(cell) if cell is not None else "")
        if not (math.isfinite(value) and value >= 0 and value == int(value)):
            raise ValueError
    except ValueError:
        raise ScenarioError(f"{path}: line {line}: {column} is {cell!r}, expected a whole number >= 0") from None
    return int(value)


def _ids(path: str | Path, line: int, found: object) -> tuple[int, ...]:
    if not isinstance(found, list) or not all(isinstance(item, int) for item in found):
        raise ScenarioError(f"{path}: line {line}: hash_ids are no list of whole numbers")
    return tuple(found)


def _even_blocks(total: int, blocks: int, size: int) -> tuple[int, ...]:
    """Tokens of each block: full ones, and the last with what is left."""
    return tuple([size] * (blocks - 1) + [max(0, total - size * (blocks - 1))]) if blocks else ()


def _mooncake(path: str | Path) -> Iterator[TraceRow]:
    for line, record in _json_lines(path):
        ids = _ids(path, line, record.get("hash_ids", []))
        inputs = _count(path, line, "input_length", record.get("input_length"))
        outputs = _count(path, line, "output_length", record.get("output_length"))
        at_s = _time(path, line, "timestamp_ms", record.get("timestamp")) / 1000.0
        yield TraceRow(line, at_s, inputs, outputs, ids, _even_blocks(inputs, len(ids), MOONCAKE_BLOCK_TOKENS))


def _agentic(path: str | Path) -> Iterator[TraceRow]:
    for line, record in _json_lines(path):
        size = _count(path, line, "block_size", record.get("block_size"))
        for request in record["requests"]:
            ids = _ids(path, line, request.get("hash_ids", []))
            inputs = _count(path, line, "in", request.get("in"))
            outputs = _count(path, line, "out", request.get("out"))
            yield TraceRow(
                line, None, inputs, outputs, ids, _even_blocks(inputs, len(ids), size), str(record.get("id"))
            )


def _ragpulse(path: str | Path) -> Iterator[TraceRow]:
    tables = {part: _ragpulse_lengths(str(Path(path).parent), part) for part in RAGPULSE_PARTS}
    for line, record in _json_lines(path):
        ids: list[int] = []
        tokens: list[int] = []
        for part in RAGPULSE_PARTS:
            for block in _ids(path, line, record["hash_ids"].get(part, [])):
                ids.append(block)
                tokens.append(tables[part].get(block, 0))
        inputs = _count(path, line, "input_length", record.get("input_length"))
        outputs = _count(path, line, "output_length", record.get("output_length"))
        at_s = _time(path, line, "timestamp", record.get("timestamp"))
        session = str(record.get("session_id"))
        yield TraceRow(line, at_s, inputs, outputs, tuple(ids), tuple(tokens), session)


@lru_cache(maxsize=16)
def _ragpulse_lengths(folder: str, part: str) -> Mapping[int, int]:
    """Tokens of each block of one part of the prompt; empty when the table does not lie beside the trace."""
    stem, key = _RAGPULSE_TABLES[part]
    path = next((p for p in (Path(folder) / f"{stem}.jsonl", Path(folder) / f"{stem}.jsonl.gz") if p.is_file()), None)
    if path is None:
        return {}
    return {int(record[key]): int(record["token_length"]) for _, record in _json_lines(path)}


_READERS: Mapping[str, Callable[[str | Path], Iterator[TraceRow]]] = {
    "csv": _csv,
    "mooncake": _mooncake,
    "ragpulse": _ragpulse,
    "agentic": _agentic,
}
