"""What every block of a scenario is made of: a strict frozen model, numbers with limits, durations, shares, ranges.

Durations are seconds inside; a file may also say `90s`, `5m`, `4h` or `4d`. Shares and ratios are of one.
"""

from __future__ import annotations

import difflib
import math
import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

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


Seconds = Annotated[float, BeforeValidator(_seconds), Field(ge=0, le=LONGEST_S, allow_inf_nan=False)]
SomeSeconds = Annotated[Seconds, Field(gt=0)]
Positive = Annotated[float, BeforeValidator(_number), Field(gt=0, le=1e12, allow_inf_nan=False)]
NotNegative = Annotated[float, BeforeValidator(_number), Field(ge=0, le=1e12, allow_inf_nan=False)]
Share = Annotated[float, BeforeValidator(_number), Field(ge=0, le=1, allow_inf_nan=False)]
Tokens = Annotated[int, BeforeValidator(_number), Field(ge=0, le=10_000_000)]


class Part(BaseModel):
    """A block of a scenario: frozen, and an unknown key is an error that names the nearest known one."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        known = [field.alias or name for name, field in cls.model_fields.items()]
        for key in value:
            if key not in known:
                near = difflib.get_close_matches(str(key), known, n=1)
                fix = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
                raise ValueError(f"unknown key {str(key)!r}; {fix}")
        return value


class Range(Part):
    """An estimate: low and high enclose the truth with the given confidence, mid is the median."""

    low: NotNegative
    mid: NotNegative
    high: NotNegative
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.9

    @model_validator(mode="before")
    @classmethod
    def _from_number(cls, value: object) -> object:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return {"low": value, "mid": value, "high": value}
        if not isinstance(value, (dict, Range)):
            raise ValueError("expected a number, or {low, mid, high, confidence}")
        return value

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if not self.low <= self.mid <= self.high:
            raise ValueError(f"low {self.low:g}, mid {self.mid:g}, high {self.high:g} are out of order")
        return self


def sums_to_one(shares: dict[str, float], what: str) -> None:
    """Refuse shares whose sum is not 1, saying by how much; an empty table is fine."""
    total = math.fsum(shares.values())
    if shares and abs(total - 1) > 1e-6:
        direction = "lower" if total > 1 else "raise"
        raise ValueError(f"{what} sum to {total:.4g}, expected 1; {direction} one by {abs(total - 1):.4g}")
