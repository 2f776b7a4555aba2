"""Tables and plain lines: CSV of requests, the metrics of k6 and Locust, access logs of web servers."""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

from host.files import lines_of, open_text
from host.tables import table_rows
from scenarios.columns import LOGGED_AT_END, SUMS, Columns, find_columns, plain
from scenarios.errors import ScenarioError
from scenarios.traces.cells import moment, name_of, records, seconds, tokens
from scenarios.traces.row import TraceRow

ACCESS_LOG = re.compile(r'\S+ \S+ .*?\[(\d{2}/[A-Z][a-z]{2}/\d{4}:\d{2}:\d{2}:\d{2} [+-]\d{4})\] "')
LOAD_BALANCER = re.compile(r"(?:(?:https?|h2|grpcs|wss?|tls) )?(\d{4}-\d\d-\d\dT[\d:.]+Z) \S+ [\d.a-fA-F:]+:\d+ ")
_CREATED = re.compile(r'(?<= )\d+ (\d{4}-\d\d-\d\dT[\d:.]+Z) "')
_W3C_HEAD_LINES = 20
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


def k6_json_rows(path: str | Path) -> Iterator[TraceRow]:
    """k6's JSON lines (`--out json`), of which points of `http_reqs` are requests."""
    for line, record in records(path):
        if record.get("metric") == "http_reqs" and record.get("type") == "Point":
            data = record.get("data")
            at = moment(path, line, "time", data.get("time") if isinstance(data, dict) else None, None)
            yield TraceRow(line, at.seconds, zone=at.zone, unit=at.unit)


def load_balancer_rows(path: str | Path) -> Iterator[TraceRow]:
    """Access logs of AWS's load balancers: their first time is the answer's end, ALB's second one the request's.

    Source: Elastic Load Balancing user guides, access log entries (ALB: `request_creation_time`).
    """
    with open_text(Path(path), error=ScenarioError) as file:
        for line, text in enumerate(lines_of(file, Path(path), error=ScenarioError), start=1):
            if not text.strip():
                continue
            match = LOAD_BALANCER.match(text)
            if match is None:
                raise ScenarioError(f"{path}: line {line}: no line of a load balancer's log: {text.strip()[:60]!r}")
            made = _CREATED.findall(text)
            end = moment(path, line, "time", match[1], None).seconds
            at = moment(path, line, "request_creation_time", made[-1], None).seconds if made else end
            yield TraceRow(line, at, unit="access log time", duration_s=end - at if made else None)


def is_w3c(path: str | Path) -> bool:
    """Whether the comments that begin a file name its fields, as the W3C extended log format has it."""
    with open_text(Path(path), error=ScenarioError) as file:
        head = itertools.islice(lines_of(file, Path(path), error=ScenarioError), _W3C_HEAD_LINES)
        return any(text.startswith("#Fields:") for text in itertools.takewhile(lambda text: text[:1] == "#", head))


def w3c_rows(path: str | Path) -> Iterator[TraceRow]:
    """The W3C extended log format: CloudFront's standard logs, IIS. Dates and times are UTC, of the answer's end.

    Source: W3C working draft WD-logfile; `time-taken` is seconds at CloudFront, milliseconds in IIS, and is not read
    of others.
    """
    names: list[str] = []
    taken_unit_s: float | None = None
    with open_text(Path(path), error=ScenarioError) as file:
        for line, text in enumerate(lines_of(file, Path(path), error=ScenarioError), start=1):
            if text.startswith("#Fields:"):
                names = text.split()[1:]
                taken_unit_s = 1.0 if "x-edge-location" in names else taken_unit_s
            elif text.startswith("#Software: Microsoft"):
                taken_unit_s = 1e-3
            elif text.strip() and not text.startswith("#"):
                cells = text.rstrip("\r\n").split("\t" if "\t" in text else None)
                row = dict(zip(names, cells, strict=False))
                at = moment(path, line, "date and time", f"{row.get('date')}T{row.get('time')}Z", None)
                taken = row.get("time-taken") if taken_unit_s is not None else None
                taken_s = seconds(path, line, "time-taken", "" if taken == "-" else taken, taken_unit_s or 1.0)
                yield TraceRow(line, at.seconds - (taken_s or 0.0), unit="access log time", duration_s=taken_s)


def columns_or_raise(path: str | Path, row: Mapping[str, object]) -> Columns:
    """What the columns of a row mean.

    Raises:
        ScenarioError: none of them is of times.
    """
    summed = next((name for name in row if plain(str(name)) in SUMS), None)
    if summed is not None:
        raise ScenarioError(
            f"{path}: a row sums up many requests ({summed}); give a log of one request a row, or its times and counts "
            f"alone (two columns, time and count) as a shape"
        )
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
    duration_s = _duration_s(path, line, row, columns, at.seconds)
    since_s = duration_s if duration_s is not None and plain(columns.time) in LOGGED_AT_END else 0.0
    return TraceRow(
        line,
        at.seconds - since_s,
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
        duration_s=duration_s,
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
