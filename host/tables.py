"""CSV tables as people have them: commas, semicolons, tabs or bars, with a mark, spaces and comments around them."""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from host.errors import PeakdayError
from host.files import FileError, lines_of, open_text

DELIMITERS = ",;\t|"
_DECIMAL_COMMA = re.compile(r"\s*[-+]?\d+,\d+\s*")
_THOUSANDS = re.compile(r"[-+]?[0-9]{1,3}(?:[.,\s'’][0-9]{3})+")
_SEPARATOR_LINE = re.compile(r"sep=(.)\s*", re.IGNORECASE)
_COMMENTS_MAX = 100
ROW_CHARS_MAX = 2_000_000
"""No line of a table is longer; a cell has 131,072 at most (csv.field_size_limit)."""

Row = dict[str, str]


class _Reader(Protocol):
    """What csv.reader returns."""

    line_num: int

    def __iter__(self) -> Iterator[list[str]]: ...
    def __next__(self) -> list[str]: ...


def csv_text(header: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A table of ours as text; None is an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def table_rows(path: Path, *, error: type[PeakdayError] = FileError) -> Iterator[tuple[int, Row]]:
    """Line number and cells by column of each row, streamed; an empty line is none.

    Names and cells are stripped of spaces. Lines that begin with `#` before the header are comments. In a table of
    semicolons `0,5` is a half, as spreadsheets of many countries write it.

    Raises:
        PeakdayError: `error`; unreadable, no text, a doubled column, or a row of another width than the header.
    """
    with _opened(path, error) as (reader, delimiter, skipped):
        names = _names(reader)
        doubled = next((name for name, count in Counter(names).items() if name and count > 1), None)
        if doubled is not None:
            raise error(f"{path}: column {doubled!r} stands twice; rename one")
        for cells in reader:
            line = reader.line_num + skipped
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(names) and not _only_blanks(cells[len(names) :], len(cells) > len(names)):
                raise error(
                    f"{path}: line {line}: {len(cells)} of {len(names)} cells; quote a cell that holds "
                    f"{'a comma' if delimiter == ',' else repr(delimiter)}, or complete the row"
                )
            yield line, {name: _cell(cell, delimiter) for name, cell in zip(names, cells, strict=False) if name}


def columns_of(path: Path, *, error: type[PeakdayError] = FileError) -> list[str]:
    """The names of the columns; raises as `table_rows` does."""
    with _opened(path, error) as (reader, _, _):
        return _names(reader)


@contextlib.contextmanager
def _opened(path: Path, error: type[PeakdayError]) -> Iterator[tuple[_Reader, str, int]]:
    """Rows of cells from the header on, what stands between cells, and how many lines come before the header."""
    try:
        with open_text(path, error=error) as stream:
            lines = lines_of(stream, path, ROW_CHARS_MAX, error=error)
            header, delimiter, skipped = _header(lines)
            yield (
                csv.reader(itertools.chain([header], lines), delimiter=delimiter, skipinitialspace=True),
                delimiter,
                skipped,
            )
    except csv.Error as problem:
        raise error(f"{path}: no CSV ({problem}); save it as CSV in UTF-8") from None


def _names(reader: _Reader) -> list[str]:
    return [name.strip() for name in next(reader, [])]


def _header(stream: Iterator[str]) -> tuple[str, str, int]:
    """The line of names, what stands between them, and how many lines come before it."""
    for skipped, line in enumerate(itertools.islice(stream, _COMMENTS_MAX)):
        if match := _SEPARATOR_LINE.fullmatch(line):
            return next(stream, ""), match[1], skipped + 1
        if line.strip() and not line.startswith("#"):
            return line, max(DELIMITERS, key=_outside_quotes(line).count), skipped
    return "", ",", 0


def _outside_quotes(line: str) -> str:
    return re.sub(r'"[^"]*"', "", line)


def is_grouped(cell: object) -> bool:
    """Whether a cell may hold a count with a mark of thousands: `1.000`, which as a decimal would be one.

    A decimal comma is a point by the time that it is asked (`table_rows`).
    """
    return isinstance(cell, str) and _THOUSANDS.fullmatch(cell.strip()) is not None


def _only_blanks(beyond: list[str], longer: bool) -> bool:
    return longer and not any(cell.strip() for cell in beyond)


def _cell(cell: str, delimiter: str) -> str:
    if delimiter == ";" and _DECIMAL_COMMA.fullmatch(cell):
        cell = cell.replace(",", ".")
    return cell.strip()
