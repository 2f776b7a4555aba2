"""Cells of a trace as values, and its JSON records one at a time: bounded, and one line where something is wrong."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

from host import json_values
from host.files import lines_of, open_text
from host.tables import is_grouped, table_rows
from host.times import Moment, moment_of
from scenarios.errors import ScenarioError

JSON_DOCUMENT_CHARS_MAX = 256_000_000
"""A JSON document that is no JSON lines is read whole."""
NAME_CHARS_MAX = 200
SHOWN_CHARS_MAX = 60
WRAPPERS = ("data", "observations", "spans", "records", "logs", "items")
"""Keys under which an export holds its list of records."""


def moment(path: str | Path, line: int, column: str, cell: object, unit_s: float | None) -> Moment:
    """A cell as a time.

    Raises:
        ScenarioError: it is none; with line and column.
    """
    try:
        if isinstance(cell, bool) or cell is None:
            raise ValueError
        return moment_of(str(cell), unit_s)
    except (ValueError, OverflowError):
        raise ScenarioError(f"{path}: line {line}: {column} is {_shown(cell)}, expected ISO time or seconds") from None


def seconds(path: str | Path, line: int, column: str, cell: object, unit_s: float = 1.0) -> float | None:
    """A cell as a duration in seconds; None where it is blank.

    Raises:
        ScenarioError: it is no number of 0 or more.
    """
    if cell is None or cell == "":
        return None
    try:
        value = float(cell) * unit_s  # type: ignore[arg-type]
    except (TypeError, ValueError):
        value = math.nan
    if not 0 <= value < math.inf:
        raise ScenarioError(f"{path}: line {line}: {column} is {_shown(cell)}, expected seconds >= 0")
    return value


def _shown(cell: object) -> str:
    """A cell in a message, cut where it is long."""
    text = repr(cell)
    return text if len(text) <= SHOWN_CHARS_MAX else f"{text[:SHOWN_CHARS_MAX]}…"


def tokens(path: str | Path, line: int, column: str, cell: object) -> int:
    """A count of tokens; a blank cell, as logs have it for a request that failed, is zero."""
    return 0 if cell is None or cell == "" else count(path, line, column, cell)


def count(path: str | Path, line: int, column: str, cell: object) -> int:
    """A cell as a whole number.

    Raises:
        ScenarioError: it is none, or below 0; with line and column.
    """
    try:
        if isinstance(cell, bool) or not isinstance(cell, (int, float, str)) or is_grouped(cell):
            raise ValueError
        value = float(cell)
        if not (math.isfinite(value) and 0 <= value < 2**62 and value == int(value)):
            raise ValueError
    except (ValueError, OverflowError):
        raise ScenarioError(f"{path}: line {line}: {column} is {_shown(cell)}, expected a whole number >= 0") from None
    return int(value)


def block_ids(path: str | Path, line: int, ids: object) -> tuple[int, ...]:
    """A list of block ids.

    Raises:
        ScenarioError: it is none.
    """
    if not isinstance(ids, list) or not all(type(item) is int and abs(item) < 2**62 for item in ids):
        raise ScenarioError(f"{path}: line {line}: hash_ids are no list of whole numbers")
    return tuple(ids)


def name_of(cell: object) -> str | None:
    """A cell as a name of a session, a client or a model; None where it is blank."""
    if cell is None or isinstance(cell, (bool, dict, list)) or cell == "":
        return None
    return str(cell)[:NAME_CHARS_MAX]


# --- JSON -------------------------------------------------------------------------------------------------------------


def first_line(path: str | Path) -> str:
    """The first line that is not blank, of at most a million characters."""
    with open_text(Path(path), error=ScenarioError) as file:
        return next((line for line in iter(lambda: file.readline(1_000_000), "") if line.strip()), "")


def first_record(path: str | Path) -> Mapping[str, object]:
    """The first record of a JSON file: of its lines, of its list, or of the list it wraps; {} where there is none."""
    line = first_line(path)
    if not _begins_json(line):
        return next((record for _, record in records(path)), {})
    try:
        first = json.loads(line)
    except (ValueError, RecursionError):
        first = document(path)
    return next((_unwrapped(item) for item in json_values.objects(listed(first))), {})


def document(path: str | Path) -> object:
    """A whole file as one JSON value: a list of records, or objects over many lines, one or one after another.

    Raises:
        ScenarioError: too large, no JSON, or neither object nor list.
    """
    with open_text(Path(path), error=ScenarioError) as file:
        text = file.read(JSON_DOCUMENT_CHARS_MAX + 1)
    if len(text) > JSON_DOCUMENT_CHARS_MAX:
        raise ScenarioError(f"{path}: larger than {JSON_DOCUMENT_CHARS_MAX:,} characters; write one record a line")
    try:
        values = list(_values(text))
    except (ValueError, RecursionError):
        raise ScenarioError(f"{path}: line 1: no JSON; the file may be cut off") from None
    value = values[0] if len(values) == 1 else values
    if not isinstance(value, (dict, list)):
        raise ScenarioError(f"{path}: expected JSON objects")
    return value


def _values(text: str) -> Iterator[object]:
    """JSON values that follow one another, as OpenTelemetry's console exporter prints them.

    Raises:
        ValueError: what is none, or nothing.
    """
    decoder = json.JSONDecoder()
    text = text.strip()
    at = 0
    while True:
        value, at = decoder.raw_decode(text, at)
        yield value
        if at == len(text):
            return
        while text[at].isspace():
            at += 1


def listed(value: object) -> list[object]:
    """The records of a JSON value: its items, those of the list it wraps, or itself."""
    if isinstance(value, list):  # Zipkin's API answers with a list of spans for each trace
        return [item for part in value for item in (part if isinstance(part, list) else [part])]
    if not isinstance(value, dict):
        return []
    wrapped = next((value[key] for key in WRAPPERS if _is_list_of_records(value.get(key))), None)
    if wrapped is None:
        return [value]
    common = {key: content for key, content in value.items() if key in ("sessionId", "session_id", "userId", "user_id")}
    return [common | item if isinstance(item, dict) else item for item in wrapped] if common else wrapped


def _is_list_of_records(value: object) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def records(path: str | Path) -> Iterator[tuple[int, Mapping[str, object]]]:
    """Number and value of each record: a line each, the items of one list, one object that is all, or a table's rows.

    Raises:
        ScenarioError: what is no JSON object, with its place.
    """
    if not _begins_json(first_line(path)):
        column = message_column(path)
        for line, row in table_rows(Path(path), error=ScenarioError):
            if column is None:
                yield line, row
            elif row[column]:
                yield from _inside(path, line, _parsed(path, line, row[column]))
        return
    with open_text(Path(path), error=ScenarioError) as file:
        numbered = enumerate(lines_of(file, Path(path), error=ScenarioError), start=1)
        line, text = next(((line, text) for line, text in numbered if text.strip()), (1, ""))
        if text.lstrip().startswith("{") and _is_json(text):
            yield from _inside(path, line, _parsed(path, line, text))
            for line, text in numbered:
                if text.strip():
                    yield from _inside(path, line, _parsed(path, line, text))
            return
    for number, record in enumerate(listed(document(path)), start=1):
        if not isinstance(record, dict):
            raise ScenarioError(f"{path}: record {number}: expected a JSON object")
        yield number, _unwrapped(record)


def _inside(path: str | Path, line: int, record: Mapping[str, object]) -> Iterator[tuple[int, Mapping[str, object]]]:
    """A line's record, or those that it wraps: a page of an API on one line, or a log service's envelope of one."""
    message = record.get("message", record.get("@message"))
    if isinstance(message, str) and message.lstrip().startswith("{") and _is_json(message):
        yield line, _parsed(path, line, message)
        return
    for item in listed(record):
        if isinstance(item, dict):
            yield line, _unwrapped(item)


def _unwrapped(record: Mapping[str, object]) -> Mapping[str, object]:
    """What an export of Elasticsearch (`_source`) or of Splunk (`preview`, `result`) holds; else the record itself."""
    inner = record.get("_source", record.get("result") if "preview" in record else None)
    return inner if isinstance(inner, dict) else record


def _begins_json(line: str) -> bool:
    return line.lstrip()[:1] in ("{", "[", "")


def message_column(path: str | Path) -> str | None:
    """The column of a table whose cells are JSON records, as CloudWatch Logs Insights exports them; None: no such."""
    if _begins_json(first_line(path)):
        return None
    _, row = next(table_rows(Path(path), error=ScenarioError), (0, {}))
    return next((name for name in ("@message", "message") if row.get(name, "").startswith("{")), None)


def _parsed(path: str | Path, line: int, text: str) -> Mapping[str, object]:
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        raise ScenarioError(f"{path}: line {line}: no JSON; the file may be cut off") from None
    if not isinstance(record, dict):
        raise ScenarioError(f"{path}: line {line}: expected a JSON object")
    return record


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def flat(record: Mapping[str, object], prefix: str = "", depth: int = 0) -> dict[str, object]:
    """Nested keys joined by dots; lists, and what lies deeper than records of logs do, are left out."""
    values: dict[str, object] = {}
    for key, value in record.items():
        if isinstance(value, dict) and depth < 5:
            values |= flat(value, f"{prefix}{key}.", depth + 1)
        elif not isinstance(value, (dict, list)):
            values[f"{prefix}{key}"] = value
    return values


def objects(record: Mapping[str, object], *keys: str) -> list[Mapping[str, object]]:
    """The objects of the first of these lists that is there."""
    return [*json_values.objects(next((record[key] for key in keys if isinstance(record.get(key), list)), None))]
