"""The pieces a rate curve is composed of. `demand.py` evaluates them; times are seconds from the event's start."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from facts.blocks import NotNegative, Seconds, Share, SomeSeconds
from scenarios.base import Part


class Constant(Part):
    """The same rate throughout."""

    kind: Literal["constant"]
    ratio: NotNegative = 1.0


class Diurnal(Part):
    """Day and night, by each region's own clock: a raised cosine between the trough and 1."""

    kind: Literal["diurnal"]
    peak_hour_local: Annotated[float, Field(ge=0, lt=24)] = 20.0
    trough_ratio: Share = 0.25


class Ramp(Part):
    """A straight line from one ratio to another; held before and after."""

    kind: Literal["ramp"]
    from_s: Seconds
    to_s: Seconds
    from_ratio: NotNegative = 0.0
    to_ratio: NotNegative = 1.0

    @model_validator(mode="after")
    def _forward(self) -> Ramp:
        if self.to_s <= self.from_s:
            raise ValueError("to_s must be after from_s")
        return self


class Step(Part):
    """One ratio before a moment, another from it on."""

    kind: Literal["step"]
    at_s: Seconds
    before_ratio: NotNegative = 1.0
    after_ratio: NotNegative = 1.0


class DealDrops(Part):
    """Deals released at set moments: each lifts the rate by boost_ratio and fades with a time constant."""

    kind: Literal["deal_drops"]
    at_s: Annotated[list[Seconds], Field(min_length=1)]
    boost_ratio: NotNegative = 0.5
    rise_s: Seconds = 30.0
    decay_s: SomeSeconds = 900.0


class FlashSpike(Part):
    """One sudden crowd: rises to 1 + height_ratio, holds, then fades."""

    kind: Literal["flash_spike"]
    at_s: Seconds
    height_ratio: NotNegative
    rise_s: Seconds = 10.0
    hold_s: Seconds = 60.0
    decay_s: SomeSeconds = 300.0


class CoolDown(Part):
    """Exponential fading to a floor after a moment."""

    kind: Literal["cool_down"]
    from_s: Seconds
    decay_s: SomeSeconds
    floor_ratio: Share = 0.0


class Trace(Part):
    """Counts per step from a CSV file; missing steps are interpolated and counted."""

    kind: Literal["trace"]
    file: str
    time_column: str = "period"
    count_column: str = "count"
    step_s: SomeSeconds = 60.0
    offset_s: Seconds = 0.0


class Sum(Part):
    """Pieces added together."""

    kind: Literal["sum"]
    of: Annotated[list[Shape], Field(min_length=1)]


class Product(Part):
    """Pieces multiplied together."""

    kind: Literal["product"]
    of: Annotated[list[Shape], Field(min_length=1)]


Shape = Annotated[
    Constant | Diurnal | Ramp | Step | DealDrops | FlashSpike | CoolDown | Trace | Sum | Product,
    Field(discriminator="kind"),
]
