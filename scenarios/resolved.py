"""A checked scenario as JSON values, by key: what workers, records and curves read without the schema.

`schema.py` owns the keys, their units and limits; here stand those that are read by key, and nothing heavy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Required, TypedDict, cast


class RangeValues(TypedDict):
    """An estimate: its median, and the quantiles (1 -+ confidence) / 2."""

    low: float
    mid: float
    high: float
    confidence: float


class CountValues(TypedDict):
    """A whole number from 1 to max, geometric with that mean."""

    mean: float
    max: int


class WaitValues(TypedDict):
    """A log-normal wait in seconds, cut at max."""

    median: float
    cv: float
    max: float | None


class ConstantValues(TypedDict, total=False):
    """The same ratio throughout."""

    kind: Required[Literal["constant"]]
    ratio: float


class DiurnalValues(TypedDict):
    """Day and night."""

    kind: Literal["diurnal"]
    peak_hour_local: float
    trough_ratio: float


class RampValues(TypedDict):
    """A straight line."""

    kind: Literal["ramp"]
    from_s: float
    to_s: float
    from_ratio: float
    to_ratio: float


class StepValues(TypedDict):
    """One ratio, then another."""

    kind: Literal["step"]
    at_s: float
    before_ratio: float
    after_ratio: float


class DealDropsValues(TypedDict):
    """Deals at set moments."""

    kind: Literal["deal_drops"]
    at_s: list[float]
    boost_ratio: float
    rise_s: float
    decay_s: float


class FlashSpikeValues(TypedDict):
    """One sudden crowd."""

    kind: Literal["flash_spike"]
    at_s: float
    height_ratio: float
    rise_s: float
    hold_s: float
    decay_s: float


class CoolDownValues(TypedDict):
    """Fading to a floor."""

    kind: Literal["cool_down"]
    from_s: float
    decay_s: float
    floor_ratio: float


class TraceValues(TypedDict):
    """Counts of a file."""

    kind: Literal["trace"]
    file: str
    time_column: str
    count_column: str
    step_s: float
    offset_s: float


class ComposedValues(TypedDict):
    """Pieces added or multiplied."""

    kind: Literal["sum", "product"]
    of: list[ShapeValues]


ShapeValues = (
    ConstantValues
    | DiurnalValues
    | RampValues
    | StepValues
    | DealDropsValues
    | FlashSpikeValues
    | CoolDownValues
    | TraceValues
    | ComposedValues
)


class ArrivalsValues(TypedDict, total=False):
    """How starts scatter around the rate."""

    process: Required[str]
    file: str | None
    cv: float
    burst_ratio: float
    burst_share: float
    burst_length_s: float


class ClientValues(TypedDict):
    """One dominating source of traffic."""

    share: float
    cv: float


class NoiseValues(TypedDict):
    """What the forecast does not know besides its level."""

    timing_s_sd: float
    shape_cv: float
    shape_correlation_s: float
    region_correlation_ratio: float


class StreamValues(TypedDict):
    """One kind of demand."""

    peak_per_s: RangeValues
    shape: ShapeValues
    arrivals: ArrivalsValues
    clients: dict[str, ClientValues]
    noise: NoiseValues
    source: str


class BackgroundValues(TypedDict):
    """Streams beside the chat."""

    planner_queries: StreamValues | None
    price_ticks: StreamValues | None


class DemandValues(TypedDict):
    """All streams."""

    interactions: StreamValues
    background: BackgroundValues


class RegionValues(TypedDict):
    """Where customers are."""

    share: float
    time_zone: str
    locales: dict[str, float]


class EventValues(TypedDict):
    """When and where."""

    start: str
    length_s: float
    regions: dict[str, RegionValues]


class IntentValues(TypedDict):
    """Share of first turns, and of these the complex ones."""

    weight: float
    complex_ratio: float


class CustomersValues(TypedDict):
    """The population."""

    population: int
    zipf_exponent: float


class MixValues(TypedDict):
    """What a session holds."""

    intents: dict[str, IntentValues]
    transitions: dict[str, dict[str, float]]
    stay_ratio: float
    interactions_per_session: CountValues
    turns_per_interaction: CountValues
    think_s: WaitValues
    typing_s: WaitValues
    between_interactions_s: WaitValues
    patience_s: WaitValues | None
    follow_up_ratio: float
    returns_later_ratio: float
    returns_later_s: WaitValues
    image_ratio: float
    page_context_ratio: float
    confirm_ratio: float
    customers: CustomersValues


class Resolved(TypedDict):
    """The keys of a scenario that its curves, arrivals and sessions follow from."""

    event: EventValues
    demand: DemandValues
    mix: MixValues


def resolved_of(values: Mapping[str, object]) -> Resolved:
    """JSON values that the schema has checked before: those of a `Scenario`, a job or a record."""
    return cast(Resolved, values)
