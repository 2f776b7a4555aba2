"""A minute against the plan: which assumption leaves its range, what is used of each limit, and how long it lasts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from peakday.watch.observed import Observed
from peakday.watch.planned import Limit, Planned

MEAN_MINUTES = 5
"""Assumptions are means of a call: so many minutes are taken together. A choice of ours."""
TREND_MINUTES = 15
TREND_MINUTES_MIN = 5
SURE = 2.0
"""A slope counts as a trend from so many of its standard errors on."""


@dataclass(frozen=True)
class Assumption:
    """A mean of the last minutes beside the plan's range."""

    name: str
    value: float
    low: float
    high: float

    @property
    def inside(self) -> bool:
        """Within the range."""
        return self.low <= self.value <= self.high


@dataclass(frozen=True)
class Use:
    """What is used of a limit, and in how many minutes it is full at the present trend; None: never at this trend."""

    limit: Limit
    used_ratio: float
    full_in_min: float | None

    @property
    def exceeded(self) -> bool:
        """At or above it."""
        return self.used_ratio >= 1.0


@dataclass(frozen=True)
class Comparison:
    """One series at its newest minute."""

    planned: Planned
    minute_s: int
    calls_per_min: float
    throttled_ratio: float
    assumptions: tuple[Assumption, ...]
    uses: tuple[Use, ...]

    @property
    def above_band(self) -> bool:
        """More calls than the p95 of demand."""
        return self.calls_per_min > self.planned.calls_per_min["p95"]

    @property
    def leaving(self) -> tuple[str, ...]:
        """What leaves its range, in words."""
        band = self.planned.calls_per_min
        over = [f"demand: {self.calls_per_min:,.0f} calls/min, planned up to {band['p95']:,.0f} (p95)"]
        return (
            *(over if self.above_band else ()),
            *(
                f"{one.name}: {one.value:,.3g}, planned {one.low:,.3g} to {one.high:,.3g}"
                for one in self.assumptions
                if not one.inside
            ),
        )

    @property
    def fullest(self) -> Use | None:
        """The limit that is full first: exceeded ones, then by time left, then by use."""
        order = sorted(self.uses, key=lambda use: (not use.exceeded, use.full_in_min or np.inf, -use.used_ratio))
        return order[0] if order else None


def compared(planned: Planned, minutes: Sequence[Observed]) -> Comparison | None:
    """The newest minute that has a call or a throttle; None where none has."""
    busy = [minute for minute in minutes if minute.calls or minute.throttles]
    if not busy:
        return None
    last, lately = busy[-1], busy[-MEAN_MINUTES:]
    calls, throttles = sum(one.calls for one in lately), sum(one.throttles for one in lately)
    return Comparison(
        planned=planned,
        minute_s=last.minute_s,
        calls_per_min=last.calls + last.throttles,
        throttled_ratio=throttles / (calls + throttles),
        assumptions=_assumptions(planned, lately, calls),
        uses=tuple(_use(limit, busy[-TREND_MINUTES:]) for limit in planned.limits),
    )


def _assumptions(planned: Planned, lately: Sequence[Observed], calls: float) -> tuple[Assumption, ...]:
    if not calls:
        return ()
    asked = sum(one.input_tokens for one in lately)
    values = {
        "prompt tokens per call": asked / calls,
        "answer tokens per call": sum(one.output_tokens for one in lately) / calls,
        **({"cache hit ratio": sum(one.cache_read_tokens for one in lately) / asked} if asked else {}),
    }
    return tuple(
        Assumption(name, values[name], figure.low, figure.high)
        for name, figure in planned.ranges.items()
        if name in values
    )


def _use(limit: Limit, minutes: Sequence[Observed]) -> Use:
    ratios = np.array([_taken(limit, one) / limit.per_min for one in minutes])
    return Use(limit, float(ratios[-1]), _full_in_min(ratios, [one.minute_s for one in minutes]))


def _taken(limit: Limit, minute: Observed) -> float:
    if limit.of == "tokens":
        return minute.charged_tokens + minute.output_tokens * limit.output_burndown_ratio
    return minute.calls + minute.throttles


def _full_in_min(ratios: np.ndarray, minutes_s: Sequence[int]) -> float | None:
    """Minutes until the line through the last minutes reaches 1; None where it does not surely rise, or is there."""
    if ratios[-1] >= 1 or len(ratios) < TREND_MINUTES_MIN:
        return None
    at = (np.asarray(minutes_s, dtype=np.float64) - minutes_s[-1]) / 60
    spread = at - at.mean()
    slope = float(spread @ ratios / (spread @ spread))
    level = float(ratios.mean() - slope * at.mean())
    error = float(np.sqrt(np.square(ratios - level - slope * at).sum() / (len(at) - 2) / (spread @ spread)))
    return max(0.0, (1 - level) / slope) if slope > max(SURE * error, 1e-9) else None
