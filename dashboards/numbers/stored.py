"""A record's tables as a report reads them: columns when they are asked for, rows in batches, no table ever whole.

A report of ten million turns so needs the memory of the few columns that one panel looks at.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol, TypeVar, overload

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from loadgen.record import arrow_schema, read_arrow, read_rows, table_files
from loadgen.run_info import RecordError

BATCH_ROWS = 1 << 18
SEGMENT_TURNS = 1 << 19
THREADS = min(2, os.cpu_count() or 1)
"""Sorting and reading Parquet leave the interpreter to others; each thread holds the columns of one panel."""
T = TypeVar("T", bound=np.generic)
R = TypeVar("R")
TURN_KEY = ("interaction_id", "turn_index")
"""What names a turn within a run: an interaction's id holds its session's."""
_FNV_START, _FNV_PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
_TURN_STEP = np.uint64(0x9E3779B97F4A7C15)

Keys = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int32]


class Rows(Protocol):
    """What panels need of a table: its length and its columns, of a frame in memory or of files."""

    def __len__(self) -> int: ...

    @property
    def columns(self) -> Iterable[str]:
        """Their names."""

    @overload
    def __getitem__(self, wanted: str) -> pd.Series: ...

    @overload
    def __getitem__(self, wanted: list[str]) -> pd.DataFrame: ...

    def __getitem__(self, wanted: str | list[str]) -> pd.Series | pd.DataFrame: ...


class StoredTable:
    """A table of a run's folder, read from its Parquet files at each use. Texts of few values are categories.

    Raises:
        RecordError: at any read, of a damaged file.
    """

    def __init__(self, folder: Path, table: str) -> None:
        self.folder, self.table = folder, table
        self.files = table_files(folder, table)
        self.columns = arrow_schema(table).names

    @cached_property
    def sizes(self) -> list[int]:
        """Rows of each file."""
        return [_rows_in(file) for file in self.files]

    def __len__(self) -> int:
        return sum(self.sizes)

    @overload
    def __getitem__(self, wanted: str) -> pd.Series: ...

    @overload
    def __getitem__(self, wanted: list[str]) -> pd.DataFrame: ...

    def __getitem__(self, wanted: str | list[str]) -> pd.Series | pd.DataFrame:
        names = [wanted] if isinstance(wanted, str) else wanted
        frame = read_rows(self.files, self.table, names, compact=True)
        pa.default_memory_pool().release_unused()
        return frame[wanted]

    def pieces(self, columns: list[str]) -> Iterator[pd.DataFrame]:
        """The rows in order, a file at a time."""
        for file in self.files:
            yield read_rows([file], self.table, columns, compact=True)

    def batches(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        """The rows in order, some at a time."""
        for file in self.files:
            yield from read_arrow([file], self.table, columns).to_batches(BATCH_ROWS)

    def turn_keys(self, file: Path) -> Keys:
        """A number for the turn of each row of one file."""
        batches = read_arrow([file], self.table, [*TURN_KEY]).to_batches(BATCH_ROWS)
        return _joined(map(keys_of, batches), np.uint64)

    def row(self, place: int) -> pd.Series:
        """One row with all its columns."""
        for file, size in zip(self.files, self.sizes, strict=True):
            if place < size:
                return read_rows([file], self.table, None, compact=False).iloc[place]
            place -= size
        raise IndexError(place)

    def of_turn(self, turn: pd.Series) -> pd.DataFrame:
        """The rows of one turn, with all their columns: only a file that holds one is read beyond its ids."""
        parts = [read_rows(self.files[:0], self.table)]
        for file in self.files:
            ids = read_rows([file], self.table, ["interaction_id"])["interaction_id"]
            if (ids == turn["interaction_id"]).any():
                held = read_rows([file], self.table)
                own = (held["interaction_id"] == turn["interaction_id"]) & (held["turn_index"] == turn["turn_index"])
                parts.append(held[own])
        return pd.concat(parts[1:]) if len(parts) > 1 else parts[0]


def side_by_side(makers: Iterable[Callable[[], R]]) -> list[R]:
    """What each returns, in their order, some made at once."""
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(lambda make: make(), makers))


def pieces_of(rows: Rows, columns: list[str]) -> Iterator[pd.DataFrame]:
    """Rows a part at a time where they are in files, else as they are."""
    if isinstance(rows, StoredTable):
        yield from rows.pieces(columns)
    else:
        yield rows[columns]


def _rows_in(file: Path) -> int:
    try:
        return int(pq.read_metadata(file).num_rows)
    except (pa.ArrowInvalid, OSError) as error:
        raise RecordError(f"{file}: damaged ({error}); remove it to read the rest of the run") from None


class StoredRun:
    """The large tables of a run's folder, and which turn each call belongs to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self.turns, self.calls, self.tools = (StoredTable(path, name) for name in ("turns", "calls", "tools"))

    @property
    def turn_of_call(self) -> Places:
        """int32[calls]: the row of each call's turn, -1 where it has none; 4 bytes a call, and 12 a turn to make it."""
        with self._lock:  # of panels that are made at once, the first makes it
            return self._turn_of_call

    @cached_property
    def _turn_of_call(self) -> Places:
        with ThreadPoolExecutor(THREADS) as pool:
            keys = _joined(pool.map(self.turns.turn_keys, self.turns.files), np.uint64)
            firsts = range(0, len(keys), SEGMENT_TURNS)
            segments = list(pool.map(lambda first: _Segment.of(keys[first : first + SEGMENT_TURNS], first), firsts))
            done = [0, *itertools.accumulate(self.calls.sizes)]
            guesses = [first * len(segments) // max(done[-1], 1) for first in done[:-1]]

            def rows_of(file: Path, guess: int) -> Places:
                return _places(segments, self.calls.turn_keys(file), guess)

            return _joined(pool.map(rows_of, self.calls.files, guesses), np.int32)


@dataclass(frozen=True)
class _Segment:
    """Turns that follow one another: their keys in order, and their rows. A processor's cache holds one."""

    keys: Keys
    rows: Places

    @classmethod
    def of(cls, keys: Keys, first: int) -> _Segment:
        order = np.argsort(keys, kind="stable")
        return cls(keys[order], (order + first).astype(np.int32))

    def rows_of(self, wanted: Keys) -> Places:
        """Rows of the wanted keys, -1 where it has none."""
        at = np.searchsorted(self.keys, wanted).clip(max=len(self.keys) - 1)
        return np.where(self.keys[at] == wanted, self.rows[at], np.int32(-1))


def _places(segments: Sequence[_Segment], wanted: Keys, guess: int) -> Places:
    """Rows of the wanted keys: a call is written when its turn is, so it is looked for in the segment at its own place
    in the run, then in those around it."""
    places = np.full(len(wanted), -1, np.int32)
    left = np.argsort(wanted)  # neighbours in a segment share what is in cache
    for place in sorted(range(len(segments)), key=lambda place: abs(place - guess)):
        rows = segments[place].rows_of(wanted[left])
        places[left[rows >= 0]] = rows[rows >= 0]
        left = left[rows < 0]
        if not len(left):
            break
    return places


def _joined(parts: Iterable[npt.NDArray[T]], kind: type[T]) -> npt.NDArray[T]:
    return np.concatenate([*parts, np.zeros(0, kind)])


def keys_of(batch: pa.RecordBatch) -> Keys:
    """A number for each row's turn: 64 bits, so that ten million turns share one with odds of 1 in 400,000."""
    turns: npt.NDArray[np.int64] = batch["turn_index"].fill_null(0).to_numpy(zero_copy_only=False)
    return text_numbers(batch["interaction_id"]) ^ (turns.astype(np.uint64) * _TURN_STEP)


def text_numbers(texts: pa.StringArray) -> Keys:
    """FNV-1a of each text, mixed; null is the empty text. Each text is read once: an interaction's stands on many rows.

    Source: Fowler, Noll, Vo, 64 bits; the finish of splitmix64 (Steele, Lea, Flood 2014).
    """
    coded = texts.fill_null("").dictionary_encode()
    distinct = coded.dictionary
    _, offsets, data = distinct.buffers()
    edges = np.frombuffer(offsets, np.int32)[: len(distinct) + 1].astype(np.int64)
    letters = np.frombuffer(data or b"\0", np.uint8)
    begin, length = edges[:-1], np.diff(edges)
    numbers = np.full(len(distinct), _FNV_START)
    for place in range(int(length.max(initial=0))):
        here = np.flatnonzero(length > place)
        numbers[here] = (numbers[here] ^ letters[begin[here] + place]) * _FNV_PRIME
    mixed = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(31)
    result: Keys = mixed[coded.indices.to_numpy()]
    return result
