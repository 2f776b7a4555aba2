"""What every block of a scenario is made of: a strict frozen model, and ranges of estimates."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from facts.blocks import NotNegative, refuse_unknown_keys


class Part(BaseModel):
    """A block of a scenario: frozen, and an unknown key is an error that names the nearest known one."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        refuse_unknown_keys(value, (field.alias or name for name, field in cls.model_fields.items()))
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
