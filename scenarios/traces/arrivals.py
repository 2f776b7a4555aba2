"""A log as arrivals: times in order inside a window, lengths where it has them, and what is doubtful about it."""

from __future__ import annotations

import math
from array import array
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scenarios.errors import ScenarioError
from scenarios.traces.detection import length_doubts, rows
from scenarios.traces.row import TraceRow

# A log is batched when fewer than half of a hundred rows or more have a time of their own, half a second apart.
BATCH_ROWS = 100
BATCH_SHARE = 0.5
BATCH_S = 0.5
HOUR_S = 3600.0
DOUBTED_ROWS = 5
SINCE_1970_S = 1e8
RATE_DOUBTED_PER_S = 20_000.0
GAP_DOUBTED_S = 60.0
"""A mean rate above the one, or a mean gap of whole seconds above the other, asks whether the unit was meant."""
NEAR_ROWS = 256
"""How far back a row is looked for again."""
UNITS_KEPT = 8
PAUSE_RATIO = 200.0
PAUSE_S_MIN = 60.0
"""A gap so many times the mean one, and so long at least, is named: a log may have been off, or a night."""
DUPLICATES_RATIO = 0.001


@dataclass(frozen=True)
class Replay:
    """Arrivals of a file inside a window.

    Attributes:
        offset_s: (n,) seconds from the window's start, in order.
        input_tokens: (n,) or None when the file has no such column; at least 1.
        output_tokens: (n,) or None; at least 1.
        warnings: what the reader took the file for where it leaves a choice, repaired or doubts, one line each.
        file_s, file_rows: from the file's first request to its last, and how many, whatever the window.
    """

    offset_s: NDArray[np.float64]
    input_tokens: NDArray[np.int64] | None
    output_tokens: NDArray[np.int64] | None
    warnings: tuple[str, ...] = ()
    file_s: float = 0.0
    file_rows: int = 0

    @property
    def length_s(self) -> float:
        """How long the whole file lasts: a mean gap after its last request closes it."""
        return self.file_s + (self.file_s / (self.file_rows - 1) if self.file_rows > 1 and self.file_s > 0 else 1.0)

    def __len__(self) -> int:
        """How many."""
        return len(self.offset_s)


@dataclass(frozen=True)
class Survey:
    """What one pass over a log shows. first_s is the earliest time, wherever it stands in the file."""

    first_s: float
    last_s: float
    rows: int
    backwards: int
    times: int
    """Distinct times, counting equal neighbours once."""
    without_input: int = 0
    without_output: int = 0
    unit: str = ""
    zoneless: bool = False
    fall_back_line: int | None = None
    """Where a local clock steps back by an hour at the end of summer time; the rows from there on are an hour later."""
    step_back_s_max: float = 0.0
    duplicates: int = 0
    """Rows that equal one of the last NEAR_ROWS in time, lengths, session and blocks."""
    mixed_zones: int = 0
    """Rows with a zone among rows without, or the other way round: the fewer of the two."""
    units: tuple[str, ...] = ()
    """How bare numbers were taken, where one file holds several."""
    gap_s_max: float = 0.0
    gap_line: int = 0
    without_both: int = 0


class _Pass:
    """One pass over a log, row by row, in constant memory."""

    def __init__(self) -> None:
        self.first_s, self.last_s, self.before_s = math.inf, -math.inf, math.nan
        self.rows = self.backwards = self.times = self.duplicates = self.zoned = 0
        self.without_input = self.without_output = self.without_both = 0
        self.step_line, self.step_s, self.step_s_max = 0, 0.0, 0.0
        self.first_before_s, self.first_after_s, self.last_after_s = math.inf, math.inf, -math.inf
        self.gap_s_max, self.gap_line = 0.0, 0
        self.units: set[str] = set()
        self.row = TraceRow(0, None)
        self._near: deque[int] = deque(maxlen=NEAR_ROWS)

    def add(self, row: TraceRow, at_s: float) -> None:
        """The next row of the file."""
        self.row = row
        self.rows += 1
        self._clock(row, at_s)
        self.without_input += row.input_tokens == 0
        self.without_output += row.output_tokens == 0
        self.without_both += row.input_tokens == 0 and row.output_tokens == 0
        self.zoned += row.zone
        if len(self.units) < UNITS_KEPT:
            self.units.add(row.unit)
        print_ = hash((at_s, *row[2:7], row.duration_s, row.key))
        self.duplicates += print_ in self._near and row.input_tokens is not None
        self._near.append(print_)

    def _clock(self, row: TraceRow, at_s: float) -> None:
        step_s = self.before_s - at_s
        if step_s > 0:
            self.backwards, self.step_line, self.step_s = self.backwards + 1, row.line, step_s
            self.step_s_max = max(self.step_s_max, step_s)
            self.first_before_s, self.first_after_s, self.last_after_s = self.first_s, math.inf, -math.inf
        elif -step_s > self.gap_s_max:
            self.gap_s_max, self.gap_line = -step_s, row.line
        self.first_s, self.last_s = min(self.first_s, at_s), max(self.last_s, at_s)
        self.first_after_s, self.last_after_s = min(self.first_after_s, at_s), max(self.last_after_s, at_s)
        self.times += at_s != self.before_s
        self.before_s = at_s

    def survey(self) -> Survey:
        """What the pass has shown."""
        first_s, last_s, row = self.first_s, self.last_s, self.row
        zones_differ = 0 < self.zoned < self.rows
        falls_back = self.backwards == 1 and not row.zone and HOUR_S / 2 < self.step_s <= HOUR_S and not zones_differ
        if falls_back:
            first_s = min(self.first_before_s, self.first_after_s + HOUR_S)
            last_s = max(last_s, self.last_after_s + HOUR_S)
        return Survey(
            first_s,
            last_s,
            self.rows,
            0 if falls_back else self.backwards,
            self.times,
            self.without_input,
            self.without_output,
            row.unit,
            not row.zone,
            self.step_line if falls_back else None,
            step_back_s_max=self.step_s_max,
            duplicates=self.duplicates,
            mixed_zones=min(self.zoned, self.rows - self.zoned),
            units=tuple(sorted(self.units)) if len(self.units) > 1 else (),
            gap_s_max=self.gap_s_max,
            gap_line=self.gap_line,
            without_both=self.without_both,
        )


def survey(path: str | Path) -> Survey:
    """Read a log once, in constant memory.

    Raises:
        ScenarioError: no rows, no clock in common, or a bad cell.
    """
    log = _Pass()
    for row in rows(path):
        log.add(row, _on_a_clock(row, path))
    if log.rows == 0:
        raise ScenarioError(f"{path}: no rows; give a log with one request a line")
    return log.survey()


def _on_a_clock(row: TraceRow, path: str | Path) -> float:
    if row.at_s is None:
        raise ScenarioError(f"{path}: sessions without a common clock give no arrivals; use it for prefix blocks")
    return row.at_s


def read_replay(path: str | Path, window: tuple[float, float] | None = None) -> Replay:
    """Requests whose time, from the file's earliest, lies in the window (end excluded).

    Two passes: one to find the earliest time and what is doubtful, one to keep the window's rows.

    Raises:
        ScenarioError: unreadable, a bad cell with its line, or nothing in the window.
    """
    log = survey(path)
    start_s, end_s = window or (0.0, math.inf)
    offsets, inputs, outputs = array("d"), array("q"), array("q")
    for row in rows(path):
        late_s = HOUR_S if log.fall_back_line is not None and row.line >= log.fall_back_line else 0.0
        since_s = (row.at_s or 0.0) + late_s - log.first_s
        if start_s <= since_s < end_s:
            offsets.append(since_s - start_s)
            if row.input_tokens is not None:
                inputs.append(max(1, row.input_tokens))
            if row.output_tokens is not None:
                outputs.append(max(1, row.output_tokens))
    file_s = log.last_s - log.first_s
    if not offsets:
        raise ScenarioError(f"{path}: no rows in {start_s:g}s:{end_s:g}s; it lasts {file_s:.0f} s; change --window")
    offset_s = np.frombuffer(offsets, dtype=np.float64)
    order = np.argsort(offset_s, kind="stable")
    warnings = [*doubts(path, log), *length_doubts(path)]
    return Replay(
        offset_s=offset_s[order],
        input_tokens=np.frombuffer(inputs, dtype=np.int64)[order] if len(inputs) == len(offsets) else None,
        output_tokens=np.frombuffer(outputs, dtype=np.int64)[order] if len(outputs) == len(offsets) else None,
        warnings=tuple(warnings),
        file_s=file_s,
        file_rows=log.rows,
    )


def doubts(path: str | Path, log: Survey) -> list[str]:
    """What the reader took a file for where it leaves a choice, repaired, or doubts; one line each."""
    return [*_taken_for(path, log), *_doubts(path, log), *_clock_doubts(path, log)]


def _taken_for(path: str | Path, log: Survey) -> Iterator[str]:
    """How the reader understood what a file leaves open."""
    if log.unit in ("milliseconds", "microseconds", "nanoseconds"):
        yield f"{path}: times are read as {log.unit}"
    if log.fall_back_line is not None:
        yield (
            f"{path}: times step back by an hour at line {log.fall_back_line}, as a local clock does at the end of "
            "summer time; the rows from there on are taken as an hour later"
        )
    elif log.zoneless:
        yield f"{path}: times without a zone are read as UTC"


def _clock_doubts(path: str | Path, log: Survey) -> Iterator[str]:
    """Mixed zones and units, doubled rows, and a silence in the middle."""
    if log.mixed_zones:
        yield f"{path}: {log.mixed_zones} of {log.rows} times differ in having a zone; those without are read as UTC"
    if log.units:
        yield f"{path}: times in several forms ({', '.join(unit or 'stated' for unit in log.units)}); write one"
    if log.duplicates > DUPLICATES_RATIO * log.rows:
        yield f"{path}: {log.duplicates} rows equal one just before (time, lengths, session); a log written twice?"
    mean_s = (log.last_s - log.first_s - log.gap_s_max) / max(1, log.rows - 2)  # of all other gaps
    if log.rows >= BATCH_ROWS and log.gap_s_max > max(PAUSE_S_MIN, PAUSE_RATIO * mean_s):
        yield f"{path}: no request for {log.gap_s_max:.0f} s before line {log.gap_line}; a night, or a log that was off"


def _is_offset(log: Survey) -> bool:
    """Whether times count from the log's start, so that nothing but their size tells the unit."""
    return log.unit == "seconds" and log.first_s < SINCE_1970_S


def _doubts(path: str | Path, log: Survey) -> Iterator[str]:
    if log.backwards:
        by = f", by up to {log.step_back_s_max:.0f} s" if log.step_back_s_max >= 1 else ""
        yield f"{path}: {log.backwards} rows are earlier than the row before{by}; sorted by time"
    for number, what in ((log.without_input, "prompt"), (log.without_output, "answer")):
        if number:
            yield f"{path}: {number} of {log.rows} rows have no {what} tokens (failed, or not counted); taken as 1"
    length_s = log.last_s - log.first_s
    if log.rows >= DOUBTED_ROWS and log.rows > RATE_DOUBTED_PER_S * length_s:
        yield f"{path}: {log.rows} rows in {length_s:.3g} s; if its times are seconds, name the column timestamp_s"
    elif log.rows >= DOUBTED_ROWS and _is_offset(log) and length_s > GAP_DOUBTED_S * log.rows:
        gap_s = length_s / log.rows
        yield f"{path}: a request every {gap_s:.4g} s; if its times are milliseconds, name the column timestamp_ms"
    spacing_s = length_s / max(1, log.times - 1)
    if log.rows >= BATCH_ROWS and log.times < BATCH_SHARE * log.rows and spacing_s > BATCH_S:
        yield f"{path}: requests come in batches some {spacing_s:.1f} s apart; burstiness below that is an artefact"
