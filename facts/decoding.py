"""One row of a data file as a frozen dataclass, by the types of its fields.

Without pydantic, on purpose: load workers read prices, and start in a fraction of a second. A field's column is its
name, or the one of its `Column`. A blank cell is None where a field may be that, and an error where it may not.
"""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cache
from typing import TYPE_CHECKING, Annotated, TypeVar, Union, get_args, get_origin, get_type_hints

from host.errors import PeakdayError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")


class FactsError(PeakdayError, ValueError):
    """A fact that is asked for and not there, or contradicts itself; the message names file and key."""


@dataclass(frozen=True)
class Column:
    """Of a field that stands in a column of another name: `usd: Annotated[float, Column("price")]`."""

    name: str


def decode(kind: type[T], row: Mapping[str, object], where: str, **derived: object) -> T:
    """A row of text cells, or of a YAML mapping's values, as a `kind`.

    Args:
        where: what messages begin with: file and row.
        derived: fields that no column holds.
    Raises:
        FactsError: a column that is missing, or a value of another type; names file, row and column.
    """
    values = dict(derived)
    for name, title, convert, required in _columns(kind):
        if name in derived:
            continue
        if title in row:
            try:
                values[name] = convert(row[title])
            except (ValueError, TypeError, OverflowError) as error:
                raise FactsError(f"{where}: {title}: {row[title]!r}: {error}") from None
        elif required:
            raise FactsError(f"{where}: {title}: missing; add it")
    return kind(**values)


@cache
def _columns(kind: type[DataclassInstance]) -> tuple[tuple[str, str, Callable[[object], object], bool], ...]:
    """(field, column, converter, required) of a dataclass."""
    hints = get_type_hints(kind, include_extras=True)
    return tuple(
        (
            item.name,
            _title(item.name, hints[item.name]),
            _converter(hints[item.name]),
            item.default is MISSING and item.default_factory is MISSING,
        )
        for item in fields(kind)
    )


def _title(name: str, hint: object) -> str:
    marks = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
    return next((mark.name for mark in marks if isinstance(mark, Column)), name)


def _converter(hint: object) -> Callable[[object], object]:
    if get_origin(hint) is Annotated:
        return _converter(get_args(hint)[0])
    if get_origin(hint) in (Union, types.UnionType):
        (inner,) = (part for part in get_args(hint) if part is not types.NoneType)
        convert = _converter(inner)
        return lambda value: None if value is None or value == "" else convert(value)
    if get_origin(hint) is tuple:
        return _words
    return _BY_TYPE.get(hint, _derived)


def number(value: object) -> float:
    """A finite number, as text or as a value."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)) or value == "":
        raise ValueError("expected a number")
    try:
        result = float(value)
    except ValueError:
        raise ValueError("expected a number") from None
    if not math.isfinite(result):
        raise ValueError("expected a finite number")
    return result


def _whole(value: object) -> int:
    result = number(value)
    if result != int(result):
        raise ValueError("expected a whole number")
    return int(result)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("expected text; put it in quotes")
    return value


def _flag(value: object) -> bool:
    flags = {True: True, False: False, "yes": True, "no": False, "": False}
    if not isinstance(value, (bool, str)) or value not in flags:
        raise ValueError("expected true or false")
    return flags[value]


def _words(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(value.split())
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise ValueError("expected a list of words, such as [a, b]")


def _derived(value: object) -> object:
    raise ValueError("no column holds this")


_BY_TYPE: Mapping[object, Callable[[object], object]] = {float: number, int: _whole, str: _text, bool: _flag}
