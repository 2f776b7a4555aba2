"""What serves the calls: options of a model in a region, their cache hits, headroom, and hours."""

from __future__ import annotations

from dataclasses import dataclass, field

from capacity.rows.figures import Figure, Levels, Probability, Row
from capacity.rows.needs import QuotaNeed, Throttling


@dataclass(frozen=True)
class OverflowPlan(Row):
    """What a fleet does not take, on a Bedrock model of the scenario's chain with nothing cached.

    used: that calls go there at the peak of a draw. calls_ratio, usd: of the event, in the mean of the draws;
    usd_p50: at the median demand. peak_calls_per_s: what the target's asks hold for it. alone_usd: of a fleet of this
    chip that carried the level by itself; None where none would.
    """

    target: str
    used: Probability
    calls_ratio: float
    usd: float
    usd_p50: float
    alone_usd: float | None
    peak_calls_per_s: float = 0.0


@dataclass(frozen=True)
class ChipOption(Row):
    """One way to serve one self-hosted model in one region. `instances` are whole; chips are what they hold."""

    chip: str
    instance_type: str
    step_model: str
    rate_per_replica_per_s: Figure
    replicas: Levels
    instances: Levels
    chips: Levels
    chips_range: Figure
    usd_per_hour: Figure
    utilisation_ratio: Figure
    binding: str
    rejected: str | None = None
    price_kind: str = ""  # on demand, capacity block, own price
    billed_hours: float = 0.0  # of an instance: as its price kind is billed; by the hour the mean of those paid for
    event_usd: float = 0.0  # bought instances x price x billed hours
    chips_per_replica: float | None = None
    list_usd_per_hour: float | None = None  # of one instance, before any discount; null: no public price
    owned_instances: int = 0  # of the bought ones, paid for already
    load_per_s: Levels | None = None  # calls a second of the peak at the middle rate of a replica: what sizes the fleet
    short: Probability | None = None  # that the bought fleet does not carry the region's peak
    one_fewer_short: Probability | None = None  # that one instance fewer in each zone does not
    held: str = "throughout"  # or by the hour, ahead of the need: what is cheaper
    served_ratio: float = 1.0  # share of joint draws in which this chip is counted on to keep the SLOs
    overflow: OverflowPlan | None = None  # where what the fleet does not take goes

    @property
    def mean_usd(self) -> float:
        """The fleet and, in the mean of the joint draws, its overflow."""
        return self.event_usd + (self.overflow.usd if self.overflow else 0.0)

    @property
    def bought_instances(self) -> int:
        """What the plan buys at its service level; `chips_range.mid`, `usd_per_hour` and `event_usd` are of it."""
        return int(self.instances.at_level)

    @property
    def bought_replicas(self) -> int:
        """All replicas of the bought fleet."""
        return int(self.replicas.at_level)

    @property
    def event_list_usd(self) -> float:
        """What the bought instances would cost at the public price; the own price where there is none."""
        if self.list_usd_per_hour is None:
            return self.event_usd
        return self.list_usd_per_hour * (self.bought_instances - self.owned_instances) * self.billed_hours

    @property
    def bought_chips(self) -> int:
        """All chips of the bought instances."""
        return int(self.chips.at_level)


@dataclass(frozen=True)
class SupplyPlan(Row):
    """What one model in one region needs. `options` is empty for Bedrock; of the chosen one `rejected` is null.

    The last four fields are the arithmetic's own inputs, for spreadsheets: calls of one interaction and of the
    region's event at the median demand, mean tokens of a call by class (input, cache_read, cache_write_5m,
    cache_write_1h, output) and their prices in USD per million tokens; a class without a price is left out.
    """

    region: str
    model: str
    supply: str
    calls_per_s: Levels
    input_tokens_per_call: Figure
    output_tokens_per_call: Figure
    binding: str
    options: tuple[ChipOption, ...] = ()
    quotas: tuple[QuotaNeed, ...] = ()
    calls_per_interaction: float | None = None
    calls_in_event: float | None = None
    tokens_per_call: dict[str, float] = field(default_factory=dict)
    prices_usd_per_mtok: dict[str, float] = field(default_factory=dict)
    throttling: Throttling | None = None  # the buckets over the event; None where nothing is limited

    @property
    def chosen(self) -> ChipOption | None:
        """The option that was not rejected."""
        return next((option for option in self.options if option.rejected is None), None)


@dataclass(frozen=True)
class HitRate(Row):
    """Share of input tokens read from cache. `level`: all, shared, customer, conversation."""

    model: str
    level: str
    ratio: Figure


@dataclass(frozen=True)
class HeadroomOption(Row):
    """Replicas, chips and dollars of one rule for one model in one region."""

    rule: str
    region: str
    model: str
    replicas: int
    chips: int
    usd: float
    usd_more: float = 0.0  # over the row before it of the same series: what this nine, or this spare, costs


@dataclass(frozen=True)
class Schedule(Row):
    """Instances by the hour, against the flat fleet. committed: owned and commitments, held throughout."""

    region: str
    model: str
    instance_type: str
    price_kind: str
    committed: dict[str, int]
    instances_by_hour: tuple[int, ...]
    usd: float
    flat_usd: float


@dataclass(frozen=True)
class HitStability(Row):
    """Shares of the planned prefix hits at which load and cache hold each other up, at the peak with zones lost.

    One solution near 1: the cache heals by itself. A low one besides: after a restart under load it stays cold.
    """

    region: str
    model: str
    chip: str
    rate_per_s: float  # of one replica
    solutions: tuple[float, ...]
    warning: str


@dataclass(frozen=True)
class SizingRules(Row):
    """What chips were counted by; hours paid for; interactions of the event at the median demand."""

    zones: float
    zones_lost: float
    drain_ratio: float
    broken_ratio: float
    retry_extra_attempts: float
    hours: float
    interactions_in_event: float
