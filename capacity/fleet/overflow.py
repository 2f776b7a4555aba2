"""How large a fleet is worth buying when what it does not take may go to a Bedrock model of the scenario's chain."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from capacity.fleet.outcome import Multipliers, SelfHostedChoice
from capacity.fleet.service_level import short_of
from capacity.rows.fleet import OverflowPlan
from capacity.simulator.requests import Floats
from scenarios.schema import Resilience

OWN_DRAWS_MIN = 0.5
"""A fleet carries at least the median draw by itself, or all of it that can be had: the policy names its model, and
dropping that is a routing decision. A rule of ours; docs/plan.md states it."""
SIZES = 24


def cheapest_with_overflow(
    middle: SelfHostedChoice,
    needs: Floats,
    draws: Multipliers,
    rules: Resilience,
    bought: Callable[[float], SelfHostedChoice],
) -> tuple[float, SelfHostedChoice] | None:
    """The fleet that costs least with its overflow in the mean of the draws, and that cost; None where none can be had.

    Newsvendor with the price of a call on the next model as the value of one that the fleet takes. needs: [n] calls a
    second at the middle rate, inf where the chip is not counted on. bought: the fleet of an offer for a size.
    """
    ordered = np.sort(needs)
    finite = int(np.isfinite(ordered).sum())
    first = math.ceil(len(ordered) * OWN_DRAWS_MIN) - 1
    if finite <= first or middle.most_per_s <= 0:
        return None
    places = np.unique(np.linspace(first, finite - 1, SIZES).astype(int))
    sizes = np.unique(np.minimum(ordered[places], middle.most_per_s))
    overflow = middle.overflow
    assert overflow is not None  # callers have one
    usd_of_all = _count(middle, draws) * overflow.usd_per_call(draws)
    best: tuple[float, SelfHostedChoice] | None = None
    for size in sizes:
        choice = replace(bought(float(size)), most_per_s=middle.most_per_s)
        sent = float((usd_of_all * overflow.calls_beyond(size / needs, choice.held)).mean())
        usd = float(choice.usd(choice.bought(rules)).max()) + sent
        if best is None or usd < best[0] - 1e-9:
            best = usd, choice
    return best


def _count(choice: SelfHostedChoice, draws: Multipliers) -> Floats:
    """Calls of the event over those at the median, by draw."""
    count = draws.demand.get(choice.stream, np.ones(1)) * draws.turns
    return np.asarray(count * draws.routes.get(choice.service.model, np.ones(1)))


def overflow_figures(
    choice: SelfHostedChoice, needs: Floats, draws: Multipliers, alone_usd: float | None
) -> OverflowPlan:
    """What the plan says of a fleet's overflow. alone_usd: of a fleet of the chip that carried the level by itself."""
    overflow = choice.overflow
    assert overflow is not None  # callers have one
    calls, every = choice.overflow_calls(draws), overflow.calls * _count(choice, draws)
    return OverflowPlan(
        target=overflow.target,
        used=short_of(needs <= choice.load_per_s * choice.bought_over_p50 * (1 + 1e-12)),
        calls_ratio=float(calls.mean() / every.mean()),
        usd=float(choice.overflow_usd(draws).mean()),
        usd_p50=float(choice.overflow_usd(Multipliers()).mean()),
        alone_usd=alone_usd,
    )
