"""How much to hold beyond the median, against what can be worked out by hand."""

from dataclasses import replace
from math import ceil

import numpy as np
import pytest

from capacity.fleet.headroom import minimax_regret_option, worthwhile_option
from capacity.fleet.outcome import Multipliers
from capacity.planner import plan_inputs, size_supplies
from scenarios.demand import INTERACTIONS
from tests.capacity.models import llama_8b
from tests.capacity.scenario_of import scenario
from tests.capacity.test_plan_small import SHORT

ONE_REGION = {"event__regions": {"us-east-1": {"share": 1.0, "time_zone": "America/New_York"}}}
FLAT = {"demand__interactions__shape": {"kind": "constant"}}


def sized(demand, **rules):
    """A case of one region, one flat rate, and draws of demand alone; and its one choice of self-hosted chips."""
    resilience = {"zones": 3, "zones_lost": 1, "drain_ratio": 0.1, "broken_ratio": 0.0} | rules
    what = scenario(**SHORT, **ONE_REGION, **FLAT, capacity__resilience=resilience)
    case = plan_inputs(what, None, [llama_8b()], None, 1)
    (choice,) = [choice for made in size_supplies(case).sized for choice in made.choices]
    return replace(case, draws=Multipliers(demand={INTERACTIONS: np.asarray(demand)})), choice


def calls_of_a_calling_interaction(case, model):
    """Counted one by one: calls of a model over the interactions that have any."""
    calls = case.calls
    asked = [
        int(calls.turn_interaction[turn]) for turn, name in zip(calls.turn, calls.model, strict=True) if name == model
    ]
    return len(asked) / len(set(asked))


@pytest.mark.parametrize("retries", [0.0, 0.6])
def test_what_is_worth_it_is_the_newsvendors_quantile(retries):
    """Demand uniform from 0.5 to 1.5 of the median: P(demand > x) is what a replica costs over what it is worth."""
    case, choice = sized(np.linspace(0.5, 1.5, 2_001), retry_extra_attempts=retries)
    value, spare = 0.006, 1.5 / 0.9  # 3 zones of which 1 may be lost; a tenth drains
    m = choice.service.rate_per_s / (1 + retries)
    replica_usd = spare * choice.offer.usd_per_hour * choice.billed_hours * 4 / 12  # 4 of an instance's 12 chips
    call_usd = value / calls_of_a_calling_interaction(case, "custom-8b")
    short = replica_usd / (call_usd * m * case.scenario.event.length_s)
    assert 0.05 < short < 0.9, short
    working = choice.load_per_s / m * (1.5 - short)
    assert worthwhile_option(case, choice, value).replicas == 3 * ceil(working * spare / 3)


@pytest.mark.parametrize("rule", [worthwhile_option, minimax_regret_option])
def test_a_certain_demand_of_dear_interactions_is_held_as_fleets_are_sized(rule):
    """Retries, spare zones and drained hosts are carried by every rule as by the plan's own fleet."""
    case, choice = sized([1.0], retry_extra_attempts=0.6)
    fleet = choice.needed(Multipliers(), case.scenario.capacity.resilience, at_level=False)
    assert rule(case, choice, 1e6).replicas == int(fleet.replicas[0])


def test_interactions_that_never_call_a_model_do_not_raise_the_worth_of_those_that_do():
    case, _ = sized([1.0])
    assert case.calls.per_calling_interaction("custom-8b") == pytest.approx(
        calls_of_a_calling_interaction(case, "custom-8b")
    )
    assert case.calls.per_calling_interaction("custom-8b") > case.calls.per_interaction("custom-8b")
    assert case.calls.per_calling_interaction("nobody") == 0
