"""How much to option beyond the median: what each further quantile costs, and how much pays when a loss has a price."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from capacity.fleet.inputs import PlanInputs
from capacity.fleet.outcome import Multipliers, SelfHostedChoice
from capacity.rows.fleet import HeadroomOption
from capacity.simulator.requests import Floats
from scenarios.demand import INTERACTIONS
from scenarios.schema import Resilience

QUANTILES = (0.5, 0.9, 0.95, 0.99)
CANDIDATES = np.linspace(0.02, 1.0, 50)
"""Fleets that minimax regret chooses among, as quantiles of the need."""


def quantile_options(choice: SelfHostedChoice, draws: Multipliers, rules: Resilience) -> list[HeadroomOption]:
    """The fleet that covers p50, p90, p95 and p99 of the joint draws: what each nine costs."""
    sized = choice.needed(draws, rules, at_level=False)
    usd = choice.usd(sized)
    order = np.argsort(sized.chips, kind="stable")
    options = []
    for quantile in QUANTILES:
        place = order[min(len(order) - 1, int(np.ceil(quantile * len(order))) - 1)]
        rule = f"p{round(quantile * 100)} of the draws"
        options.append(_option(rule, choice, int(sized.replicas[place]), int(sized.chips[place]), float(usd[place])))
    return _with_steps(options)


def spare_options(choice: SelfHostedChoice, rules: Resilience, region_factor: float) -> list[HeadroomOption]:
    """The bought fleet with nothing spare, then with each thing that may fail: what headroom costs.

    region_factor: what the region carries over its own demand because another may be lost; 1 where none may.
    """
    bare = rules.model_copy(update={"zones_lost": 0, "drain_ratio": 0.0, "broken_ratio": 0.0})
    zones = rules.model_copy(update={"drain_ratio": 0.0, "broken_ratio": 0.0})
    alone = replace(choice, load_per_s=choice.load_per_s / region_factor)
    series = [
        ("bought, nothing may fail", alone, bare),
        (f"bought, {rules.zones_lost} of {rules.zones} zones may be lost", alone, zones),
        ("bought, and hosts drain or break", alone, rules),
        ("bought, and a region may be lost", choice, rules),
    ]
    options = []
    for rule, which, held in series[: 4 if region_factor > 1 else 3]:
        sized = which.needed(Multipliers(), held, at_level=True)
        usd = float(choice.usd(sized).max())
        options.append(_option(rule, choice, int(sized.replicas.max()), int(sized.chips.max()), usd))
    return _with_steps(options)


def _with_steps(options: list[HeadroomOption]) -> list[HeadroomOption]:
    return [
        replace(option, usd_more=option.usd - options[place - 1].usd) if place else option
        for place, option in enumerate(options)
    ]


def minimax_regret_option(
    inputs: PlanInputs, choice: SelfHostedChoice, value_per_interaction_usd: float
) -> HeadroomOption:
    """The fleet whose worst regret over the joint draws is smallest.

    Regret of a fleet in a draw: its cost and the value of what it cannot serve, less the same of the fleet that would
    have been best in that draw. Newsvendor minimises the mean; this guards against any one future.
    """
    rules = inputs.scenario.capacity.resilience
    shape, peak, seconds = _replica_need(inputs, choice)
    value_per_call = value_per_interaction_usd / inputs.calls.per_calling_interaction(choice.service.model)
    spare = rules.zones / (rules.zones - rules.zones_lost) / (1 - rules.drain_ratio - rules.broken_ratio)
    per_zone = np.unique(np.ceil(np.quantile(peak, CANDIDATES) * spare / rules.zones)).astype(int)
    per_zone = np.maximum(1, per_zone)
    working = per_zone * rules.zones / spare
    sized = [choice.holding(int(count), rules) for count in per_zone]
    rate = choice.service.rate_over(inputs.draws) / (1 + rules.retry_extra_attempts)
    above = Above(shape, seconds)
    lost_usd = np.stack([peak * above.excess(n / peak) for n in working])
    total_usd = lost_usd * rate * value_per_call + np.array([float(choice.usd(each)) for each in sized])[:, None]
    best = int(np.argmin((total_usd - total_usd.min(axis=0)).max(axis=1)))
    rule = f"minimax regret at {value_per_interaction_usd:g} USD an interaction"
    return _option(rule, choice, int(sized[best].replicas), int(sized[best].chips), float(choice.usd(sized[best])))


def worthwhile_option(inputs: PlanInputs, choice: SelfHostedChoice, value_per_interaction_usd: float) -> HeadroomOption:
    """Replicas while the interactions the last one saves are worth more than it costs, over the joint draws.

    A replica more saves m calls in every second in which demand exceeds what the others carry:
    value x m x E[seconds with lambda(t) > N m] against its price for the event; m = its rate / (1 + retry).
    """
    rules = inputs.scenario.capacity.resilience
    shape, peak, seconds = _replica_need(inputs, choice)
    need = np.outer(shape, peak)
    spare = rules.zones / (rules.zones - rules.zones_lost) / (1 - rules.drain_ratio - rules.broken_ratio)
    per_replica_usd = (
        spare * choice.offer.usd_per_hour * choice.billed_hours * choice.service.step.chips_per_replica
    ) / choice.offer.instance.chips
    value_per_call = value_per_interaction_usd / inputs.calls.per_calling_interaction(choice.service.model)
    saved_per_s = choice.service.rate_per_s / (1 + rules.retry_extra_attempts)
    worth_while_s = per_replica_usd / (value_per_call * saved_per_s)
    order = np.argsort(need, axis=None)
    above_s = np.cumsum(np.broadcast_to(seconds[:, None], need.shape).ravel()[order][::-1])[::-1] / need.shape[1]
    enough = np.flatnonzero(above_s <= worth_while_s)
    working = float(need.ravel()[order][enough[0]]) if len(enough) else float(need.max())
    per_zone = max(1, int(np.ceil(round(working * spare / rules.zones, 9))))
    sized = choice.holding(per_zone, rules)
    rule = f"worth {value_per_interaction_usd:g} USD an interaction"
    return _option(rule, choice, int(sized.replicas), int(sized.chips), float(choice.usd(sized)))


class Above:
    """What a timeline spends above a share of its peak; shape, seconds: [points]."""

    def __init__(self, shape: Floats, seconds: Floats) -> None:
        """shape: over the peak."""
        order = np.argsort(shape)
        self._shape = shape[order]
        self._seconds = np.append(np.cumsum(seconds[order][::-1])[::-1], 0.0)
        self._areas = np.append(np.cumsum((seconds[order] * self._shape)[::-1])[::-1], 0.0)

    def excess(self, share: Floats) -> Floats:
        """Sum of seconds times what the shape is above each share, any shape: a suffix of a sorted sum."""
        place = np.searchsorted(self._shape, share, side="right")
        return np.asarray(self._areas[place] - share * self._seconds[place])


def _replica_need(inputs: PlanInputs, choice: SelfHostedChoice) -> tuple[Floats, Floats, Floats]:
    """Shape of the timeline over its peak [points], working replicas needed at the peak [draws], seconds [points]."""
    timeline = inputs.demand[INTERACTIONS][choice.region].timeline
    offset_s = np.array(timeline.offset_s)
    seconds = np.diff(np.append(offset_s, inputs.scenario.event.length_s))
    shape = np.array(timeline.interactions_per_s_p50) / max(timeline.interactions_per_s_p50)
    retried = 1 + inputs.scenario.capacity.resilience.retry_extra_attempts
    load = choice.load_per_s * choice.peak_ratio(inputs.draws) * inputs.draws.turns * retried
    return shape, load / choice.service.rate_over(inputs.draws), seconds


def _option(rule: str, choice: SelfHostedChoice, replicas: int, chips: int, usd: float) -> HeadroomOption:
    return HeadroomOption(rule, choice.region, choice.service.model, replicas, chips, usd)
