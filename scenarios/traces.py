"""A log as arrivals: times in order inside a window, lengths where it has them, and what is doubtful about it."""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scenarios.errors import ScenarioError
from scenarios.trace_formats import rows

# A log is batched when fewer than half of a hundred rows or more have a time of their own, half a second apart.
BATCH_ROWS = 100
BATCH_SHARE = 0.5
BATCH_S = 0.5


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


@dataclass(frozen=True)
class Survey:
    """What one pass over a log finds. first_s is the earliest time, wherever it stands in the file."""

    first_s: float
    last_s: float
    rows: int
    backwards: int
    moments: int
    """Distinct times, counting equal neighbours once."""


def survey(path: str | Path) -> Survey:
    """Read a log once, in constant memory.

    Raises:
        ScenarioError: no rows, no clock in common, or a bad cell.
    """
    first_s, last_s, count, backwards, moments, before_s = math.inf, -math.inf, 0, 0, 0, math.nan
    for row in rows(path):
        if row.at_s is None:
            raise ScenarioError(f"{path}: sessions without a common clock give no arrivals; use it for prefix blocks")
        first_s, last_s, count = min(first_s, row.at_s), max(last_s, row.at_s), count + 1
        backwards += row.at_s < before_s
        moments += row.at_s != before_s
        before_s = row.at_s
    if count == 0:
        raise ScenarioError(f"{path}: no rows; give a log with one request a line")
    return Survey(first_s, last_s, count, backwards, moments)


def read_replay(path: str | Path, window: tuple[float, float] | None = None) -> Replay:
    """Requests whose time, from the file's earliest, lies in the window (end excluded).

    Two passes: one to find the earliest time and what is doubtful, one to keep the window's rows.

    Raises:
        ScenarioError: unreadable, a bad cell with its line, or nothing in the window.
    """
    found = survey(path)
    start_s, end_s = window or (0.0, math.inf)
    offsets, inputs, outputs = array("d"), array("q"), array("q")
    for row in rows(path):
        since_s = (row.at_s or 0.0) - found.first_s
        if start_s <= since_s < end_s:
            offsets.append(since_s - start_s)
            if row.input_tokens is not None:
                inputs.append(row.input_tokens)
            if row.output_tokens is not None:
                outputs.append(row.output_tokens)
    if not offsets:
        length_s = found.last_s - found.first_s
        raise ScenarioError(f"{path}: no rows in {start_s:g}s:{end_s:g}s; it lasts {length_s:.0f} s; change --window")
    offset_s = np.frombuffer(offsets, dtype=np.float64)
    order = np.argsort(offset_s, kind="stable")
    return Replay(
        offset_s=offset_s[order],
        input_tokens=np.frombuffer(inputs, dtype=np.int64)[order] if inputs else None,
        output_tokens=np.frombuffer(outputs, dtype=np.int64)[order] if outputs else None,
        warnings=tuple(_doubts(path, found)),
    )


def _doubts(path: str | Path, found: Survey) -> list[str]:
    doubts = []
    if found.backwards:
        doubts.append(f"{path}: {found.backwards} rows are earlier than the row before; sorted by time")
    spacing_s = (found.last_s - found.first_s) / max(1, found.moments - 1)
    if found.rows >= BATCH_ROWS and found.moments < BATCH_SHARE * found.rows and spacing_s > BATCH_S:
        doubts.append(
            f"{path}: requests come in batches some {spacing_s:.1f} s apart; burstiness below that is an artefact"
        )
    return doubts
