"""A smaller fleet and a Bedrock model for what is beyond it, where the scenario states no chain: what it would cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from capacity.fleet.fallback_chain import next_models, overflow_of
from capacity.fleet.inputs import PlanInputs
from capacity.fleet.outcome import SelfHostedChoice
from capacity.fleet.service_level import order_statistic
from capacity.fleet.sizing import Hold, Period, held_for
from capacity.purchase.joint import ASKS_SHARE, SizedPlan
from capacity.quotas.draws import overflow_draws
from capacity.rows.money import SpillOption
from facts.reader import Quality
from scenarios.demand import INTERACTIONS

SHARES = np.linspace(0.0, 1.0, 26)
"""Fleets that are weighed, as shares of the load that the plan's fleet carries."""


def spill_options(sized: SizedPlan, qualities: Sequence[Quality]) -> tuple[SpillOption, ...]:
    """For every fleet that must carry all its calls, the one that is cheapest with its overflow on the next model."""
    inputs = sized.inputs
    own = [choice for choice in sized.base.own if choice.stream == INTERACTIONS and choice.overflow is None]
    names = list(dict.fromkeys(choice.service.model for choice in own))
    following = next_models(inputs, names, qualities, called=True)
    rows = []
    for choice in own:
        target = following.get(choice.service.model)
        if target is not None:
            way = overflow_of(inputs, choice.service.model, choice.region, target)
            rows.append(_cheapest(inputs, choice, replace(choice, overflow=way)))
    return tuple(rows)


def _cheapest(inputs: PlanInputs, planned: SelfHostedChoice, choice: SelfHostedChoice) -> SpillOption:
    """Newsvendor with the price of a call on Bedrock as the value of one that the fleet does not take."""
    rules, draws = inputs.scenario.capacity.resilience, inputs.draws
    best: tuple[float, Hold, SelfHostedChoice] | None = None
    for share in SHARES:
        hold = _hold(inputs, choice, choice.load_per_s * choice.bought_over_p50 * float(share))
        smaller = replace(choice, bought_over_p50=choice.bought_over_p50 * float(share), held=hold.held)
        usd = hold.usd + float(smaller.overflow_usd(draws).mean())
        if best is None or usd < best[0]:
            best = usd, hold, smaller
    assert best is not None
    usd, hold, smaller = best
    overflow = smaller.overflow
    assert overflow is not None
    asks = 1 - (1 - inputs.service_level) * ASKS_SHARE
    needs = overflow_draws(inputs, smaller).needs
    never = float(choice.overflow_usd(draws).mean())  # draws that the planned fleet is not counted on in
    return SpillOption(
        region=choice.region,
        model=choice.service.model,
        target=overflow.target,
        instance_type=choice.offer.instance.instance,
        instances=hold.instances,
        fleet_usd=hold.usd,
        calls=float(smaller.overflow_calls(draws).mean()),
        usd=usd,
        planned_usd=float(planned.usd(planned.bought(rules)).max()) + never,
        peak_calls_per_s=order_statistic(smaller.beyond_at_peak(draws) * np.ones(inputs.scenario.capacity.draws), asks),
        rpm=order_statistic(needs["rpm"], asks),
        tpm=order_statistic(needs["tpm"], asks),
    )


def _hold(inputs: PlanInputs, choice: SelfHostedChoice, load_per_s: float) -> Hold:
    period = Period(inputs.paid_s, inputs.begins_s, inputs.hourly(choice.stream, choice.region))
    rules, service = inputs.scenario.capacity.resilience, choice.service
    return held_for(load_per_s, service.rate_per_s, service.step, choice.offer, rules, period)
