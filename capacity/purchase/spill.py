"""A smaller fleet and a Bedrock model for what is beyond it: what the cheapest such purchase would cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from capacity.cost.hours import HourlyNeed
from capacity.fleet.fallback_chain import NextModel, next_models
from capacity.fleet.inputs import PlanInputs
from capacity.fleet.outcome import INTERACTIONS, SelfHostedChoice
from capacity.fleet.service_level import order_statistic
from capacity.fleet.sizing import Hold, Period, held_for
from capacity.plan import SpillOption
from capacity.purchase.joint import ASKS_SHARE, SizedPlan
from capacity.purchase.value import LostCalls
from capacity.quotas.quota import MINUTE_S
from facts.reader import Quality

SHARES = np.linspace(0.0, 1.0, 26)
"""Fleets that are weighed, as shares of the load that the plan's fleet carries."""


def spill_options(sized: SizedPlan, qualities: Sequence[Quality]) -> tuple[SpillOption, ...]:
    """For every fleet of an answering model, the fleet that is cheapest with its overflow on the next model."""
    own = [choice for choice in sized.base.own if choice.stream == INTERACTIONS]
    following = next_models(sized.inputs, list(dict.fromkeys(choice.service.model for choice in own)), qualities)
    return tuple(
        _cheapest(sized.inputs, choice, following[choice.service.model])
        for choice in own
        if choice.service.model in following
    )


def _cheapest(inputs: PlanInputs, choice: SelfHostedChoice, target: NextModel) -> SpillOption:
    """Newsvendor with the price of a call on Bedrock as the value of one that the fleet does not take."""
    rules, draws = inputs.scenario.capacity.resilience, inputs.draws
    n = inputs.scenario.capacity.draws
    need = choice.load_at_middle_rate(draws) * np.ones(n)
    load = choice.load(draws) * np.ones(n)
    lost = LostCalls(inputs, choice, need)
    never = _calls_at_peak(inputs, choice) * float((load * ~np.isfinite(need)).mean())
    planned = float(choice.usd(choice.bought(rules)).max())
    best: tuple[float, Hold, float, float] | None = None
    for share in SHARES:
        smaller = replace(choice, bought_over_p50=choice.bought_over_p50 * float(share))
        hold = _hold(inputs, smaller, choice.bought_over_p50)
        carries = smaller.carries_per_s(smaller.bought(rules), rules)
        calls = lost.beyond(carries) + never
        usd = hold.usd + calls * target.usd_per_call
        if best is None or usd < best[0]:
            best = (usd, hold, calls, carries)
    assert best is not None
    usd, hold, calls, carries = best
    beyond = np.where(np.isfinite(need), np.maximum(0.0, load * (1 - carries / np.maximum(need, 1e-12))), load)
    peak = order_statistic(beyond, 1 - (1 - inputs.service_level) * ASKS_SHARE)
    quota = inputs.prices.models[target.name].quota
    burndown = quota.output_burndown_ratio if quota else 1.0
    per_minute = peak * MINUTE_S
    tokens = target.prompt_tokens + target.output_tokens * burndown
    return SpillOption(
        region=choice.region,
        model=choice.service.model,
        target=target.name,
        instance_type=choice.offer.instance.instance,
        instances=hold.instances,
        fleet_usd=hold.usd,
        calls=calls,
        usd=usd,
        planned_usd=planned + never * target.usd_per_call,
        peak_calls_per_s=peak,
        rpm=per_minute,
        tpm=per_minute * tokens,
    )


def _hold(inputs: PlanInputs, smaller: SelfHostedChoice, planned_over_p50: float) -> Hold:
    """The smaller fleet over the event: in an hour what that hour of the plan's schedule needs, all of it at most."""
    hourly = inputs.hourly(smaller.stream, smaller.region)
    if hourly is not None and smaller.bought_over_p50 > 0:
        share = np.minimum(1.0, hourly.share * planned_over_p50 / smaller.bought_over_p50)
        hourly = HourlyNeed(share, hourly.lasts_h)
    period = Period(inputs.paid_s, inputs.begins_s, hourly)
    load, service = smaller.load_per_s * smaller.bought_over_p50, smaller.service
    rules = inputs.scenario.capacity.resilience
    return held_for(load, service.rate_per_s, service.step, smaller.offer, rules, period)


def _calls_at_peak(inputs: PlanInputs, choice: SelfHostedChoice) -> float:
    """Calls of the event over calls a second of its peak, in seconds."""
    timeline = inputs.demand[INTERACTIONS][choice.region].timeline
    rate = np.array(timeline.interactions_per_s_p50)
    seconds = np.diff(np.append(np.array(timeline.offset_s), inputs.scenario.event.length_s))
    return float((rate * seconds).sum() / max(float(rate.max()), 1e-300))
