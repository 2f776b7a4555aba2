"""Real services' logs as arrivals: times, and token lengths where the file has them. numpy and stdlib only."""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scenarios.counts import csv_rows, seconds_of
from scenarios.errors import ScenarioError

TIME_COLUMNS = ("TIMESTAMP", "timestamp", "time", "arrival_s", "offset_s")
INPUT_COLUMNS = ("ContextTokens", "input_tokens", "input_length")
OUTPUT_COLUMNS = ("GeneratedTokens", "output_tokens", "output_length")


@dataclass(frozen=True)
class Replay:
    """Arrivals of a file inside a window.

    Attributes:
        offset_s: (n,) seconds from the window's start, in order.
        input_tokens: (n,) or None when the file has no such column.
        output_tokens: (n,) or None.
        warnings: what the reader had to mend or doubts, one line each.
    """

    offset_s: NDArray[np.float64]
    input_tokens: NDArray[np.int64] | None
    output_tokens: NDArray[np.int64] | None
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        """How many."""
        return len(self.offset_s)


def read_replay(path: str | Path, window: tuple[float, float] | None = None) -> Replay:
    """Rows of a CSV or CSV.gz whose time from the first row lies in the window (end excluded).

    Columns: a time (ISO or seconds), and optionally input and output tokens, under any of the names above.
    """
    first_s, offsets, inputs, outputs = math.nan, array("d"), array("q"), array("q")
    start_s, end_s = window or (0.0, math.inf)
    names: tuple[str, str | None, str | None] | None = None
    for line, row in csv_rows(path):
        names = names or _columns(path, row)
        at_s = _time(path, line, row, names[0])
        first_s = at_s if math.isnan(first_s) else first_s
        if not start_s <= at_s - first_s < end_s:
            continue
        offsets.append(at_s - first_s - start_s)
        if names[1] is not None:
            inputs.append(_count(path, line, row, names[1]))
        if names[2] is not None:
            outputs.append(_count(path, line, row, names[2]))
    if not offsets:
        raise ScenarioError(f"{path}: no rows in {start_s:g}s:{end_s:g}s from its first; widen --window")
    return _ordered(path, offsets, inputs, outputs)


def _columns(path: str | Path, row: dict[str, str | None]) -> tuple[str, str | None, str | None]:
    def first(names: tuple[str, ...]) -> str | None:
        return next((name for name in names if name in row), None)

    time = first(TIME_COLUMNS)
    if time is None:
        found = ", ".join(str(name) for name in row)[:120]
        raise ScenarioError(f"{path}: no column of times; name one of {', '.join(TIME_COLUMNS)}; found {found}")
    return time, first(INPUT_COLUMNS), first(OUTPUT_COLUMNS)


def _time(path: str | Path, line: int, row: dict[str, str | None], column: str) -> float:
    try:
        return seconds_of(row[column] or "")
    except ValueError:
        raise ScenarioError(f"{path}: line {line}: {column} is {row[column]!r}, expected ISO time or seconds") from None


def _count(path: str | Path, line: int, row: dict[str, str | None], column: str) -> int:
    try:
        value = float(row[column] or "")
        if not (value >= 0 and value == int(value)):
            raise ValueError
        return int(value)
    except (ValueError, OverflowError):
        raise ScenarioError(f"{path}: line {line}: {column} is {row[column]!r}, expected a whole number >= 0") from None


def _ordered(path: str | Path, offsets: array[float], inputs: array[int], outputs: array[int]) -> Replay:
    offset_s = np.frombuffer(offsets, dtype=np.float64).copy()
    input_tokens = np.frombuffer(inputs, dtype=np.int64).copy() if inputs else None
    output_tokens = np.frombuffer(outputs, dtype=np.int64).copy() if outputs else None
    warnings: tuple[str, ...] = ()
    backwards = int((np.diff(offset_s) < 0).sum())
    if backwards:
        order = np.argsort(offset_s, kind="stable")
        offset_s = offset_s[order]
        input_tokens = None if input_tokens is None else input_tokens[order]
        output_tokens = None if output_tokens is None else output_tokens[order]
        warnings = (f"{path}: {backwards} rows are earlier than the row before; sorted by time",)
    return Replay(offset_s, input_tokens, output_tokens, warnings)
