"""What the checked blocks of a file are made of: numbers with limits, durations, shares, and keys that must be known.

Durations are seconds inside; a file may also say `90s`, `5m`, `4h` or `4d`. Shares and ratios are of one.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated

from pydantic import AwareDatetime, BeforeValidator, Field

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}([T ]|$)")
_UNIT_S = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
LONGEST_S = 366 * 86400.0
"""No event, and no moment of one, lies further off than a year."""


def _seconds(value: object) -> object:
    """`300`, `"300s"`, `"5m"`, `"4h"`, `"4d"` -> seconds."""
    if isinstance(value, str):
        match = re.fullmatch(r"\s*([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*([smhd])\s*", value)
        if not match:
            raise ValueError("expected seconds, or a number with s, m, h or d such as 90s or 4h")
        return float(match[1]) * _UNIT_S[match[2]]
    return _number(value)


def _number(value: object) -> object:
    """A number as written; `true` is none, and `30%` is a share of one."""
    if isinstance(value, bool):
        raise ValueError("expected a number, not true or false")
    if isinstance(value, str) and value.strip().endswith("%"):
        raise ValueError("expected a share of one; write 0.3 for 30%")
    return value


def _moment(value: object) -> object:
    """A time is written as one: `20261127` and `1795737600` are numbers, whoever meant a day or a second by them."""
    if isinstance(value, datetime) or (isinstance(value, str) and _DAY.match(value.strip())):
        return value
    raise ValueError("expected a time with its zone, such as 2025-07-08T00:00:00-07:00")


Moment = Annotated[AwareDatetime, BeforeValidator(_moment)]
Seconds = Annotated[float, BeforeValidator(_seconds), Field(ge=0, le=LONGEST_S, allow_inf_nan=False)]
SomeSeconds = Annotated[Seconds, Field(gt=0)]
Positive = Annotated[float, BeforeValidator(_number), Field(gt=0, le=1e12, allow_inf_nan=False)]
NotNegative = Annotated[float, BeforeValidator(_number), Field(ge=0, le=1e12, allow_inf_nan=False)]
Share = Annotated[float, BeforeValidator(_number), Field(ge=0, le=1, allow_inf_nan=False)]
Tokens = Annotated[int, BeforeValidator(_number), Field(ge=0, le=10_000_000)]


def refuse_unknown_keys(values: Mapping[object, object], known: Iterable[str]) -> None:
    """Refuse a key that a block does not have, naming the nearest one that it has.

    Raises:
        ValueError: the first unknown key.
    """
    names = list(known)
    for key in values:
        if key not in names:
            near = difflib.get_close_matches(str(key), names, n=1)
            fix = f"did you mean {near[0]}?" if near else f"known: {', '.join(names)}"
            raise ValueError(f"unknown key {str(key)!r}; {fix}")
