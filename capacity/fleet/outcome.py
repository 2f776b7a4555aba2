"""Chips and dollars as a function of a few multipliers: the one formula that draws and one-at-a-time moves share."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from capacity.fleet.sizing import Fleet, InstanceOffer, fleet, holding
from capacity.simulator.requests import Floats
from capacity.simulator.surface import Surface
from neuron_bench.step_model import StepModel
from scenarios.schema import Resilience

INTERACTIONS = "interactions"
PLANNER_QUERIES = "planner_queries"


def _one() -> Floats:
    return np.ones(1)


@dataclass(frozen=True)
class Multipliers:
    """Ratios to the base inputs, each an array that broadcasts with the others. step_error: standard normal."""

    demand: Mapping[str, Floats] = field(default_factory=dict)  # by stream, over its median level
    peak: Mapping[tuple[str, str], Floats] = field(default_factory=dict)  # by stream and region, over its median peak
    turns: Floats = field(default_factory=_one)
    input_tokens: Floats = field(default_factory=_one)
    output_tokens: Floats = field(default_factory=_one)
    cache_hits: Floats = field(default_factory=_one)  # of provider caches
    prefix_hits: Floats = field(default_factory=_one)  # of own engines' block caches
    step_error: Floats = field(default_factory=lambda: np.zeros(1))


@dataclass(frozen=True)
class Service:
    """One model on one chip: the rate a replica keeps its promise at, and how that moves with the workload."""

    model: str
    step: StepModel
    rate_per_s: float
    surface: Surface
    binding: str
    provenance: str
    relative_error: float  # of the rate, one sigma: step model, extrapolation and surface together

    def rate_over(self, multipliers: Multipliers) -> Floats:
        """Rate per replica under the multipliers."""
        moved = self.surface.ratio(multipliers.input_tokens, multipliers.output_tokens, multipliers.prefix_hits)
        return np.asarray(self.rate_per_s * moved * np.exp(multipliers.step_error * self.relative_error))


@dataclass(frozen=True)
class SelfHostedChoice:
    """One option for one model in one region: what it carries at the median peak, and what serves it."""

    region: str
    stream: str
    load_per_s: float
    service: Service
    offer: InstanceOffer
    billed_hours: float
    p90_over_p50: float

    def needed(self, multipliers: Multipliers, rules: Resilience, *, at_p90: bool) -> Fleet:
        """The fleet under the multipliers: for the p90 of demand, or for the median times the drawn demand."""
        load = self.load_per_s * self.peak_ratio(multipliers) * (self.p90_over_p50 if at_p90 else 1.0)
        if self.stream == PLANNER_QUERIES:  # a search is one short call of fixed size
            multipliers = Multipliers(step_error=multipliers.step_error)
        else:
            load = load * multipliers.turns
        return fleet(load, self.service.rate_over(multipliers), self.service.step, self.offer.instance, rules)

    def peak_ratio(self, multipliers: Multipliers) -> Floats:
        """The region's peak over its median: drawn with its noise, else the stream's level."""
        drawn = multipliers.peak.get((self.stream, self.region))
        return multipliers.demand.get(self.stream, _one()) if drawn is None else drawn

    def calls_per_group(self, rules: Resilience, chips: int | None = None) -> float:
        """Calls a second that one instance in each zone carries, with what may be lost, drained or broken left out.

        chips: of another instance type of the same chip; None = the chosen one.
        """
        replicas = (chips or self.offer.instance.chips) / self.service.step.chips_per_replica
        per_instance = math.floor(round(replicas, 9)) or replicas
        working = (rules.zones - rules.zones_lost) * (1 - rules.drain_ratio - rules.broken_ratio)
        return self.service.rate_per_s * per_instance * working / (1 + rules.retry_extra_attempts)

    def holding(self, replicas_per_zone: int, rules: Resilience) -> Fleet:
        """The fleet of so many replicas in each zone."""
        return holding(np.asarray(replicas_per_zone), self.service.step, self.offer.instance, rules)

    def usd(self, sized: Fleet) -> Floats:
        """What a fleet costs for the event."""
        return np.asarray(sized.instances * self.offer.usd_per_hour * self.billed_hours)


@dataclass(frozen=True)
class BedrockSpend:
    """USD of the event at the median demand by token class; rewrite: what all cache reads cost if written again.

    features: what has its own meter, by turn: guardrails, web searches.
    """

    input: float = 0.0
    cache_read: float = 0.0
    cache_write: float = 0.0
    output: float = 0.0
    rewrite: float = 0.0
    features: float = 0.0

    def over(self, multipliers: Multipliers) -> Floats:
        """Under the multipliers; a hit that is lost is written again."""
        read = self.cache_read * multipliers.cache_hits + self.rewrite * np.maximum(0.0, 1 - multipliers.cache_hits)
        per_turn = (
            self.input + self.cache_write + read
        ) * multipliers.input_tokens + self.output * multipliers.output_tokens
        per_turn = per_turn + self.features
        return np.asarray(per_turn * multipliers.turns * multipliers.demand.get(INTERACTIONS, _one()))


@dataclass(frozen=True)
class Base:
    """The base case of a plan."""

    own: Sequence[SelfHostedChoice]
    bedrock: BedrockSpend
    rules: Resilience


@dataclass(frozen=True)
class Outcome:
    """Chips, and the event's cost, over the draws."""

    chips: Floats
    own_usd: Floats
    bedrock_usd: Floats

    @property
    def event_cost_usd(self) -> Floats:
        """Both supplies together."""
        return self.own_usd + self.bedrock_usd


def outcome(base: Base, multipliers: Multipliers, *, at_p90: bool) -> Outcome:
    """What the multipliers make of the base inputs.

    at_p90: fleets are bought for the p90 of demand, as the plan buys; else each draw buys what it needs.
    """
    chips, own_usd = np.zeros(1), np.zeros(1)
    for choice in base.own:
        sized = choice.needed(multipliers, base.rules, at_p90=at_p90)
        chips = chips + sized.chips
        own_usd = own_usd + choice.usd(sized)
    return Outcome(chips, own_usd, base.bedrock.over(multipliers))
