"""JSON that somebody else may have written: a value, or one line that names the file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from host.errors import PeakdayError
from host.files import lines_of, open_text, read_text

BYTES_MAX = 256_000_000
"""The record of a plan with all its draws has some megabytes, the samples of a bench some hundred."""
KINDS = {list: "list", str: "text", int: "number", float: "number", bool: "true or false"}


class JsonError(PeakdayError, ValueError):
    """No JSON of the kind that is read; the message names the file."""


def read_json_object(
    path: Path, *, bytes_max: int = BYTES_MAX, finite: bool = True, error: type[PeakdayError] = JsonError
) -> dict[str, Any]:
    """The keys and values of a file.

    Raises:
        PeakdayError: `error`; absent, unreadable, larger than `bytes_max`, or no JSON object.
    """
    value = parse_json(read_text(path, bytes_max, error=error), str(path), finite=finite, error=error)
    if not isinstance(value, dict):
        raise error(f"{path}: a {KINDS.get(type(value), 'null')}, expected keys and values")
    return value


def parse_json(text: str | bytes, where: str, *, finite: bool = True, error: type[PeakdayError] = JsonError) -> Any:
    """Any JSON value of a text.

    Args:
        where: what the text is called in the error.
        finite: NaN and the infinities, which are no JSON, are refused.

    Raises:
        PeakdayError: `error`.
    """
    try:
        return json.loads(text, parse_constant=_refuse if finite else None)
    except RecursionError:
        raise error(f"{where}: nested too deeply to be read") from None
    except ValueError as problem:
        raise error(f"{where}: no JSON ({problem})") from None


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def json_lines(path: Path, *, error: type[PeakdayError] = JsonError) -> Iterator[tuple[str, Any]]:
    """`FILE:LINE` and value of each line of a file, packed or not; an empty line is none.

    Raises:
        PeakdayError: `error`; unreadable, or a line that is no JSON.
    """
    with open_text(path, error=error) as stream:
        for number, line in enumerate(lines_of(stream, path, error=error), 1):
            if line.strip():
                where = f"{path}:{number}"
                yield where, parse_json(line, where, error=error)
