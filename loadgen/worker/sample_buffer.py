"""Rows on their way from a worker to Parquet.

A worker appends each row as a line of JSON to a file of its own and does nothing slower: writing Parquet in its process
would stall the very clock it measures with. The supervising process turns lines into chunks while the run goes on, so
a killed worker loses at most its last half second, and a killed supervisor leaves lines that `drain` still reads.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import orjson

from loadgen.tables import TABLES

FOLDER = ".samples"
LINES_KEPT = 64


class SampleBuffer:
    """The writing end: one file per table."""

    def __init__(self, run_dir: Path, worker: int, tables: Sequence[str]) -> None:
        folder = run_dir / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self._files = {table: os.open(folder / f"{table}-{worker}.jsonl", flags, 0o600) for table in tables}
        self._lines: dict[str, list[bytes]] = {table: [] for table in tables}

    def add(self, table: str, row: list[object]) -> None:
        """Keep one row for the next flush; a few dozen at most, so that their memory is used over and over."""
        lines = self._lines[table]
        lines.append(orjson.dumps(row))
        if len(lines) == LINES_KEPT:
            self._write(table, lines)

    def _write(self, table: str, lines: list[bytes]) -> None:
        os.write(self._files[table], b"\n".join(lines) + b"\n")
        lines.clear()

    def flush(self) -> None:
        """Hand all rows to the operating system."""
        for table, lines in self._lines.items():
            if lines:
                self._write(table, lines)

    def close(self) -> None:
        """Flush and close."""
        self.flush()
        for descriptor in self._files.values():
            os.close(descriptor)
        self._files = {}


Rows = dict[str, bytes]
"""Lines of each table."""
RESENT_AFTER_REPORTS = 2
"""A batch that was not acknowledged by then travels again, with every second report."""


class RemoteSampleBuffer:
    """The writing end on another machine: rows travel with the worker's reports, and `Receiver` takes them in.

    A batch keeps its number until the master has acknowledged it: what a broken connection lost is sent again.
    """

    def __init__(self) -> None:
        self._lines: dict[str, list[bytes]] = {}
        self._numbered = 0
        self._waiting: dict[int, Rows] = {}
        self._reports: dict[int, int] = {}  # in how many each of them could have travelled

    def add(self, table: str, row: list[object]) -> None:
        """Keep one row for the next report."""
        self._lines.setdefault(table, []).append(orjson.dumps(row))

    def flush(self) -> None:
        """Nothing to do: rows leave with the report."""

    def close(self) -> None:
        """Nothing to do: no file is open, and the last rows may still have to travel."""

    def take(self, *, everything: bool = False) -> list[tuple[int, Rows]]:
        """The rows since the last report, after batches that have waited for long; or all that wait."""
        if self._lines:
            self._numbered += 1
            self._waiting[self._numbered] = {table: b"\n".join(lines) + b"\n" for table, lines in self._lines.items()}
            self._lines = {}
        taken = []
        for number, rows in self._waiting.items():
            reports = self._reports[number] = self._reports.get(number, -1) + 1
            if everything or reports % RESENT_AFTER_REPORTS == 0:
                taken.append((number, rows))
        return taken

    def acknowledged(self, through: int) -> None:
        """The master has every batch up to this one."""
        for number in [one for one in self._waiting if one <= through]:
            del self._waiting[number], self._reports[number]

    @property
    def waits(self) -> bool:
        """Whether a batch is not acknowledged, or a row in none."""
        return bool(self._waiting or self._lines)


class Receiver:
    """The master's end: appends batches of remote workers to the buffer, in order, each once."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self._through: dict[int, int] = {}

    def take(self, worker: int, batches: Sequence[tuple[int, Rows]]) -> int:
        """Keep what comes next; the number of the last batch that is kept, for the worker to hear.

        One that was kept before changes nothing. One whose forerunner is missing waits for the worker to send both.
        """
        through = self._through.get(worker, 0)
        for number, rows in batches:
            if number == through + 1:
                receive(self._run_dir, worker, rows)
                through = number
        self._through[worker] = through
        return through


def receive(run_dir: Path, worker: int, rows: Rows) -> None:
    """Append a remote worker's rows to the buffer, beside those of local workers, if there are any."""
    (run_dir / FOLDER).mkdir(exist_ok=True)
    for table, lines in rows.items():
        if table in TABLES:
            with (run_dir / FOLDER / f"{table}-{worker}.jsonl").open("ab") as file:
                file.write(lines)
