"""Counts per step from a CSV file, such as requests per minute of last year's event. numpy and stdlib only."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from host.tables import Row, table_rows
from host.times import seconds_of
from scenarios.errors import ScenarioError

GAP_STEPS_MAX = 100_000


@dataclass(frozen=True)
class StepCounts:
    """An even series: counts (N,) per step, the first step's start, and how many steps were missing in the file."""

    counts: NDArray[np.float64]
    start_s: float
    step_s: float
    missing: int


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
    for line, row in table_rows(Path(path), error=ScenarioError):
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


def _cells(path: str, line: int, row: Row, time_column: str, count_column: str) -> tuple[float, float]:
    for column in (time_column, count_column):
        if row.get(column) is None:
            names = ", ".join(row)[:120]
            raise ScenarioError(f"{path}: line {line}: no column {column!r}; its columns are {names}")
    try:
        at_s, value = seconds_of(row[time_column]), float(row[count_column])
    except ValueError as error:
        raise ScenarioError(f"{path}: line {line}: {error}; expected a time and a count") from None
    if not (math.isfinite(value) and value >= 0):
        raise ScenarioError(f"{path}: line {line}: {count_column} is {value}, expected a count >= 0")
    return at_s, value
