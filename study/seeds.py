"""Do two seeds buy the same? Eight seeds of a plan, against the range that Monte Carlo and the surface's error give.

python -m study.seeds prime_day smoke
"""

from __future__ import annotations

import math
import sys

from capacity.fleet.uncertainty import Z_90
from capacity.purchase.joint import SizedPlan, simulated_services, size_supplies
from scenarios.loading import load_scenario
from study.service_level import inputs_of

SEEDS = range(1, 9)


def chips(sizes: SizedPlan) -> int:
    """All that is bought."""
    return sum(int(choice.bought(sizes.base.rules).chips) for choice in sizes.base.own)


def stated(sizes: SizedPlan, simulated: object) -> tuple[float, float]:
    """Factors below and above the budget at 90%: order statistics of the draws, and the error of rate and surface."""
    inputs = sizes.inputs
    level, draws = inputs.service_level, inputs.scenario.capacity.draws
    step = Z_90 * math.sqrt(level * (1 - level) / draws)
    ends = [
        size_supplies(inputs.at_level(level + sign * step), simulated=simulated).budget_usd  # type: ignore[arg-type]
        for sign in (-1, 1)
    ]
    error = Z_90 * max((choice.service.surface_error for choice in sizes.base.own), default=0.0)
    low, high = (abs(math.log(max(end, 1e-9) / sizes.budget_usd)) for end in ends)
    return math.exp(-math.hypot(low, error)), math.exp(math.hypot(high, error))


def main(names: list[str]) -> None:
    """Print a row a scenario: the budget and chips of seed 1, its range, and those of all seeds."""
    for name in names:
        made, around = [], (1.0, 1.0)
        for seed in SEEDS:
            inputs = inputs_of(load_scenario(name), seed)
            simulated = simulated_services(inputs)
            sizes = size_supplies(inputs, simulated=simulated)
            if seed == 1:
                around = stated(sizes, simulated)
            made.append((sizes.budget_usd, chips(sizes)))
        budgets = [usd for usd, _ in made]
        low, high = (budgets[0] * factor for factor in around)
        inside = sum(low <= usd <= high for usd in budgets)
        counts = [count for _, count in made]
        print(
            f"| {name} | {budgets[0]:,.0f} ({low:,.0f} to {high:,.0f}) | {min(budgets):,.0f} to {max(budgets):,.0f} | "
            f"{inside} of {len(budgets)} | {min(counts):,} to {max(counts):,} |",
            flush=True,
        )


if __name__ == "__main__":
    main(sys.argv[1:])
