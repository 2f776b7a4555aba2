"""Plan: the file `plans/ID/plan.json`. Owned by capacity; dashboards, spreadsheets and `check` read it.

Every number is a `Figure`: a range with its confidence, unit, provenance and source. The page is docs/plan.md.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import ClassVar

from pydantic import TypeAdapter, ValidationError

from host.atomic import write_text
from host.errors import Exit, PeakdayError
from host.json_text import read_json_object

SCHEMA = "peakday.plan/2"
SCHEMA_BEFORE = "peakday.plan/1"
"""Read as well: the same record under other names, see `_renamed`."""

PROVENANCES = ("measured", "published", "derived", "stated", "simulated", "schema_example")
INPUT_PROVENANCES = (*PROVENANCES, "assumed", "expert_estimate")


class Row:
    """Base of every type of the record: an unknown key in a file is an error, never dropped."""

    __pydantic_config__: ClassVar[dict[str, object]] = {"extra": "forbid"}


class PlanError(PeakdayError, ValueError):
    """A plan that cannot be made or read; the message says why, where and what to do."""

    page = "plan"

    exit_code = Exit.INCONCLUSIVE


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
class InputNote(Row):
    """One input of the plan. `kind`: run, bench, step_model, prices, quotas, quality, assumption, scenario."""

    kind: str
    name: str
    value: str
    provenance: str
    source: str


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


def rounded_up(needed: float) -> float:
    """To three digits: what a request for a limit is written with."""
    if needed <= 0:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(needed)) - 2)
    return math.ceil(round(needed / unit, 6)) * unit


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
class Rejected(Row):
    """An alternative that was considered, and why it lost."""

    what: str
    why: str


@dataclass(frozen=True)
class Sensitivity(Row):
    """What one input does to one output when moved over its range."""

    input: str
    output: str
    at_low: float
    at_high: float
    unit: str


@dataclass(frozen=True)
class ScenarioRef(Row):
    """Which scenario was planned."""

    name: str
    hash: str
    seed: int
    start: str | None = None  # when the event begins, ISO 8601; null in older plans


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


@dataclass(frozen=True)
class ErrorBars(Row):
    """Chips needed over the draws: all together; demand (forecast, turns, tokens, hits) and model each alone.

    monte_carlo: what more draws would remove from either end, by quantile (p5, p95).
    """

    chips: Spread
    demand: Spread
    model: Spread
    monte_carlo: dict[str, Interval]
    draws: int


@dataclass(frozen=True)
class InformationValue(Row):
    """What knowing one input would spare a plan for nine futures in ten, and how to measure it."""

    input: str
    chips_spared: float
    event_usd_spared: float
    how: str


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
class SizingRules(Row):
    """What chips were counted by; hours paid for; interactions of the event at the median demand."""

    zones: float
    zones_lost: float
    drain_ratio: float
    broken_ratio: float
    retry_extra_attempts: float
    hours: float
    interactions_in_event: float


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


@dataclass(frozen=True)
class VarianceShare(Row):
    """Share of the variance of ln(event cost, each draw with its own fleets) that knowing one cause would remove."""

    cause: str
    share: float


@dataclass(frozen=True)
class ServiceLevel(Row):
    """The one probability of the plan: fleets, quota asks and budget together carry `level` of the joint draws.

    basis: stated (capacity.service_level) or value (capacity.value_per_interaction_usd, newsvendor).
    fleet_short, quota_short: that any fleet, any quota ask falls short in a draw; budget_short: that the event costs
    more than budget_usd; short: any of the three. region_short: by region, that any fleet or ask of it does.
    budget_range, chips_range: 90% of what plans of other seeds buy.
    """

    level: float
    basis: str
    fleet_short: Probability
    quota_short: Probability
    short: Probability
    region_short: dict[str, Probability]
    budget_usd: float
    budget_short: Probability
    reached: bool = True
    budget_range: Interval | None = None
    chips_range: Interval | None = None
    beyond_design_ratio: float = 0.0  # share of draws whose rate is that of the edge of what was simulated

    @property
    def why(self) -> str:
        """Where the level comes from."""
        basis = "it follows from the value of an interaction" if self.basis == "value" else "stated"
        return basis if self.reached else f"{basis}, OUT OF REACH: no allowed chip meets its SLO in enough draws"

    @property
    def odds(self) -> str:
        """P(short) of each part, with its Monte Carlo interval."""
        parts = {"fleets": self.fleet_short, "quota asks": self.quota_short, "budget": self.budget_short}
        return ", ".join(f"{name} {part.words}" for name, part in parts.items())


@dataclass(frozen=True)
class Plan(Row):
    """The whole answer. Lists are in order of importance."""

    plan_id: str
    created_utc: str
    peakday_version: str
    scenario: ScenarioRef
    seed: int
    assumptions_with_most_effect: tuple[str, ...]
    first_limit_exceeded: str
    inputs: tuple[InputNote, ...]
    demand: tuple[RegionDemand, ...]
    supplies: tuple[SupplyPlan, ...]
    hit_rates: tuple[HitRate, ...]
    cost: tuple[CostLine, ...]
    event_cost_usd: Figure
    event_cost_parts_usd: dict[str, float]
    rejected: tuple[Rejected, ...] = ()
    sensitivities: tuple[Sensitivity, ...] = ()
    warnings: tuple[str, ...] = ()
    purchase: tuple[Purchase, ...] = ()
    cache_advice: tuple[CacheAdvice, ...] = ()
    routing: tuple[RoutingOption, ...] = ()
    headroom: tuple[HeadroomOption, ...] = ()  # what each nine costs
    schedules: tuple[Schedule, ...] = ()
    errors: ErrorBars | None = None
    expected_value_of_information: tuple[InformationValue, ...] = ()
    event_cost_parts_list_usd: dict[str, float] = field(default_factory=dict)  # the same parts at list prices
    tiers: tuple[ServiceTier, ...] = ()
    background: tuple[BackgroundStream, ...] = ()
    fallback_chain: tuple[FallbackTier, ...] = ()  # where a peak beyond what is bought or granted goes
    hit_stability: tuple[HitStability, ...] = ()  # own engines' block caches
    cache_stampede: tuple[CacheStampede, ...] = ()  # what refilling forgotten provider caches costs
    rules: SizingRules | None = None
    service: ServiceLevel | None = None
    variance: tuple[VarianceShare, ...] = ()
    limits: tuple[InstanceLimit, ...] = ()  # EC2 quotas of what is bought by the hour
    spill: tuple[SpillOption, ...] = ()  # smaller fleets whose overflow goes to Bedrock
    not_served: tuple[str, ...] = ()  # demand that is in no fleet and no cost
    reserved: tuple[ReservedAdvice, ...] = ()  # Bedrock's Reserved tier
    account_needs: tuple[AccountNeed, ...] = ()  # limits of the whole account and of the agent's runtime

    @property
    def exceptions(self) -> tuple[str, ...]:
        """What EC2 must grant beyond what it does: of each quota one line, with its instances by region."""
        lines: dict[str, list[InstanceLimit]] = {}
        for limit in self.limits:
            if limit.exceeds:
                lines.setdefault(limit.terms, []).append(limit)
        return tuple(
            "needs an exception for "
            + ", ".join(f"{n:,} x {kind} in {row.region}" for row in rows for kind, n in row.instances.items())
            + f": {sum(row.needed_vcpu for row in rows):,.0f} vCPUs of {terms}"
            for terms, rows in lines.items()
        )

    @property
    def simulated(self) -> bool:
        """True when a simulated input touched any figure of the plan."""
        return any(note.provenance == "simulated" for note in self.inputs)


def write_plan(plan: Plan, folder: Path) -> Path:
    """Write `plan.json` into folder, aside and renamed; a finished plan or none."""
    path = folder / "plan.json"
    write_text(path, json.dumps({"schema": SCHEMA, **asdict(plan)}, indent=1, allow_nan=False) + "\n")
    return path


def load_plan(path: Path | str) -> Plan:
    """Read a plan from its folder or file; raises `PlanError` in one line."""
    file = Path(path)
    file = file / "plan.json" if file.is_dir() else file
    if not file.is_file():
        raise PlanError(f"{file}: no plan there; make one with `peakday plan SCENARIO`")
    raw = read_json_object(file, error=PlanError)
    schema = raw.pop("schema", None)
    if schema not in (SCHEMA, SCHEMA_BEFORE):
        raise PlanError(f"{file}: not a {SCHEMA} file")
    try:
        return _reader().validate_python(raw if schema == SCHEMA else _renamed(raw))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise PlanError(f"{file}: {place}: {first['msg']}; plan again") from None


@cache
def _reader() -> TypeAdapter[Plan]:
    return TypeAdapter(Plan)


_NAMES_BEFORE = {
    "what_breaks_first": "first_limit_exceeded",
    "turned_down": "rejected",
    "spill": "fallback_chain",
    "cold_herd": "cache_stampede",
    "value_of_measuring": "expected_value_of_information",
    "rung": "tier",
}
_VALUES_BEFORE = {"judged": "expert_estimate", "own silicon": "self-hosted", "own chips": "self-hosted chips"}
_NOTHING_BEFORE = ("errors", "rules", "throttling")


def _renamed(raw: object) -> object:
    """A record of schema 1 in the names of schema 2: keys, provenances, names of cost parts; {} for nothing is null."""
    if isinstance(raw, list):
        return [_renamed(item) for item in raw]
    if not isinstance(raw, Mapping):
        return _VALUES_BEFORE.get(raw, raw) if isinstance(raw, str) else raw
    return {
        str(_NAMES_BEFORE.get(key, key)).replace("own silicon", "self-hosted"): (
            None if key in _NOTHING_BEFORE and not value else _renamed(value)
        )
        for key, value in raw.items()
    }
