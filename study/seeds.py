"""Do two seeds buy the same? Eight seeds of a plan, against the range between seeds that seed 1 states.

python -m study.seeds prime_day smoke
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from capacity.purchase.joint import SizedPlan, size_supplies
from capacity.rows.figures import Interval
from scenarios.loading import load_scenario
from study.service_level import inputs_of

SEEDS = range(1, 9)


def chips(sizes: SizedPlan) -> int:
    """All that is bought."""
    return sum(int(choice.bought(sizes.base.rules).chips) for choice in sizes.base.own)


def main(names: list[str]) -> None:
    """Print a row a scenario: the budget and chips of seed 1, its range, and those of all seeds."""
    for name in names:
        made = [size_supplies(inputs_of(load_scenario(name), seed)) for seed in SEEDS]
        budgets = _cells([sizes.budget_usd for sizes in made], made[0].range.budget_usd)
        counts = _cells([chips(sizes) for sizes in made], made[0].range.chips)
        print(f"| {name} | {budgets} | {counts} |", flush=True)


def _cells(values: Sequence[float], around: Interval) -> str:
    """Of seed 1 with its range, of all seeds, and how many lie within."""
    inside = sum(around.low <= value <= around.high for value in values)
    stated = f"{values[0]:,.0f} ({around.low:,.0f} to {around.high:,.0f})"
    return f"{stated} | {min(values):,.0f} to {max(values):,.0f} | {inside} of {len(values)}"


if __name__ == "__main__":
    main(sys.argv[1:])
