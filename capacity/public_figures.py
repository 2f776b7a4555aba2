"""Consistency of public figures about a fleet: what they bound, and what must not be read out of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FleetUse:
    """Average use of a published fleet at a measured rate per chip."""

    utilisation_ratio: float
    binding: str


def fleet_use(chips: float, tokens_per_chip_per_s: float, average_tokens_per_s: float) -> FleetUse:
    """Share of a fleet's token capacity that its average rate uses, and whether tokens can have set its size.

    A published average never calibrates a chip: it mixes peak with average, several models, redundancy and latency.
    """
    ratio = average_tokens_per_s / (chips * tokens_per_chip_per_s)
    if ratio > 1:
        return FleetUse(ratio, "contradiction: more tokens than the chips can make at this rate")
    if ratio < AVERAGE_USE_MIN:
        return FleetUse(
            ratio, "capacity is set by something else: peak over average, latency, redundancy, other models"
        )
    return FleetUse(ratio, "tokens")


AVERAGE_USE_MIN = 0.1
"""Below a tenth, no peak over average and no N+1 explains a fleet by its tokens alone. A judgement."""


def offered_load_erlang(rate_per_s: float, time_s: float) -> float:
    """Requests in flight. Source: Little's law, L = lambda W (Little 1961)."""
    return rate_per_s * time_s


def share_moved_elsewhere(interactions_ratio: float, speed_ratio: float, chips_ratio: float) -> float:
    """Share of a year's traffic that must have left the chips, when interactions, speed and chips grew so.

    interactions (1 - share) / speed = chips. Outside 0..1 the three figures contradict each other.
    """
    return 1 - chips_ratio * speed_ratio / interactions_ratio
