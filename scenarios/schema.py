"""The shape of a scenario: every key a scenario file may hold, with its unit and its limits.

`Scenario` is parsed once, where the file enters (`loading.py`); everything behind reads values. The blocks live in
modules by theme (`base`, `shapes`, `streams`, `mix`, `objectives`) and are all importable from here.
"""

# ruff: noqa: RUF012 (pydantic copies a default for every instance)

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from facts.blocks import Moment, Share, SomeSeconds
from facts.stack import Switches
from scenarios.base import Part, Range, sums_to_one
from scenarios.mix import Count, Customers, IntentMix, Lognormal, Mix, World
from scenarios.objectives import (
    AbortIf,
    AssumedTokens,
    Capacity,
    Fault,
    LoadLimits,
    Objectives,
    Quota,
    Resilience,
    SelfHostedSupply,
)
from scenarios.shapes import Constant, CoolDown, DealDrops, Diurnal, FlashSpike, Product, Ramp, Shape, Step, Sum, Trace
from scenarios.streams import Arrivals, Background, Client, Demand, Noise, PlannerQueries, PriceTicks, RuleStorm, Stream

__all__ = [
    "SCHEMA",
    "AbortIf",
    "Arrivals",
    "AssumedTokens",
    "Background",
    "Capacity",
    "Client",
    "Constant",
    "CoolDown",
    "Count",
    "Customers",
    "DealDrops",
    "Demand",
    "Diurnal",
    "Event",
    "Fault",
    "FlashSpike",
    "IntentMix",
    "LoadLimits",
    "Lognormal",
    "Mix",
    "Noise",
    "Objectives",
    "Part",
    "PlannerQueries",
    "PriceTicks",
    "Product",
    "Quota",
    "Ramp",
    "Range",
    "Region",
    "Resilience",
    "RuleStorm",
    "Scenario",
    "SelfHostedSupply",
    "Shape",
    "Step",
    "Stream",
    "Sum",
    "Trace",
    "World",
]

SCHEMA = "peakday.scenario/1"


class Region(Part):
    """Where customers are: their share of all demand, their clock and their languages."""

    share: Share
    time_zone: str = "UTC"
    locales: dict[str, Share] = {"en_US": 1.0}

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except Exception:
            raise ValueError(f"unknown time zone {value!r}; use an IANA name such as America/New_York") from None
        return value

    @model_validator(mode="after")
    def _locales_sum(self) -> Region:
        sums_to_one(self.locales, "locale shares")
        return self


class Event(Part):
    """When it happens, how long it lasts, and where."""

    start: Moment
    length_s: SomeSeconds
    regions: Annotated[dict[str, Region], Field(min_length=1)]

    @model_validator(mode="after")
    def _shares_sum(self) -> Event:
        sums_to_one({name: region.share for name, region in self.regions.items()}, "region shares")
        return self

    @property
    def start_utc(self) -> datetime:
        """The start as an aware UTC time."""
        return self.start.astimezone(ZoneInfo("UTC"))


ACCOUNT = "account"
"""In place of a model in `quotas`: what the provider grants to all of an account's models together."""


class Scenario(Part):
    """One peak event: demand, customers, the assistant's switches, SLOs, faults, and what may be bought."""

    schema_: Literal["peakday.scenario/1"] = Field(alias="schema")
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]  # it ends a folder's name
    description: str = ""
    seed: Annotated[int, Field(ge=0)] = 1
    event: Event
    demand: Demand
    mix: Mix
    world: World = World()
    models: Annotated[list[str], Field(min_length=1)] = [
        "nova-2-lite", "nova-pro", "claude-sonnet", "custom-8b", "planner",
    ]  # fmt: skip
    assistant: Switches = Field(default_factory=Switches)
    quotas: dict[str, Quota] = {}
    faults: list[Fault] = []
    slo: Objectives = Objectives()
    abort_if: AbortIf = AbortIf()
    load: LoadLimits = LoadLimits()
    capacity: Capacity = Capacity()

    @model_validator(mode="after")
    def _models_exist(self) -> Scenario:
        for where, model in self._model_references():
            if model not in self.models:
                raise ValueError(
                    f"{where}: model {model!r} is not in models; add it there, or use one of {self.models}"
                )
        return self

    def _model_references(self) -> Iterator[tuple[str, str]]:
        """Every place that names a model, with its key path."""
        policy, router, chains = self.assistant.policy, self.assistant.router, self.assistant.fallback.chains
        yield "assistant.policy.simple", policy.simple
        yield "assistant.policy.complex", policy.complex
        yield "assistant.router.planner_model", router.planner_model
        yield from ((f"assistant.policy.by_intent.{key}", model) for key, model in policy.by_intent.items())
        for first, others in chains.items():
            yield from ((f"assistant.fallback.chains.{first}", model) for model in (first, *others))
        yield from ((f"quotas.{model}", model) for model in self.quotas if model != ACCOUNT)
        yield from ((f"capacity.own.{model}", model) for model in self.capacity.own)
        yield from ((f"capacity.hit_ratios.{model}", model) for model in self.capacity.hit_ratios)
        yield from ((f"capacity.service_tiers.{key}", key.split("/")[0]) for key in self.capacity.service_tiers)
        yield from ((f"faults.{i}.model", fault.model) for i, fault in enumerate(self.faults) if fault.model)

    @model_validator(mode="after")
    def _faults_fit(self) -> Scenario:
        for i, fault in enumerate(self.faults):
            if fault.region is not None and fault.region not in self.event.regions:
                known = ", ".join(self.event.regions)
                raise ValueError(f"faults.{i}.region: unknown region {fault.region!r}; use one of {known}")
            if fault.at_s >= self.event.length_s:
                raise ValueError(f"faults.{i}.at_s: {fault.at_s:g} s is after the event's end; lower it")
        for i, storm in enumerate(self.demand.background.rule_storms):
            if storm.at_s >= self.event.length_s:
                raise ValueError(f"demand.background.rule_storms.{i}.at_s: {storm.at_s:g} s is after the event's end")
        return self

    @model_validator(mode="after")
    def _customers_exist(self) -> Scenario:
        if self.mix.customers.population > self.world.customers:
            raise ValueError(
                f"mix.customers.population: {self.mix.customers.population} customers, but the world holds "
                f"{self.world.customers}; raise world.customers or lower it"
            )
        return self
