"""How much to hold beyond the median: what each further quantile costs, and how much pays when a loss has a price."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from capacity.case import Case
from capacity.outcome import INTERACTIONS, Levers, OwnChoice
from capacity.requests import Floats
from scenarios.schema import Resilience

QUANTILES = (0.9, 0.95, 0.99)


@dataclass(frozen=True)
class Hold:
    """Replicas, chips and dollars of one rule for one model in one region."""

    rule: str
    region: str
    model: str
    replicas: int
    chips: int
    usd: float


def quantile_holds(choice: OwnChoice, draws: Levers, rules: Resilience) -> list[Hold]:
    """The fleet that covers p90, p95 and p99 of the joint draws: what each nine costs."""
    sized = choice.needed(draws, rules, at_p90=False)
    usd = choice.usd(sized)
    order = np.argsort(sized.chips, kind="stable")
    holds = []
    for quantile in QUANTILES:
        place = order[min(len(order) - 1, int(np.ceil(quantile * len(order))) - 1)]
        rule = f"p{round(quantile * 100)} of the draws"
        holds.append(_hold(rule, choice, int(sized.replicas[place]), int(sized.chips[place]), float(usd[place])))
    return holds


def worthwhile_hold(case: Case, choice: OwnChoice, value_per_interaction_usd: float) -> Hold:
    """Replicas while the interactions the last one saves are worth more than it costs, over the joint draws.

    A replica more saves m calls in every second in which demand exceeds what the others carry:
    value x m x E[seconds with lambda(t) > N m] against its price for the event.
    """
    rules = case.scenario.capacity.resilience
    need, seconds = _replica_need(case, choice)
    spare = rules.zones / (rules.zones - rules.zones_lost) / (1 - rules.drain_ratio - rules.broken_ratio)
    per_replica_usd = (
        spare * choice.box.usd_per_hour * choice.billed_hours * choice.service.step.chips_per_replica
    ) / choice.box.instance.chips
    value_per_call = value_per_interaction_usd / case.calls.per_interaction(choice.service.model)
    worth_while_s = per_replica_usd / (value_per_call * choice.service.rate_per_s)
    order = np.argsort(need, axis=None)
    above_s = np.cumsum(np.broadcast_to(seconds[:, None], need.shape).ravel()[order][::-1])[::-1] / need.shape[1]
    enough = np.flatnonzero(above_s <= worth_while_s)
    working = float(need.ravel()[order][enough[0]]) if len(enough) else float(need.max())
    per_zone = max(1, int(np.ceil(round(working * spare / rules.zones, 9))))
    sized = choice.holding(per_zone, rules)
    rule = f"worth {value_per_interaction_usd:g} USD an interaction"
    return _hold(rule, choice, int(sized.replicas), int(sized.chips), float(choice.usd(sized)))


def _replica_need(case: Case, choice: OwnChoice) -> tuple[Floats, Floats]:
    """Working replicas needed [points, draws] over the timeline, and how long each point lasts [points]."""
    timeline = case.demand[INTERACTIONS][choice.region].timeline
    offset_s = np.array(timeline.offset_s)
    seconds = np.diff(np.append(offset_s, case.scenario.event.length_s))
    shape = np.array(timeline.interactions_per_s_p50) / max(timeline.interactions_per_s_p50)
    load = choice.load_per_s * choice.peak_ratio(case.draws) * case.draws.turns
    return np.outer(shape, load / choice.service.rate_over(case.draws)), seconds


def _hold(rule: str, choice: OwnChoice, replicas: int, chips: int, usd: float) -> Hold:
    return Hold(rule, choice.region, choice.service.model, replicas, chips, usd)
