"""The service level that pays: where the last dollar of a fleet still saves a dollar of interactions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from capacity.fleet.headroom import Above
from capacity.fleet.inputs import PlanInputs
from capacity.fleet.outcome import SelfHostedChoice
from capacity.fleet.service_level import JointLevel
from capacity.simulator.requests import Floats
from scenarios.demand import INTERACTIONS

CANDIDATES = np.round(np.arange(0.5, 0.991, 0.01), 2)
"""Levels that are weighed; a level beyond them would rest on fewer than ten draws of a thousand."""


def level_by_value(
    inputs: PlanInputs, choices: Sequence[SelfHostedChoice], joint_at: Callable[[float], JointLevel]
) -> float | None:
    """The level whose fleets and expected loss together cost least; None without a value or without a fleet to weigh.

    Newsvendor over the joint draws: what all fleets of answering models cost at the level, and the value of the
    interactions that they do not carry over the event's timeline, in the mean of the draws. Quota asks cost nothing
    and follow the level. Draws that no fleet can serve lose the same at every level.
    """
    value = inputs.scenario.capacity.value_per_interaction_usd
    weighed = [choice for choice in choices if choice.stream == INTERACTIONS and choice.load_per_s > 0]
    if value is None or not weighed:
        return None
    total = np.zeros(len(CANDIDATES))
    joints = [joint_at(float(level)) for level in CANDIDATES]
    rules = inputs.scenario.capacity.resilience
    for choice in weighed:
        need = choice.load_at_middle_rate(inputs.draws) * np.ones(inputs.scenario.capacity.draws)
        lost = LostCalls(inputs, choice, need)
        per_call_usd = value / inputs.calls.per_calling_interaction(choice.service.model)
        for place, joint in enumerate(joints):
            bought = replace(choice, bought_over_p50=joint.of(need) / choice.load_per_s)
            fleet = bought.bought(rules)
            carries = bought.carries_per_s(fleet, rules)
            total[place] += float(choice.usd(fleet).max()) + per_call_usd * lost.beyond(carries)
    return float(CANDIDATES[int(np.argmin(total))])


class LostCalls:
    """Mean calls of the event that a fleet does not carry, over the draws in which it could."""

    def __init__(self, inputs: PlanInputs, choice: SelfHostedChoice, need: Floats) -> None:
        """need: [n] calls a second of the peak, were a replica to serve its middle rate; inf: nothing serves them."""
        timeline = inputs.demand[INTERACTIONS][choice.region].timeline
        seconds = np.diff(np.append(np.array(timeline.offset_s), inputs.scenario.event.length_s))
        shape = np.array(timeline.interactions_per_s_p50)
        self._above = Above(shape / shape.max(), seconds)
        self._need = need[np.isfinite(need)]
        slower = self._need / (choice.load(inputs.draws) * np.ones(len(need)))[np.isfinite(need)]
        self._weight = self._need / slower / len(need)

    def beyond(self, carries_per_s: float) -> float:
        """Calls above what is carried; carries_per_s: at the middle rate."""
        return float(self._weight @ self._above.excess(carries_per_s / self._need))
