"""What an event asks of those who grant: demand, quotas and limits, and what becomes of calls beyond them."""

from __future__ import annotations

from dataclasses import dataclass, field

from capacity.rows.figures import Levels, Probability, Row, rounded_up


@dataclass(frozen=True)
class RegionDemand(Row):
    """Demand of one region over the event. Arrays are equally long; peak is over the event, after warm-up lag."""

    region: str
    peak_interactions_per_s: Levels
    offset_s: tuple[float, ...]
    interactions_per_s_p50: tuple[float, ...]
    interactions_per_s_p90: tuple[float, ...]
    interactions_per_s_p95: tuple[float, ...]


@dataclass(frozen=True)
class QuotaNeed(Row):
    """One kind of quota: what the peak asks under both readings, what is granted, and when it binds (null: never)."""

    kind: str
    needed_settlement: Levels
    needed_reservation: Levels
    granted: float | None
    binds_at_offset_s: float | None
    source: str
    throttled_ratio: float | None = None  # share of the event's calls in excess at p90 demand, with no region lost
    short: Probability | None = None  # that the peak needs more than `ask`
    in_doubt: bool = False  # published, and AWS's pages disagree whether it is enforced: it leads nothing

    @property
    def counts(self) -> bool:
        """Whether it has a limit that is known to be enforced."""
        return bool(self.granted) and not self.in_doubt

    @property
    def ask(self) -> float:
        """What to hold: at the service level, under the reading that needs more, rounded up to three digits."""
        return rounded_up(max(self.needed_settlement.at_level, self.needed_reservation.at_level))

    @property
    def pressure(self) -> float:
        """Need over limit at the service level, under the reading that needs more; 0 where nothing is limited."""
        needed = max(self.needed_settlement.at_level, self.needed_reservation.at_level)
        return needed / self.granted if self.granted else 0.0


@dataclass(frozen=True)
class AccountNeed(Row):
    """A limit that is no one model's: tokens a day of the account, AgentCore's sessions and calls, by region.

    needed.bought: the most that any draw needs which all that is bought and asked for carries.
    """

    kind: str
    region: str
    needed: Levels
    granted: float
    unit: str
    source: str
    short: Probability | None = None

    @property
    def ask(self) -> float:
        """What to hold at the service level, rounded up to three digits."""
        return rounded_up(self.needed.at_level)

    @property
    def pressure(self) -> float:
        """Need over limit at the service level."""
        return self.needed.at_level / self.granted if self.granted else 0.0

    @property
    def sentence(self) -> str:
        """What is needed against what is granted."""
        ask, granted = (f"{value:,.0f}" if value >= 100 else f"{value:.3g}" for value in (self.ask, self.granted))
        return f"{self.kind} of {ask} needed against {granted} granted in {self.region} ({self.pressure:,.1f} x)"


@dataclass(frozen=True)
class Throttled(Row):
    """Share of the event's calls throttled, by kind where it did any, and when each kind first did.

    cut_ratio: share of answers that a quota of output cut off, which throttles nobody.
    """

    throttled_ratio: float
    by_kind: dict[str, float]
    first_s: dict[str, float]
    cut_ratio: float = 0.0


@dataclass(frozen=True)
class MaxTokensAdvice(Row):
    """The smallest max_tokens that leaves 99.9% of answers whole, and what a call then reserves.

    calls, calls_needed: set where too few answers are known to advise anything; then max_tokens is today's.
    """

    max_tokens: int
    reserved_per_call: float
    reserved_per_call_now: float
    calls: int | None = None
    calls_needed: int | None = None


@dataclass(frozen=True)
class Throttling(Row):
    """A model's quota buckets in a region over the whole event, by reading and by quantile of demand (p50, p90).

    ask_for: by kind, the increase to ask for.
    """

    settlement: dict[str, Throttled]
    reservation: dict[str, Throttled]
    max_tokens_advice: MaxTokensAdvice | None = None
    ask_for: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class FallbackTier(Row):
    """What one step of a fallback chain takes at the peak. share: of the model's calls at that peak.

    usd_per_call: of a call moved here (nothing of it cached), or what a shed one loses; None where nobody gave a value.
    latency_s: mean of a call here, queueing included; None for shed calls.
    """

    region: str
    model: str
    level: str
    tier: str
    to: str
    calls_per_s: float
    share: float
    usd_per_call: float | None
    latency_s: float | None
    limit: str


@dataclass(frozen=True)
class CacheStampede(Row):
    """Calls that miss while an empty provider cache is refilled, what they cost, their share of a minute's tokens."""

    model: str
    region: str
    at_s: float
    misses: float
    shards: float
    usd: float
    tpm_share: float | None


@dataclass(frozen=True)
class InstanceLimit(Row):
    """An EC2 quota that instances bought by the hour need in a region, in vCPUs. granted: None where nobody knows."""

    region: str
    quota: str
    code: str
    needed_vcpu: float
    granted_vcpu: float | None
    default_vcpu: float
    instances: dict[str, int]  # bought by the hour, by type
    source: str

    @property
    def exceeds(self) -> bool:
        """True where more is needed than is granted or, where nobody knows, than a new account has."""
        return self.needed_vcpu > (self.default_vcpu if self.granted_vcpu is None else self.granted_vcpu)

    @property
    def terms(self) -> str:
        """Which quota, and what of it there is."""
        if self.granted_vcpu is not None:
            return f"{self.quota} ({self.granted_vcpu:,.0f} granted)"
        return f"{self.quota} ({self.default_vcpu:,.0f} by default; capacity.on_demand_vcpus or --quotas states yours)"
