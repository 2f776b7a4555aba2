"""Chips and dollars as a function of a few levers: the one formula that draws and one-at-a-time moves share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from capacity.fleet import Box, fleet
from capacity.plan import Sensitivity
from capacity.requests import Floats
from neuron_bench.step_model import StepModel
from scenarios.schema import Resilience


def _one() -> Floats:
    return np.ones(1)


RateRatio = Callable[[Floats, Floats, Floats], Floats]
"""Rate per replica over the base case, at ratios of prompt tokens, answer tokens and prefix hits."""


@dataclass(frozen=True)
class Levers:
    """Ratios to the base case, each an array that broadcasts with the others. step_error: standard normal."""

    demand: Mapping[str, Floats] = field(default_factory=dict)  # by stream: interactions, planner_queries
    turns: Floats = field(default_factory=_one)
    input_tokens: Floats = field(default_factory=_one)
    output_tokens: Floats = field(default_factory=_one)
    cache_hits: Floats = field(default_factory=_one)
    step_error: Floats = field(default_factory=lambda: np.zeros(1))


@dataclass(frozen=True)
class OwnChoice:
    """A chosen option: what it carries at the median peak, and what serves it."""

    model: str
    region: str
    stream: str
    load_per_s: float
    step: StepModel
    rate_per_s: float
    rate_ratio: RateRatio
    box: Box
    size_factor: float  # demand quantile the fleet is bought for, over the median


@dataclass(frozen=True)
class BedrockSpend:
    """USD of the event at the median demand by token class; rewrite: what all cache reads cost if written again."""

    input: float = 0.0
    cache_read: float = 0.0
    cache_write: float = 0.0
    output: float = 0.0
    rewrite: float = 0.0


@dataclass(frozen=True)
class Base:
    """The base case of a plan."""

    own: Sequence[OwnChoice]
    bedrock: BedrockSpend
    rules: Resilience
    hours: float


@dataclass(frozen=True)
class Outcome:
    """Chips bought, and the event's cost, over the draws."""

    chips: Floats
    own_usd: Floats
    bedrock_usd: Floats

    @property
    def event_cost_usd(self) -> Floats:
        """Both supplies together."""
        return self.own_usd + self.bedrock_usd


def outcome(base: Base, levers: Levers) -> Outcome:
    """What the levers make of the base case. Fleets are bought for their demand quantile, whole instances."""
    interactions = levers.demand.get("interactions", _one())
    chips, own_usd = np.zeros(1), np.zeros(1)
    for choice in base.own:
        calls = levers.demand.get(choice.stream, _one()) * (levers.turns if choice.stream == "interactions" else 1.0)
        error = np.exp(levers.step_error * choice.step.relative_error)
        rate = choice.rate_per_s * error
        if choice.stream == "interactions":
            rate = rate * choice.rate_ratio(levers.input_tokens, levers.output_tokens, levers.cache_hits)
        sized = fleet(
            choice.load_per_s * choice.size_factor * calls, rate, choice.step, choice.box.instance, base.rules
        )
        chips = chips + sized.chips
        own_usd = own_usd + sized.instances * choice.box.usd_per_hour * base.hours
    spend = base.bedrock
    prompt = (
        spend.input
        + spend.cache_write
        + spend.cache_read * levers.cache_hits
        + spend.rewrite * np.maximum(0.0, 1 - levers.cache_hits)
    )
    per_call = prompt * levers.input_tokens + spend.output * levers.output_tokens
    return Outcome(chips, own_usd, per_call * levers.turns * interactions)


@dataclass(frozen=True)
class Move:
    """One input moved from its low to its high value, all others at their middle."""

    name: str
    low: Levers
    high: Levers


def moves(demand: Mapping[str, tuple[float, float]], token_spread: float, hits: tuple[float, float]) -> list[Move]:
    """The one-at-a-time moves of every plan.

    Args:
        demand: by stream, its low and high estimate over its median.
        token_spread: relative half-width of tokens and turns; wide where they are assumed or simulated.
        hits: low and high of the cache hit ratio over its base.
    """
    z = 1.645
    low, high = np.array([1 / (1 + token_spread)]), np.array([1 + token_spread])
    listed = [
        Move(f"demand: {stream} at the peak", Levers({stream: np.array([lo])}), Levers({stream: np.array([hi])}))
        for stream, (lo, hi) in demand.items()
    ]
    base = Levers()
    listed.append(Move("turns and calls per interaction", replace(base, turns=low), replace(base, turns=high)))
    listed.append(Move("prompt tokens per call", replace(base, input_tokens=low), replace(base, input_tokens=high)))
    listed.append(Move("answer tokens per call", replace(base, output_tokens=low), replace(base, output_tokens=high)))
    listed.append(
        Move(
            "cache hit ratio",
            replace(base, cache_hits=np.array([hits[0]])),
            replace(base, cache_hits=np.array([hits[1]])),
        )
    )
    listed.append(
        Move(
            "rate per replica (step model error)",
            replace(base, step_error=np.array([-z])),
            replace(base, step_error=np.array([z])),
        )
    )
    return listed


def sensitivities(base: Base, listed: Sequence[Move]) -> tuple[Sensitivity, ...]:
    """What each move does to chips and to the event's cost, the largest relative swing first."""
    middle = outcome(base, Levers())
    ranked: list[tuple[float, Sensitivity, Sensitivity]] = []
    for move in listed:
        low, high = outcome(base, move.low), outcome(base, move.high)
        chips = Sensitivity(move.name, "chips", float(low.chips[0]), float(high.chips[0]), "chips")
        cost = Sensitivity(
            move.name, "event_cost_usd", float(low.event_cost_usd[0]), float(high.event_cost_usd[0]), "USD"
        )
        swing = max(_swing(chips, float(middle.chips[0])), _swing(cost, float(middle.event_cost_usd[0])))
        ranked.append((swing, chips, cost))
    ranked.sort(key=lambda row: -row[0])
    return tuple(item for _, chips, cost in ranked for item in (chips, cost) if item.at_low != item.at_high)


def _swing(move: Sensitivity, middle: float) -> float:
    return abs(move.at_high - move.at_low) / middle if middle else 0.0
