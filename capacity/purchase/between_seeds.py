"""How far another seed may be from what is bought: order statistics, rates and surfaces, an instance more."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from capacity.fleet.inputs import PlanInputs
from capacity.fleet.outcome import Base, SelfHostedChoice
from capacity.rows.figures import Interval
from capacity.simulator.requests import Floats

Z_OTHER = 1.6449 * math.sqrt(2)
"""Sigmas of one plan that hold 90% of another's: both have an error of their own."""


@dataclass(frozen=True)
class SeedRange:
    """90% intervals of what a plan of another seed buys: all chips, all fleets, and the budget."""

    chips: Interval
    fleets_usd: Interval
    budget_usd: Interval


def seed_range(inputs: PlanInputs, base: Base, tokens_usd: Floats, budget_usd: float) -> SeedRange:
    """Of the plan as bought. tokens_usd: [n], dollars beside fleets in each draw.

    Draws of another seed move every order statistic together, because all needs rise with demand: their errors add up.
    So do those of a model's rate in all regions, simulated with other arrivals; models are independent of each other,
    and of the draws. The last instance of a zone is there or not.
    """
    fleets: dict[str, Floats] = {}
    chips: dict[str, Floats] = {}
    for choice in base.own:
        usd = float(choice.usd(choice.bought(base.rules)).max())
        count = float(choice.bought(base.rules).chips)
        around = _around(inputs, choice)
        for kept, amount in ((fleets, usd), (chips, count)):
            before = kept.setdefault(choice.service.model, np.zeros((2, 3)))
            kept[choice.service.model] = before + amount * around
    tokens = budget_usd - base.fleets_usd
    beside = np.zeros((2, 3))
    beside[:, 0] = np.abs(np.array(_order_interval(tokens_usd, tokens)) - tokens)
    bought = sum(float(choice.bought(base.rules).chips) for choice in base.own)
    return SeedRange(
        _interval(bought, chips), _interval(base.fleets_usd, fleets), _interval(budget_usd, fleets | {"": beside})
    )


def _around(inputs: PlanInputs, choice: SelfHostedChoice) -> Floats:
    """[below and above, cause]: shares of a fleet that draws, its rate, and whole instances may take or add."""
    n, rules = inputs.scenario.capacity.draws, inputs.scenario.capacity.resilience
    bought = choice.load_per_s * choice.bought_over_p50
    need = choice.load_at_middle_rate(inputs.draws) * np.ones(n)
    limited = bought >= choice.most_per_s * (1 - 1e-9)
    low, high = (bought, bought) if limited else _order_interval(need, bought)
    rate = 0.0 if limited else math.exp(Z_OTHER * choice.service.surface_error) - 1
    step = rules.zones / max(int(choice.bought(rules).instances), 1)
    return np.array([[1 - low / bought, 1 - 1 / (1 + rate), step], [high / bought - 1, rate, step]])


def _order_interval(values: Floats, value: float) -> tuple[float, float]:
    """Around an order statistic, the values whose ranks are as far away as a binomial count may be."""
    ordered = np.sort(values)
    n, finite = len(ordered), int(np.isfinite(ordered).sum())
    rank = int(np.searchsorted(ordered, value, side="right"))
    half = Z_OTHER * math.sqrt(max(rank * (n - rank) / n, 1.0))
    low, high = (min(max(place, 1), max(finite, 1)) for place in (math.floor(rank - half), math.ceil(rank + half)))
    return min(float(ordered[low - 1]), value), max(float(ordered[high - 1]), value)


def _interval(middle: float, parts: Mapping[str, Floats]) -> Interval:
    """Draws' errors add up over models; those of rates and of whole instances are independent of all others."""
    every = np.array(list(parts.values())) if parts else np.zeros((1, 2, 3))
    together = every[:, :, 0].sum(axis=0) ** 2 + (every[:, :, 1:] ** 2).sum(axis=(0, 2))
    low, high = np.sqrt(together)
    return Interval(max(0.0, middle - float(low)), middle + float(high))
