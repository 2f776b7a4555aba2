"""Plan: the file `plans/ID/plan.json`. Owned by capacity; dashboards, spreadsheets and `check` read it.

Every number is a `Figure`: a range with its confidence, unit, provenance and source. The page is docs/plan.md.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from host.atomic import write_text
from host.errors import Exit, PeakdayError

SCHEMA = "peakday.plan/1"

PROVENANCES = ("measured", "published", "derived", "simulated", "schema_example")
INPUT_PROVENANCES = (*PROVENANCES, "assumed", "judged")


class PlanError(PeakdayError, ValueError):
    """A plan that cannot be made or read; the message says why, where and what to do."""

    exit_code = Exit.INCONCLUSIVE


def weakest(provenances: list[str]) -> str:
    """The weakest supply provenance among inputs; inputs that are no supply figures do not count."""
    supply = [p for p in provenances if p in PROVENANCES]
    return max(supply, key=PROVENANCES.index) if supply else "derived"


@dataclass(frozen=True)
class Figure:
    """One number: its middle, the range that holds it with `confidence`, its unit, and where it comes from.

    A confidence of 0 means that low is a judged worst case, no interval.
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
class InputNote:
    """One input of the plan. `kind`: run, bench, step_model, prices, quotas, quality, assumption, scenario."""

    kind: str
    name: str
    value: str
    provenance: str
    source: str


@dataclass(frozen=True)
class Levels:
    """One quantity at three demand levels."""

    p50: float
    p90: float
    p95: float


@dataclass(frozen=True)
class RegionDemand:
    """Demand of one region over the event. Arrays are equally long; peak is over the event, after warm-up lag."""

    region: str
    peak_interactions_per_s: Levels
    offset_s: tuple[float, ...]
    interactions_per_s_p50: tuple[float, ...]
    interactions_per_s_p90: tuple[float, ...]
    interactions_per_s_p95: tuple[float, ...]


@dataclass(frozen=True)
class QuotaNeed:
    """One kind of quota: what the peak asks under both readings, what is granted, and when it binds (null: never)."""

    kind: str
    needed_settlement: Levels
    needed_reservation: Levels
    granted: float | None
    binds_at_offset_s: float | None
    source: str
    throttled_ratio: float | None = None  # share of the event's calls in excess at p90 demand, with no region lost

    @property
    def pressure(self) -> float:
        """Need over limit at p90, under the reading that asks for more; 0 where nothing is granted or limited."""
        needed = max(self.needed_settlement.p90, self.needed_reservation.p90)
        return needed / self.granted if self.granted else 0.0


@dataclass(frozen=True)
class ChipOption:
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
    turned_down: str | None = None
    price_kind: str = ""  # on demand, capacity block, own price
    billed_hours: float = 0.0  # as the price kind is billed: by the second, or in whole days
    event_usd: float = 0.0  # bought instances x price x billed hours
    chips_per_replica: float | None = None
    list_usd_per_hour: float | None = None  # of one instance, before any discount; null: no public price

    @property
    def bought_instances(self) -> int:
        """What the plan buys: the p90 of demand; `chips_range.mid`, `usd_per_hour` and `event_usd` are of it."""
        return int(self.instances.p90)

    @property
    def event_list_usd(self) -> float:
        """What the bought instances would cost at the public price; the own price where there is none."""
        if self.list_usd_per_hour is None:
            return self.event_usd
        return self.list_usd_per_hour * self.bought_instances * self.billed_hours

    @property
    def bought_chips(self) -> int:
        """All chips of the bought instances."""
        return int(self.chips.p90)


@dataclass(frozen=True)
class SupplyPlan:
    """What one model in one region needs. `options` is empty for Bedrock; the chosen one has turned_down null.

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
    throttling: dict[str, Any] = field(default_factory=dict)  # the buckets over the event, by reading; see docs/plan.md

    @property
    def chosen(self) -> ChipOption | None:
        """The option that was not turned down."""
        return next((option for option in self.options if option.turned_down is None), None)


@dataclass(frozen=True)
class HitRate:
    """Share of input tokens read from cache. `level`: all, shared, customer, conversation."""

    model: str
    level: str
    ratio: Figure


@dataclass(frozen=True)
class CostLine:
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
class TurnedDown:
    """An alternative that was looked at, and why it lost."""

    what: str
    why: str


@dataclass(frozen=True)
class Sensitivity:
    """What one input does to one output when moved over its range."""

    input: str
    output: str
    at_low: float
    at_high: float
    unit: str


@dataclass(frozen=True)
class Plan:
    """The whole answer. Lists are in order of importance."""

    plan_id: str
    created_utc: str
    peakday_version: str
    scenario: dict[str, Any]  # name, hash, seed
    seed: int
    assumptions_with_most_effect: tuple[str, ...]
    what_breaks_first: str
    inputs: tuple[InputNote, ...]
    demand: tuple[RegionDemand, ...]
    supplies: tuple[SupplyPlan, ...]
    hit_rates: tuple[HitRate, ...]
    cost: tuple[CostLine, ...]
    event_cost_usd: Figure
    event_cost_parts_usd: dict[str, float]
    turned_down: tuple[TurnedDown, ...] = ()
    sensitivities: tuple[Sensitivity, ...] = ()
    warnings: tuple[str, ...] = ()
    purchase: tuple[dict[str, Any], ...] = ()
    cache_advice: tuple[dict[str, Any], ...] = ()  # model, region, level, choice, hit_ratio and usd_per_mtok by choice
    routing: tuple[dict[str, Any], ...] = ()  # policy, usd_per_interaction of tokens, acceptable_ratio, provenance
    headroom: tuple[dict[str, Any], ...] = ()  # rule, region, model, replicas, chips, usd: what each nine costs
    schedules: tuple[dict[str, Any], ...] = ()  # region, model, instance_type, hourly instances, usd against flat_usd
    errors: dict[str, Any] = field(default_factory=dict)  # 90% range of chips needed: all, demand, model, monte_carlo
    value_of_measuring: tuple[dict[str, Any], ...] = ()
    event_cost_parts_list_usd: dict[str, float] = field(default_factory=dict)  # the same parts at list prices
    tiers: tuple[dict[str, Any], ...] = ()  # model, tier, usd of its tokens in the event, planned, why not
    background: tuple[dict[str, Any], ...] = ()  # each background stream: searches, rate, promise, usd or why not sized
    spill: tuple[dict[str, Any], ...] = ()  # where a peak beyond what is bought or granted goes, rung by rung
    hit_stability: tuple[dict[str, Any], ...] = ()  # own engines' block caches: hit ratios that hold themselves up
    cold_herd: tuple[dict[str, Any], ...] = ()  # what refilling forgotten provider caches costs
    rules: dict[str, float] = field(default_factory=dict)
    """What chips were counted by: zones, zones_lost, drain_ratio, broken_ratio, retry_extra_attempts, hours paid for,
    and interactions_in_event at the median demand."""

    @property
    def simulated(self) -> bool:
        """True when a simulated input touched any figure of the plan."""
        return any(note.provenance == "simulated" for note in self.inputs)


_NESTED: dict[str, type] = {
    "inputs": InputNote,
    "demand": RegionDemand,
    "supplies": SupplyPlan,
    "hit_rates": HitRate,
    "cost": CostLine,
    "turned_down": TurnedDown,
    "sensitivities": Sensitivity,
    "options": ChipOption,
    "quotas": QuotaNeed,
}


def write_plan(plan: Plan, folder: Path) -> Path:
    """Write `plan.json` into folder, aside and renamed; a finished plan or none."""
    path = folder / "plan.json"
    write_text(path, json.dumps({"schema": SCHEMA, **asdict(plan)}, indent=1, allow_nan=False) + "\n")
    return path


def load_plan(path: Path | str) -> Plan:
    """Read a plan from its folder or file; raises `PlanError` in one line."""
    file = Path(path)
    file = file / "plan.json" if file.is_dir() else file
    try:
        raw = json.loads(file.read_text())
    except FileNotFoundError:
        raise PlanError(f"{file}: no plan there; make one with `peakday plan SCENARIO`") from None
    except (OSError, json.JSONDecodeError) as error:
        raise PlanError(f"{file}: damaged ({error}); plan again") from None
    if not isinstance(raw, dict) or raw.pop("schema", None) != SCHEMA:
        raise PlanError(f"{file}: not a {SCHEMA} file")
    try:
        plan: Plan = _build(Plan, raw)
        return plan
    except (TypeError, KeyError) as error:
        raise PlanError(f"{file}: {error}") from None


def _build(kind: Any, raw: dict[str, Any]) -> Any:
    """A dataclass from its JSON form, by the field's name or by the keys of a Figure or Levels."""
    values = {item.name: _value(item.name, raw[item.name]) for item in fields(kind) if item.name in raw}
    unknown = sorted(set(raw) - set(values))
    if unknown:
        raise KeyError(f"unknown keys {unknown} in {kind.__name__}")
    return kind(**values)


def _value(name: str, raw: Any) -> Any:
    if isinstance(raw, list):
        nested = _NESTED.get(name)
        return tuple(_build(nested, item) if nested else item for item in raw)
    if isinstance(raw, dict) and set(raw) == {"p50", "p90", "p95"}:
        return Levels(**raw)
    if isinstance(raw, dict) and {"mid", "low", "high", "provenance"} <= set(raw):
        return Figure(**raw)
    return raw
