"""Values that the rows of a plan are made of: a figure with its range, levels of demand, odds; and how they round."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

PROVENANCES = ("measured", "published", "derived", "stated", "simulated", "schema_example")


class Row:
    """Base of every type of the record: an unknown key in a file is an error, never dropped."""

    __pydantic_config__: ClassVar[dict[str, object]] = {"extra": "forbid"}


def weakest(provenances: list[str]) -> str:
    """The weakest supply provenance among inputs; inputs that are no supply figures do not count."""
    supply = [p for p in provenances if p in PROVENANCES]
    return max(supply, key=PROVENANCES.index) if supply else "derived"


@dataclass(frozen=True)
class Figure(Row):
    """One number: its middle, the range that holds it with `confidence`, its unit, and where it comes from.

    A confidence of 0 means that low and high are an expert's, no interval.
    `simulated` is true when any input of provenance `simulated` touched it: it is printed SIMULATED beside it.
    """

    mid: float
    low: float
    high: float
    unit: str
    provenance: str
    source: str
    confidence: float = 0.9
    simulated: bool = False


def range_around(mid: float, low: float, high: float) -> tuple[float, float]:
    """A range that holds its own middle: what is bought (a p90 fleet, all hits kept) can lie beyond the draws' 90%."""
    return min(low, mid), max(high, mid)


@dataclass(frozen=True)
class Levels(Row):
    """One quantity at three quantiles of demand; `bought`: at the plan's service level over the joint draws."""

    p50: float
    p90: float
    p95: float
    bought: float | None = None

    @property
    def at_level(self) -> float:
        """What is bought; plans of before the service level bought the p90 of demand."""
        return self.p90 if self.bought is None else self.bought

    @property
    def by_name(self) -> dict[str, float]:
        """p50, p90 and p95; and bought, where it is known."""
        demand = {"p50": self.p50, "p90": self.p90, "p95": self.p95}
        return demand if self.bought is None else demand | {"bought": self.bought}


@dataclass(frozen=True)
class Probability(Row):
    """A share of joint draws, with the 90% interval of its Monte Carlo error and the number of draws."""

    value: float
    low: float
    high: float
    n: int

    @property
    def words(self) -> str:
        """8.4% (7.0% to 10.0%)."""
        return f"{self.value:.1%} ({self.low:.1%} to {self.high:.1%})"


def rounded_up(needed: float) -> float:
    """To three digits: what a request for a limit is written with."""
    if needed <= 0:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(needed)) - 2)
    return math.ceil(round(needed / unit, 6)) * unit


@dataclass(frozen=True)
class Interval(Row):
    """A range without a middle."""

    low: float
    high: float


@dataclass(frozen=True)
class Spread(Row):
    """The middle of the draws and the range that holds 90% of them."""

    low: float
    mid: float
    high: float
