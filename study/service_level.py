"""Does what a plan buys carry its service level in draws of another seed? A table for docs/validation.md.

python -m study.service_level prime_day smoke
"""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np

from capacity.fleet.inputs import PlanInputs
from capacity.fleet.outcome import SelfHostedChoice
from capacity.fleet.service_level import Mask, short_of
from capacity.planner import plan_inputs
from capacity.purchase.joint import SizedPlan, simulated_services, size_supplies
from capacity.quotas.draws import overflow_draws, quota_draws
from neuron_bench.fit.published import step_models
from scenarios.loading import load_scenario
from scenarios.schema import Scenario

LEVELS = (0.5, 0.8, 0.9, 0.95)
FRESH_DRAWS, FRESH_SEED = 4_000, 777


def inputs_of(scenario: Scenario, seed: int, **capacity: float) -> PlanInputs:
    """A scenario without a run, on published step times, with some keys of `capacity` changed."""
    changed = scenario.model_copy(update={"capacity": scenario.capacity.model_copy(update=capacity)})
    return plan_inputs(changed, None, [*step_models().values()], None, seed)


def carried(sizes: SizedPlan, fresh: PlanInputs) -> tuple[Mask, Mask, Mask]:
    """Fresh draws in which no fleet, no quota ask, and not the budget, falls short."""
    fleets = quotas = np.ones(FRESH_DRAWS, dtype=bool)
    there = [_there(choice, fresh) for choice in sizes.base.own]
    for choice in there:
        if choice.overflow is None:
            bought = choice.load_per_s * choice.bought_over_p50
            fleets = fleets & (choice.load_at_middle_rate(fresh.draws) <= bought * (1 + 1e-9))
    for supply in sizes.supplies:
        if supply.quotas:
            drawn = quota_draws(fresh, supply.model, supply.region)
            for choice in there:
                if choice.overflow and (choice.overflow.target, choice.region) == (supply.model, supply.region):
                    drawn = drawn.plus(overflow_draws(fresh, choice))
            quotas = quotas & np.all([drawn.needs[need.kind] <= need.ask for need in supply.quotas], axis=0)
    spent = (
        sizes.base.fleets_usd + fresh.base(there).bedrock_usd(fresh.draws) + fresh.base(there).overflow_usd(fresh.draws)
    )
    return fleets, quotas, np.asarray(spent <= sizes.budget_usd)


def _there(choice: SelfHostedChoice, fresh: PlanInputs) -> SelfHostedChoice:
    """The bought fleet before the fresh draws' own demand."""
    load = fresh.carried_per_s(choice.service.model, choice.region).p50
    bought = choice.load_per_s * choice.bought_over_p50
    return replace(choice, load_per_s=load, bought_over_p50=bought / load)


def main(names: list[str]) -> None:
    """Print a row a scenario and level."""
    for name in names:
        scenario = load_scenario(name)
        fresh = inputs_of(scenario, FRESH_SEED, draws=FRESH_DRAWS)
        planned = inputs_of(scenario, 1)
        simulated = simulated_services(planned)
        for level in LEVELS:
            sizes = size_supplies(planned.at_level(level), simulated=simulated)
            parts = carried(sizes, fresh)
            shares = [short_of(~part) for part in (np.all(parts, axis=0), *parts)]
            cells = [f"{share.value:.1%} ({share.low:.1%} to {share.high:.1%})" for share in shares]
            print(f"| {name} | {level:.0%} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
