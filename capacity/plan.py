"""Plan: the file `plans/ID/plan.json`. Owned by capacity; dashboards, spreadsheets and `check` read it.

Every number is a `Figure`: a range with its confidence, unit, provenance and source. The page is docs/plan.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from capacity.rows.doubt import ErrorBars, InformationValue, Sensitivity, ServiceLevel, VarianceShare
from capacity.rows.figures import Figure, Row
from capacity.rows.fleet import HeadroomOption, HitRate, HitStability, Schedule, SizingRules, SupplyPlan
from capacity.rows.money import (
    BackgroundStream,
    CacheAdvice,
    CostLine,
    Purchase,
    ReservedAdvice,
    RoutingOption,
    ServiceTier,
    SpillOption,
)
from capacity.rows.needs import AccountNeed, CacheStampede, FallbackTier, InstanceLimit, RegionDemand
from host.atomic import write_text
from host.errors import Exit, PeakdayError
from host.json_text import read_json_object

SCHEMA = "peakday.plan/2"
SCHEMA_BEFORE = "peakday.plan/1"
"""Read as well: the same record under other names, see `_renamed`."""


class PlanError(PeakdayError, ValueError):
    """A plan that cannot be made or read; the message says why, where and what to do."""

    page = "plan"

    exit_code = Exit.INCONCLUSIVE


@dataclass(frozen=True)
class InputNote(Row):
    """One input of the plan. `kind`: run, bench, step_model, prices, quotas, quality, assumption, scenario."""

    kind: str
    name: str
    value: str
    provenance: str
    source: str


@dataclass(frozen=True)
class Rejected(Row):
    """An alternative that was considered, and why it lost."""

    what: str
    why: str


@dataclass(frozen=True)
class ScenarioRef(Row):
    """Which scenario was planned."""

    name: str
    hash: str
    seed: int
    start: str | None = None  # when the event begins, ISO 8601; null in older plans
    length_s: float | None = None  # of the event; null in older plans


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
    def event_period(self) -> tuple[datetime, datetime]:
        """When the event begins and ends; a record without its length has that of what is paid for.

        Raises:
            PlanError: the record does not say when it begins.
        """
        if self.scenario.start is None:
            raise PlanError(f"{self.plan_id}: does not say when its event starts; make it again with `peakday plan`")
        start = datetime.fromisoformat(self.scenario.start)
        length = timedelta(seconds=self.scenario.length_s) if self.scenario.length_s is not None else self._paid
        return start, start + length

    @property
    def paid_period(self) -> tuple[datetime, datetime]:
        """What is paid for: it ends with the event, and begins the warm-up (or what a horizon adds) before it.

        Raises:
            PlanError: the record does not say when the event begins.
        """
        end = self.event_period[1]
        return end - self._paid, end

    @property
    def _paid(self) -> timedelta:
        return timedelta(hours=self.rules.hours if self.rules else 24.0)

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
