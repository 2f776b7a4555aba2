"""Counts per step from a CSV file, such as requests per minute of last year's event. numpy and stdlib only."""

from __future__ import annotations

import csv
import gzip
import io
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scenarios.errors import ScenarioError

GAP_STEPS_MAX = 100_000


@dataclass(frozen=True)
class StepCounts:
    """An even series: counts (N,) per step, the first step's start, and how many steps were missing in the file."""

    counts: NDArray[np.float64]
    start_s: float
    step_s: float
    missing: int


def open_text(path: str | Path) -> io.TextIOBase:
    """A text file, gunzipped when it starts with gzip's magic bytes, whatever its name.

    Raises:
        ScenarioError: no regular file (a device or a pipe has no second pass), or not readable.
    """
    if not Path(path).is_file():
        raise ScenarioError(f"{path}: cannot be read (no file there); give a CSV or CSV.gz file")
    try:
        with open(path, "rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        if packed:
            return gzip.open(path, "rt", encoding="utf-8", newline="")
        return open(path, encoding="utf-8", newline="")
    except OSError as error:
        reason = error.strerror or str(error)
        raise ScenarioError(f"{path}: cannot be read ({reason}); give a CSV or CSV.gz file") from None


def csv_rows(path: str | Path) -> Iterator[tuple[int, dict[str, str | None]]]:
    """Line number and cells of each row, streamed.

    Raises:
        ScenarioError: unreadable, no text, or damaged.
    """
    with open_text(path) as file:
        try:
            reader = csv.DictReader(file)
            for row in reader:
                yield reader.line_num, row
        except (UnicodeDecodeError, csv.Error, EOFError, OSError) as error:
            raise ScenarioError(f"{path}: damaged or no CSV text ({error}); give a CSV or CSV.gz file") from None


def seconds_of(text: str) -> float:
    """A timestamp in ISO form (no zone means UTC) or a plain number of seconds.

    Raises:
        ValueError: neither.
    """
    try:
        value = float(text)
    except ValueError:
        moment = datetime.fromisoformat(text.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is no time")
    return value


def step_counts(path: str, time_column: str, count_column: str, step_s: float) -> StepCounts:
    """The series of a file, its missing steps interpolated and counted.

    Raises:
        ScenarioError: a column is missing, a cell is no time or no count, or rows are not in time order.
    """
    try:
        stamp = os.stat(path)
    except OSError:
        raise ScenarioError(f"{path}: no such file; a trace's path counts from the scenario's folder") from None
    return _step_counts(path, time_column, count_column, step_s, stamp.st_mtime_ns, stamp.st_size)


@lru_cache(maxsize=8)
def _step_counts(path: str, time_column: str, count_column: str, step_s: float, *_: int) -> StepCounts:
    steps: list[int] = []
    values: list[float] = []
    start_s = 0.0
    for line, row in csv_rows(path):
        at_s, value = _cells(path, line, row, time_column, count_column)
        start_s = at_s if not steps else start_s
        step = round((at_s - start_s) / step_s)
        if steps and step <= steps[-1]:
            raise ScenarioError(
                f"{path}: line {line}: {time_column} is not after the row before by {step_s:g} s; sort it"
            )
        if step - (steps[-1] if steps else 0) > GAP_STEPS_MAX:
            raise ScenarioError(f"{path}: line {line}: a gap of over {GAP_STEPS_MAX} steps; check step_s")
        steps.append(step)
        values.append(value)
    if not steps:
        raise ScenarioError(f"{path}: no rows; expected {time_column},{count_column}")
    counts = np.interp(np.arange(steps[-1] + 1), steps, values)
    counts.setflags(write=False)
    return StepCounts(counts=counts, start_s=start_s, step_s=step_s, missing=len(counts) - len(steps))


def _cells(
    path: str, line: int, row: dict[str, str | None], time_column: str, count_column: str
) -> tuple[float, float]:
    for column in (time_column, count_column):
        if row.get(column) is None:
            found = ", ".join(str(name) for name in row)
            raise ScenarioError(f"{path}: line {line}: no column {column!r}; found {found[:120]}")
    try:
        at_s, value = seconds_of(str(row[time_column])), float(str(row[count_column]))
    except ValueError as error:
        raise ScenarioError(f"{path}: line {line}: {error}; expected a time and a count") from None
    if not (math.isfinite(value) and value >= 0):
        raise ScenarioError(f"{path}: line {line}: {count_column} is {value}, expected a count >= 0")
    return at_s, value
