"""What the checked blocks of a file are made of: numbers with limits, durations, shares, and keys that must be known.

Durations are seconds inside; a file may also say `90s`, `5m`, `4h`, `4d` or `18h10m`. Shares and ratios are of one.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated

from pydantic import AwareDatetime, BeforeValidator, Field
from pydantic_core import PydanticCustomError

UNKNOWN_KEYS = "unknown_keys"
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}([T ]|$)")
_UNIT_S = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
_DURATION = re.compile("".join(rf"(?:\s*([0-9]{{1,9}}(?:\.[0-9]{{1,9}})?)\s*{unit})?" for unit in _UNIT_S) + r"\s*")
LONGEST_S = 366 * 86400.0
"""No event, and no moment of one, lies further off than a year."""


def _seconds(value: object) -> object:
    """`300`, `"300s"`, `"5m"`, `"4h"`, `"4d"`, and from large to small `"18h10m"` -> seconds."""
    if isinstance(value, str):
        match = _DURATION.fullmatch(value)
        if not match or not any(match.groups()):
            raise ValueError("expected seconds, or numbers with d, h, m or s such as 90s, 4h or 18h10m")
        return sum(
            float(number or 0.0) * unit_s for number, unit_s in zip(match.groups(), _UNIT_S.values(), strict=True)
        )
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
        ValueError: the first unknown key; the keys of its context are all of them, for whoever reads on without them.
    """
    names = list(known)
    unknown = [str(key) for key in values if key not in names]
    if unknown:
        near = difflib.get_close_matches(unknown[0], names, n=1)
        fix = f"did you mean {near[0]}?" if near else f"known: {', '.join(names)}"
        context = {"sentence": f"unknown key {unknown[0]!r}; {fix}", "keys": unknown}
        raise PydanticCustomError(UNKNOWN_KEYS, "{sentence}", context)
