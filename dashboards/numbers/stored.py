"""A record's tables as a report reads them: columns when they are asked for, rows in batches, no table ever whole.

A report of ten million turns so needs the memory of the few columns that one panel looks at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Protocol, overload

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from loadgen.record import RecordError, arrow_schema, read_arrow, read_rows, table_files

BATCH_ROWS = 1 << 18
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
    def _sizes(self) -> list[int]:
        return [_rows_in(file) for file in self.files]

    def __len__(self) -> int:
        return sum(self._sizes)

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

    def row(self, place: int) -> pd.Series:
        """One row with all its columns."""
        for file, size in zip(self.files, self._sizes, strict=True):
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
        self.turns, self.calls, self.tools = (StoredTable(path, name) for name in ("turns", "calls", "tools"))

    @cached_property
    def turn_of_call(self) -> Places:
        """int32[calls]: the row of each call's turn, -1 where it has none; 4 bytes a call, and 12 a turn to make it."""
        key = np.concatenate([*map(keys_of, self.turns.batches([*TURN_KEY])), np.zeros(0, np.uint64)])
        order = np.argsort(key, kind="stable").astype(np.int32)
        key = key[order]
        parts = [_places(key, order, keys_of(batch)) for batch in self.calls.batches([*TURN_KEY])]
        return np.concatenate([*parts, np.zeros(0, np.int32)])


def _places(key: Keys, order: Places, wanted: Keys) -> Places:
    """Rows of the wanted keys. They are looked up in their own order, so that neighbours share what is in cache."""
    places = np.full(len(wanted), -1, np.int32)
    if len(key):
        by_key = np.argsort(wanted)
        at = np.searchsorted(key, wanted[by_key]).clip(max=len(key) - 1)
        places[by_key] = np.where(key[at] == wanted[by_key], order[at], -1)
    return places


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
