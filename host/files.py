"""A user's text files as people have them: UTF-8 with or without a mark, UTF-16, packed with gzip under any name.

What a file holds decides, never its name. Reading is bounded: a bomb of a few kilobytes ends in one line.
"""

from __future__ import annotations

import codecs
import contextlib
import gzip
import io
import os
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TextIO

from host.errors import PeakdayError

CONFIG_BYTES_MAX = 1_000_000
"""No file that a person writes by hand is larger."""
LINE_CHARS_MAX = 64_000_000
"""No line of a log is longer; a packed file of one endless line ends in one message."""
_PIECE_CHARS = 1_000_000
_GZIP = b"\x1f\x8b"
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class FileError(PeakdayError, ValueError):
    """A file that is absent, unreadable, too large or no text; the message names it."""


def read_text(path: Path, bytes_max: int = CONFIG_BYTES_MAX, *, error: type[PeakdayError] = FileError) -> str:
    """The whole text of a file.

    Raises:
        PeakdayError: `error`; absent, no regular file, larger than `bytes_max` once unpacked, or no text.
    """
    with open_text(path, error=error) as stream:
        text = "".join(_pieces(stream, bytes_max + 1))
        if len(text) > bytes_max:
            raise error(f"{path}: larger than {bytes_max:,} characters")
        if "\0" in text:  # an archive, a picture, UTF-32: no text has it
            raise error(f"{path}: no text (it holds NUL); save it as UTF-8")
        return text


def _pieces(stream: TextIO, chars_max: int) -> Iterator[str]:
    """What is there of so many characters: asked for all at once, memory for all of them is taken."""
    while chars_max > 0 and (piece := stream.read(min(chars_max, _PIECE_CHARS))):
        chars_max -= len(piece)
        yield piece


def read_bytes(path: Path, bytes_max: int, *, error: type[PeakdayError] = FileError) -> bytes:
    """The whole of a file, as it stands.

    Raises:
        PeakdayError: `error`; absent, no regular file, or larger than `bytes_max`.
    """
    data = read_head(path, bytes_max + 1, error=error)
    if len(data) > bytes_max:
        raise error(f"{path}: larger than {bytes_max:,} bytes")
    return data


def read_head(path: Path, bytes_max: int, *, error: type[PeakdayError] = FileError) -> bytes:
    """The first bytes of a file, as they stand.

    Raises:
        PeakdayError: `error`; absent, unreadable or no regular file.
    """
    try:
        with _regular(path, error) as raw:
            return raw.read(bytes_max)
    except OSError as problem:
        raise error(f"{path}: {_why(problem)}") from None


def _regular(path: Path, error: type[PeakdayError]) -> IO[bytes]:
    if not stat.S_ISREG(path.stat().st_mode):  # a pipe would be waited for, a device never ends
        raise error(f"{path}: no regular file")
    return path.open("rb")


def _why(problem: OSError) -> str:
    return "no such file" if isinstance(problem, FileNotFoundError) else os.strerror(problem.errno or 0).lower()


@contextlib.contextmanager
def open_text(path: Path, *, error: type[PeakdayError] = FileError) -> Iterator[TextIO]:
    """A file's text, read as it is asked for; line ends are left as they are, as csv wants them.

    Raises:
        PeakdayError: `error`; absent, no regular file, or, while it is read, no text.
    """
    try:
        with _regular(path, error) as raw:
            stream = _unpacked(raw)
            text = io.TextIOWrapper(stream, encoding=_encoding(stream), newline="")
            yield text
    except UnicodeError:
        raise error(f"{path}: neither UTF-8 nor marked as UTF-16; save it as UTF-8") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as damage:
        raise error(f"{path}: cannot be unpacked ({damage}); copy it again") from None
    except OSError as problem:
        raise error(f"{path}: {_why(problem)}") from None


def lines_of(
    stream: TextIO, path: Path, chars_max: int = LINE_CHARS_MAX, *, error: type[PeakdayError] = FileError
) -> Iterator[str]:
    """The lines of an open text, none longer than so many characters.

    Raises:
        PeakdayError: `error`; a line that is longer.
    """
    for number, line in enumerate(iter(lambda: stream.readline(chars_max + 1), ""), start=1):
        if len(line) > chars_max:
            raise error(f"{path}: line {number}: longer than {chars_max:,} characters; write one record a line")
        yield line


def _unpacked(raw: IO[bytes]) -> io.BufferedReader:
    head = raw.read(2)
    raw.seek(0)
    return io.BufferedReader(gzip.GzipFile(fileobj=raw) if head == _GZIP else raw)  # type: ignore[arg-type]


def _encoding(stream: io.BufferedReader) -> str:
    head = stream.peek(4)[:4]
    marked = next((encoding for mark, encoding in _MARKS if head.startswith(mark)), None)
    if marked is not None:
        return marked
    if len(head) >= 4 and head[1] == 0 and head[3] == 0:  # ASCII in two bytes each, without a mark
        return "utf-16-le"
    if len(head) >= 4 and head[0] == 0 and head[2] == 0:
        return "utf-16-be"
    return "utf-8"
