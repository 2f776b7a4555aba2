"""The Parquet chunks of a run record: written aside and renamed, so that a reader never sees half a file.

They are made of the rows that workers have buffered (`loadgen/worker/sample_buffer.py`), in the supervising process.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from host.atomic import written_aside
from loadgen.record import arrow_schema
from loadgen.run_info import RecordError
from loadgen.tables import TABLES
from loadgen.worker.row_gate import fitting
from loadgen.worker.sample_buffer import FOLDER

CHUNK_ROWS = 10_000
CHUNK_AGE_S = 5.0


def write_chunk(folder: Path, name: str, table: str, columns: Mapping[str, Iterable[object]]) -> Path:
    """Write one Parquet file aside, then rename it: a reader never sees half a file.

    Args:
        folder: the record's folder.
        name: file name, such as `turns-0-0003.parquet`.
        table: a key of `TABLES`; every column of it must be in `columns`, none other.
        columns: equally long sequences.
    """
    unknown = set(columns) ^ set(TABLES[table])
    if unknown:
        raise RecordError(f"{name}: columns {sorted(unknown)} do not match the schema of {table!r}")
    batch = pa.table({key: columns[key] for key in TABLES[table]}, schema=arrow_schema(table))
    path = folder / name
    with written_aside(path) as aside:
        pq.write_table(batch, aside, compression="zstd")
    return path


class ChunkWriter:
    """The reading end: turns what workers have buffered into Parquet chunks, `TABLE-W-NNNN.parquet`."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self._read: dict[Path, int] = {}  # bytes of each file that are in chunks
        self._chunks: dict[Path, int] = {}

    def pump(self, now_s: float, last_s: float, *, everything: bool = False) -> float:
        """Write chunks when `CHUNK_AGE_S` have passed, or all that is left; returns the time of the last writing."""
        if not everything and now_s - last_s < CHUNK_AGE_S:
            return last_s
        for file in sorted((self._run_dir / FOLDER).glob("*.jsonl")):
            while self._one_chunk(file) == CHUNK_ROWS:
                pass
        return now_s

    def _one_chunk(self, file: Path) -> int:
        """Write the next chunk of a file; returns its rows. A line that is not whole yet waits for the next time."""
        with file.open("rb") as buffered:
            buffered.seek(self._read.get(file, 0))
            lines: list[bytes] = []
            for line in buffered:
                if not line.endswith(b"\n") or len(lines) == CHUNK_ROWS:
                    break
                lines.append(line)
        if not lines:
            return 0
        table, _, worker = file.stem.rpartition("-")
        number = self._chunks.get(file, 0)
        rows = [fitting(table, row) for row in map(_row, lines) if row is not None]
        if rows:
            columns = dict(zip(TABLES[table], zip(*rows, strict=True), strict=True))
            write_chunk(self._run_dir, f"{table}-{worker}-{number:04d}.parquet", table, columns)
        self._read[file] = self._read.get(file, 0) + sum(map(len, lines))
        self._chunks[file] = number + 1
        return len(lines)


def _row(line: bytes) -> list[object] | None:
    """A row of a line; None for what is none."""
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return row if isinstance(row, list) else None


def remove_buffer(run_dir: Path) -> None:
    """Remove the buffered lines once every one of them is in a chunk."""
    folder = run_dir / FOLDER
    if folder.is_dir():
        for file in folder.glob("*.jsonl"):
            file.unlink()
        folder.rmdir()
