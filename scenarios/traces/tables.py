"""Tables and plain lines: CSV of requests, the metrics of k6 and Locust, access logs of web servers."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

from host.files import lines_of, open_text
from host.tables import table_rows
from scenarios.columns import Columns, find_columns, plain
from scenarios.errors import ScenarioError
from scenarios.traces.cells import moment, name_of, seconds, tokens
from scenarios.traces.row import TraceRow

ACCESS_LOG = re.compile(r'\S+ \S+ .*?\[(\d{2}/[A-Z][a-z]{2}/\d{4}:\d{2}:\d{2}:\d{2} [+-]\d{4})\] "')
LOCUST = frozenset({"timestamp", "user_count", "total_request_count"})
"""Columns of Locust's `_stats_history.csv`, by plain name: cumulative counts at times."""
LOCUST_ROWS_MAX = 10_000_000


def csv_rows(path: str | Path) -> Iterator[TraceRow]:
    """A request a row, columns by synonym."""
    columns: Columns | None = None
    for line, row in table_rows(Path(path), error=ScenarioError):
        columns = columns or columns_or_raise(path, row)
        yield row_of(path, line, row, columns)


def k6_rows(path: str | Path) -> Iterator[TraceRow]:
    """k6's CSV of metrics, of which `http_reqs` are requests."""
    for line, row in table_rows(Path(path), error=ScenarioError):
        if row.get("metric_name") == "http_reqs":
            at = moment(path, line, "timestamp", row.get("timestamp"), None)
            yield TraceRow(line, at.seconds, zone=at.zone, unit=at.unit)


def locust_rows(path: str | Path) -> Iterator[TraceRow]:
    """Locust's history of cumulative counts: the requests between two of its rows stand at even gaps between them.

    Source: Locust's `--csv --csv-full-history`; rows named `Aggregated` count all requests.
    """
    before_s, before, given = 0.0, -1, 0
    for line, cells in table_rows(Path(path), error=ScenarioError):
        row = {plain(name): cell for name, cell in cells.items()}
        if row.get("name", "Aggregated") not in ("Aggregated", ""):
            continue
        at = moment(path, line, "Timestamp", row["timestamp"], None)
        total = tokens(path, line, "Total Request Count", row["total_request_count"])
        new = max(0, total - before) if before >= 0 else 0
        given += new
        if given > LOCUST_ROWS_MAX:
            raise ScenarioError(f"{path}: line {line}: over {LOCUST_ROWS_MAX:,} requests; cut the file")
        for number in range(new):
            yield TraceRow(line, before_s + (at.seconds - before_s) * (number + 1) / new, zone=at.zone, unit=at.unit)
        before_s, before = at.seconds, total


def access_log_rows(path: str | Path) -> Iterator[TraceRow]:
    """Lines in the common or combined log format."""
    with open_text(Path(path), error=ScenarioError) as file:
        for line, text in enumerate(lines_of(file, Path(path), error=ScenarioError), start=1):
            match = ACCESS_LOG.match(text)
            if match:
                try:
                    at = datetime.strptime(match[1], "%d/%b/%Y:%H:%M:%S %z")
                except ValueError:
                    raise ScenarioError(f"{path}: line {line}: [{match[1]}] is no date and time; remove it") from None
                yield TraceRow(line, at.timestamp(), unit="access log time")
            elif text.strip():
                raise ScenarioError(f"{path}: line {line}: no line of an access log: {text.strip()[:60]!r}")


def columns_or_raise(path: str | Path, row: Mapping[str, object]) -> Columns:
    """What the columns of a row mean.

    Raises:
        ScenarioError: none of them is of times.
    """
    columns = find_columns(row)
    if columns is None:
        names = ", ".join(str(name) for name in row)[:120]
        raise ScenarioError(f"{path}: no column of times; name one of them timestamp or timestamp_ms; it has {names}")
    return columns


def row_of(path: str | Path, line: int, row: Mapping[str, object], columns: Columns) -> TraceRow:
    """A row of a table, or a flat record, as a request. Cached tokens are part of its prompt, or are added to it."""
    at = moment(path, line, columns.time, row.get(columns.time), columns.unit_s)
    inputs, outputs, read, write = (
        None if name is None else tokens(path, line, name, row.get(name))
        for name in (columns.inputs, columns.outputs, columns.cache_read, columns.cache_write)
    )
    return TraceRow(
        line,
        at.seconds,
        whole_prompt(inputs, read, write),
        outputs,
        zone=at.zone,
        unit=at.unit,
        session=_name(row, columns.session),
        client=_name(row, columns.client),
        model=_name(row, columns.model),
        key=_name(row, columns.key),
        cache_read_tokens=read,
        cache_write_tokens=write,
        duration_s=_duration_s(path, line, row, columns, at.seconds),
    )


def whole_prompt(inputs: int | None, read: int | None, write: int | None, *, apart: bool = False) -> int | None:
    """Tokens of a prompt with what a cache gave: added where they are counted apart, or cannot be part of it."""
    cached = (read or 0) + (write or 0)
    return inputs + cached if inputs is not None and (apart or cached > inputs) else inputs


def _name(row: Mapping[str, object], column: str | None) -> str | None:
    return None if column is None else name_of(row.get(column))


def _duration_s(path: str | Path, line: int, row: Mapping[str, object], columns: Columns, at_s: float) -> float | None:
    """How long it took, where the row says it in a form that is read; a log is no worse for one that is not."""
    with contextlib.suppress(ScenarioError):
        if columns.duration is not None:
            name, unit_s = columns.duration
            return seconds(path, line, name, row.get(name), unit_s)
        end = row.get(columns.end) if columns.end is not None else None
        if end is not None and end != "":
            return max(0.0, moment(path, line, str(columns.end), end, columns.unit_s).seconds - at_s)
    return None
