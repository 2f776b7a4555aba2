"""Chips and dollars as a function of a few multipliers: the one formula that draws and one-at-a-time moves share."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from capacity.cost.hours import THROUGHOUT
from capacity.fleet.sizing import Fleet, InstanceOffer, fleet, holding
from capacity.simulator.requests import Floats
from capacity.simulator.surface import Surface
from neuron_bench.step_model import StepModel
from scenarios.demand import INTERACTIONS
from scenarios.schema import Resilience

PLANNER_QUERIES = "planner_queries"


def _one() -> Floats:
    return np.ones(1)


@dataclass(frozen=True)
class Multipliers:
    """Ratios to the base case, each an array that broadcasts with the others. Errors: standard normal."""

    demand: Mapping[str, Floats] = field(default_factory=dict)  # by stream, over its median level
    peak: Mapping[tuple[str, str], Floats] = field(default_factory=dict)  # by stream and region, over its median peak
    turns: Floats = field(default_factory=_one)
    input_tokens: Floats = field(default_factory=_one)
    output_tokens: Floats = field(default_factory=_one)
    cache_hits: Floats = field(default_factory=_one)  # of provider caches
    prefix_hits: Floats = field(default_factory=_one)  # of own engines' block caches
    routes: Mapping[str, Floats] = field(default_factory=dict)  # by model, its calls over their share as planned
    step_error: Floats = field(default_factory=lambda: np.zeros(1))
    surface_error: Floats = field(default_factory=lambda: np.zeros(1))


@dataclass(frozen=True)
class Service:
    """One model on one chip: the rate at which a replica meets its SLOs, and how that moves with the workload."""

    model: str
    step: StepModel
    rate_per_s: float
    surface: Surface
    binding: str
    provenance: str
    relative_error: float  # of the rate, one sigma: step model and extrapolation
    surface_error: float = 0.0  # of the rate, one sigma: interpolation and seeds
    feasible_ratio: float = 0.0  # of the rate: a workload that a replica serves at less is not counted on it

    def rate_over(self, multipliers: Multipliers) -> Floats:
        """Rate per replica under the multipliers, no lower than the least that is counted on."""
        errors = multipliers.step_error * self.relative_error + multipliers.surface_error * self.surface_error
        moved = np.maximum(self._moved(multipliers), self.feasible_ratio)
        return np.asarray(self.rate_per_s * moved * np.exp(errors))

    def serves(self, multipliers: Multipliers) -> npt.NDArray[np.bool_]:
        """Where it is counted on to keep its SLOs; bool of the multipliers' shape."""
        return np.asarray(self._moved(multipliers) >= self.feasible_ratio)

    def _moved(self, multipliers: Multipliers) -> Floats:
        return self.surface.ratio(multipliers.input_tokens, multipliers.output_tokens, multipliers.prefix_hits)

    @property
    def error(self) -> float:
        """One sigma of the rate, all causes together."""
        return math.hypot(self.relative_error, self.surface_error)


@dataclass(frozen=True)
class Overflow:
    """Where calls go that a fleet does not take: a Bedrock model of the scenario's chain, nothing cached.

    prompt_usd, output_usd: of a call, failed attempts included; prompt_tokens, output_tokens: of an attempt.
    calls: of the event at the median demand.
    spare: what a fleet carries on an ordinary day over what it is sized for, with a region and zones lost.
    carried, beyond: of a fleet held throughout that carries such a share of the peak, the share of the event's calls
    beyond it; linear in between.
    """

    target: str
    prompt_usd: float
    output_usd: float
    prompt_tokens: float
    output_tokens: float
    calls: float
    spare: float
    carried: Floats
    beyond: Floats

    def calls_beyond(self, carried: Floats, held: str) -> Floats:
        """Calls of the event that a fleet does not take. carried: what it is sized for over the peak's need."""
        ordinary = carried * self.spare
        if held == THROUGHOUT:
            return np.asarray(self.calls * np.interp(ordinary, self.carried, self.beyond))
        return np.asarray(self.calls * np.maximum(0.0, 1 - ordinary))

    def usd_per_call(self, multipliers: Multipliers) -> Floats:
        """Of one call under the multipliers."""
        return self.prompt_usd * multipliers.input_tokens + self.output_usd * multipliers.output_tokens


@dataclass(frozen=True)
class SelfHostedChoice:
    """One option for one model in one region: what it carries at the median peak, and what serves it."""

    region: str
    stream: str
    load_per_s: float
    service: Service
    offer: InstanceOffer
    billed_hours: float
    bought_over_p50: float = 1.0  # load that the bought fleet carries at the middle rate, over load_per_s
    held: str = THROUGHOUT  # or by the hour: billed_hours is then the mean of an instance
    overflow: Overflow | None = None
    most_per_s: float = math.inf  # calls a second at the middle rate that the most instances to be had carry

    def needed(self, multipliers: Multipliers, rules: Resilience, *, at_level: bool) -> Fleet:
        """The fleet under the multipliers: as bought, moved along, or of the drawn demand alone.

        Where the chip is not counted on, as many as at the lowest rate that is.
        """
        return self._fleet(self._sized_for(multipliers, at_level=at_level), rules)

    def usd_needed(self, multipliers: Multipliers, rules: Resilience, *, at_level: bool) -> Floats:
        """What that fleet costs for the event, and what it does not take on the model of its overflow.

        With an overflow no fleet is bought for a draw in which the chip is not counted on.
        """
        sized_for = self._sized_for(multipliers, at_level=at_level)
        if self.overflow is not None:
            sized_for = np.where(self.service.serves(self._of_stream(multipliers)), sized_for, 0.0)
        return np.asarray(self.usd(self._fleet(sized_for, rules)) + self._overflow_usd(multipliers, sized_for))

    def overflow_usd(self, multipliers: Multipliers) -> Floats:
        """What the bought fleet does not take, over the event."""
        return self._overflow_usd(multipliers, np.asarray(self.load_per_s * self.bought_over_p50))

    def overflow_calls(self, multipliers: Multipliers) -> Floats:
        """Calls of the event that the bought fleet does not take."""
        return self._overflow_calls(multipliers, np.asarray(self.load_per_s * self.bought_over_p50))

    def beyond_at_peak(self, multipliers: Multipliers) -> Floats:
        """Calls a second of the peak that the bought fleet does not take, all that may fail having failed."""
        carried = self.load_per_s * self.bought_over_p50 / self.load_at_middle_rate(multipliers)
        return np.asarray(self.load(multipliers) * np.maximum(0.0, 1 - carried))

    def load_at_middle_rate(self, multipliers: Multipliers) -> Floats:
        """Calls a second that a fleet must be sized for, were each replica to serve its middle rate; inf: no fleet."""
        of_stream = self._of_stream(multipliers)
        load = self._load_at_rate(multipliers)
        return np.asarray(np.where(self.service.serves(of_stream), load, np.inf), dtype=np.float64)

    def _load_at_rate(self, multipliers: Multipliers) -> Floats:
        rate = self.service.rate_over(self._of_stream(multipliers))
        return np.asarray(self.load(multipliers) * self.service.rate_per_s / rate)

    def _sized_for(self, multipliers: Multipliers, *, at_level: bool) -> Floats:
        """Calls a second at the middle rate."""
        need = self._load_at_rate(multipliers)
        return np.asarray(need * self.bought_over_p50 if at_level else np.minimum(need, self.most_per_s))

    def _fleet(self, sized_for: Floats, rules: Resilience) -> Fleet:
        return fleet(sized_for, self.service.rate_per_s, self.service.step, self.offer.instance, rules)

    def _overflow_calls(self, multipliers: Multipliers, sized_for: Floats) -> Floats:
        if self.overflow is None:
            return np.zeros(1)
        carried = sized_for / np.maximum(self.load_at_middle_rate(multipliers), 1e-300)
        count = multipliers.demand.get(self.stream, _one()) * multipliers.turns
        count = count * multipliers.routes.get(self.service.model, _one())
        return np.asarray(count * self.overflow.calls_beyond(carried, self.held))

    def _overflow_usd(self, multipliers: Multipliers, sized_for: Floats) -> Floats:
        if self.overflow is None:
            return np.zeros(1)
        return np.asarray(self._overflow_calls(multipliers, sized_for) * self.overflow.usd_per_call(multipliers))

    def bought(self, rules: Resilience) -> Fleet:
        """What the plan buys."""
        load = self.load_per_s * self.bought_over_p50
        return fleet(load, self.service.rate_per_s, self.service.step, self.offer.instance, rules)

    def load(self, multipliers: Multipliers) -> Floats:
        """Calls a second at the peak."""
        load = self.load_per_s * self.peak_ratio(multipliers)
        if self.stream == PLANNER_QUERIES:
            return load
        return load * multipliers.turns * multipliers.routes.get(self.service.model, _one())

    def _of_stream(self, multipliers: Multipliers) -> Multipliers:
        """A search is one short call of fixed size: of it only the step times are uncertain."""
        if self.stream != PLANNER_QUERIES:
            return multipliers
        return Multipliers(step_error=multipliers.step_error, surface_error=multipliers.surface_error)

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

    def carries_per_s(self, sized: Fleet, rules: Resilience) -> float:
        """Calls a second that a fleet carries at the middle rate, with what may be lost, drained or broken left out."""
        working = (1 - rules.zones_lost / rules.zones) * (1 - rules.drain_ratio - rules.broken_ratio)
        return float(sized.replicas.max()) * self.service.rate_per_s * working / (1 + rules.retry_extra_attempts)

    def holding(self, replicas_per_zone: int, rules: Resilience) -> Fleet:
        """The fleet of so many replicas in each zone."""
        return holding(np.asarray(replicas_per_zone), self.service.step, self.offer.instance, rules)

    def usd(self, sized: Fleet) -> Floats:
        """What a fleet costs for the event."""
        return self.offer.event_usd(sized.instances, self.billed_hours)


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

    def over(self, multipliers: Multipliers, routes: Floats | float = 1.0) -> Floats:
        """Under the multipliers: a hit that is lost is written again, one more is not. routes: of the model."""
        hits = multipliers.cache_hits
        written = np.maximum(-self.cache_write, self.rewrite * (1 - hits))
        prompt = self.input + self.cache_write + self.cache_read * hits + written
        per_turn = prompt * multipliers.input_tokens + self.output * multipliers.output_tokens
        per_turn = (per_turn * routes + self.features) * multipliers.turns
        return np.asarray(per_turn * multipliers.demand.get(INTERACTIONS, _one()))


@dataclass(frozen=True)
class Base:
    """The base case of a plan."""

    own: Sequence[SelfHostedChoice]
    bedrock: Mapping[str, BedrockSpend]  # by model; metered features under no model's name
    rules: Resilience

    @property
    def fleets_usd(self) -> float:
        """What the bought fleets cost for the event, whatever comes."""
        return sum(float(choice.usd(choice.bought(self.rules)).max()) for choice in self.own)

    def overflow_usd(self, multipliers: Multipliers) -> Floats:
        """What all bought fleets do not take, on the models of their overflow."""
        return np.asarray(sum((choice.overflow_usd(multipliers) for choice in self.own), np.zeros(1)))

    def bedrock_usd(self, multipliers: Multipliers) -> Floats:
        """All models' tokens and metered features under the multipliers."""
        spent: Floats = np.zeros(1)
        for model, spend in self.bedrock.items():
            spent = spent + spend.over(multipliers, multipliers.routes.get(model, 1.0))
        return spent


@dataclass(frozen=True)
class Outcome:
    """Chips, and the event's cost, over the draws. own_usd: fleets, and what goes beyond them."""

    chips: Floats
    own_usd: Floats
    bedrock_usd: Floats

    @property
    def event_cost_usd(self) -> Floats:
        """Both supplies together."""
        return self.own_usd + self.bedrock_usd


def outcome(base: Base, multipliers: Multipliers, *, at_level: bool) -> Outcome:
    """What the multipliers make of the base case.

    at_level: fleets are those of the plan's service level, moved along; else each draw buys what it needs.
    """
    chips, own_usd = np.zeros(1), np.zeros(1)
    for choice in base.own:
        chips = chips + choice.needed(multipliers, base.rules, at_level=at_level).chips
        own_usd = own_usd + choice.usd_needed(multipliers, base.rules, at_level=at_level)
    return Outcome(chips, own_usd, base.bedrock_usd(multipliers))


def spent_usd(base: Base, multipliers: Multipliers) -> Floats:
    """What the event costs once its fleets are bought: they are paid for in every draw, tokens as they come."""
    return np.asarray(base.fleets_usd + base.bedrock_usd(multipliers) + base.overflow_usd(multipliers))
