"""What it costs, and what else was weighed: intents, purchases, and advice with its dollars."""

from __future__ import annotations

from dataclasses import dataclass, field

from capacity.rows.figures import Figure, Row


@dataclass(frozen=True)
class CostLine(Row):
    """Cost of one interaction and one turn of an intent (`all` for every intent), and its parts by name, in USD.

    quantiles_usd: p50, p95, p99 of an `interaction`, of a `turn`, and of each part in an interaction; None where the
    calls looked at do not hold ten beyond it.
    """

    intent: str
    per_interaction_usd: Figure
    per_turn_usd: Figure
    parts_usd: dict[str, float]
    quantiles_usd: dict[str, dict[str, float | None]] = field(default_factory=dict)
    per_interaction_list_usd: float | None = None  # the middle at list prices; equal where nothing is discounted


@dataclass(frozen=True)
class Purchase(Row):
    """What is bought of one instance type for one model in one region, net and at list."""

    region: str
    model: str
    instance_type: str
    instances: int
    usd_per_hour: float
    price_kind: str
    billed_hours: float
    usd: float
    usd_per_hour_list: float | None = None
    usd_list: float | None = None
    held: str = "throughout"


@dataclass(frozen=True)
class CacheAdvice(Row):
    """How long to cache one prompt level of one model: none, 5m or 1h; hit ratio and USD per million tokens of each."""

    model: str
    level: str
    choice: str
    usd_per_mtok: dict[str, float]
    hit_ratio: dict[str, float]


@dataclass(frozen=True)
class RoutingOption(Row):
    """A routing policy: dollars of an interaction, acceptable turns, mean seconds of a call (null: not timed)."""

    policy: str
    usd_per_interaction: float
    acceptable_ratio: float | None
    seconds_per_call: float | None
    provenance: str


@dataclass(frozen=True)
class ServiceTier(Row):
    """What a model's tokens of the event cost on one service tier. assumed: classes priced by their input's ratio."""

    model: str
    tier: str
    usd: float
    planned: bool
    why: str
    assumed: tuple[str, ...] = ()
    source: str = ""


@dataclass(frozen=True)
class BackgroundStream(Row):
    """Searches that only the query planner answers; usd null and `why` given where they are not sized."""

    stream: str
    model: str
    searches_in_event: float
    peak_per_s_p90: float
    deadline_s: float | None
    sized: bool
    usd: float | None
    usd_per_million: float | None
    why: str = ""


@dataclass(frozen=True)
class ReservedPart(Row):
    """Input or output of the Reserved tier: what pays for itself over the event alone, and what is beyond it.

    overflow_ratio: share of tokens that go to Standard; breakeven_usd: the dearest that the least amount may be, for
    1,000 tokens a minute and month.
    """

    tpm: float
    usd: float  # for the term
    replaced_usd: float  # on-demand dollars of the event
    overflow_ratio: float
    breakeven_usd: float


@dataclass(frozen=True)
class ReservedAdvice(Row):
    """How much of the Reserved tier to buy for one model in one region; amounts only where the user gave a price."""

    model: str
    region: str
    months: int
    input: ReservedPart
    output: ReservedPart
    priced: bool


@dataclass(frozen=True)
class SpillOption(Row):
    """A smaller fleet whose overflow goes to a Bedrock model: the cheapest in the mean of the joint draws.

    usd: fleet_usd and, uncached, the mean of what is sent on; planned_usd: of the fleet that the plan buys. The three
    peaks are what the target's asks grow by at the service level.
    """

    region: str
    model: str
    target: str
    instance_type: str
    instances: int
    fleet_usd: float
    calls: float  # sent on over the event, in the mean
    usd: float
    planned_usd: float
    peak_calls_per_s: float
    rpm: float
    tpm: float
