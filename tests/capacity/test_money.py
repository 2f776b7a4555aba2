"""What calls cost: writes by lifetime, classes without a price, and an event that adds up in print."""

import dataclasses

import numpy as np
import pytest

from capacity.cost.interaction import bedrock_spend, call_costs
from capacity.demand.calls import assumed_calls
from capacity.plan import PlanError
from capacity.planner import make_plan
from facts.reader import models
from neuron_bench.fit.published import step_models
from scenarios.loading import load_scenario
from tests.capacity.scenario_of import scenario

SONNET = {"assistant__policy": {"simple": "claude-sonnet", "complex": "claude-sonnet"}}
HOUR = {"assistant__cache_ttl": {"shared": "1h"}}


def calls_of(**changes):
    return assumed_calls(scenario(**SONNET, **changes), models(), seed=1, interactions=500)


def test_only_the_levels_that_ask_for_an_hour_are_written_for_an_hour():
    """Shared 1h: the 2,400 shared tokens when they are cold; customer and conversation stay at 5m."""
    five, hour = (
        calls_of(demand__interactions__peak_per_s=1e-9),
        calls_of(demand__interactions__peak_per_s=1e-9, **HOUR),
    )
    assert five.cache_write_tokens_1h.sum() == 0
    assert set(np.unique(hour.cache_write_tokens_1h)) == {0, 2_400}
    assert (hour.cache_write_tokens_5m + hour.cache_write_tokens_1h == five.cache_write_tokens_5m).all()


def test_a_model_without_an_hour_writes_for_five_minutes():
    nova = {"assistant__policy": {"simple": "nova-pro", "complex": "nova-pro"}}
    found = assumed_calls(scenario(**nova, **HOUR), models(), seed=1, interactions=500)
    assert found.cache_write_tokens_1h.sum() == 0 < found.cache_write_tokens_5m.sum()


def test_a_lost_hit_is_written_again_for_its_levels_lifetime():
    what, found = scenario(**SONNET, **HOUR), calls_of(**HOUR)
    sonnet = models()["claude-sonnet"].prices
    long = np.minimum(found.cache_read_tokens, found.shared_tokens).sum()
    short = found.cache_read_tokens.sum() - long
    usd = (long * sonnet.cache_write_1h_usd_per_mtok + short * sonnet.cache_write_5m_usd_per_mtok) / 1e6
    spend = bedrock_spend(found, models(), found.interactions, what.assistant.cache_ttl)["claude-sonnet"]
    assert spend.rewrite == pytest.approx(usd)


@pytest.mark.parametrize("price", ["cache_read_usd_per_mtok", "cache_write_5m_usd_per_mtok"])
def test_tokens_of_a_class_without_a_price_are_refused_not_given_away(price):
    known = models()
    sonnet = known["claude-sonnet"]
    known["claude-sonnet"] = dataclasses.replace(sonnet, prices=dataclasses.replace(sonnet.prices, **{price: None}))
    with pytest.raises(PlanError, match=f"no {price}"):
        call_costs(calls_of(), known, {})


def test_a_class_that_no_call_uses_needs_no_price():
    known = models()
    sonnet = known["claude-sonnet"]
    free = dataclasses.replace(sonnet.prices, cache_write_1h_usd_per_mtok=None)
    known["claude-sonnet"] = dataclasses.replace(sonnet, prices=free)
    priced = call_costs(calls_of(), models(), {}).total_usd
    assert call_costs(calls_of(), known, {}).total_usd.tolist() == priced.tolist()


def test_what_no_interaction_pays_for_is_named_and_the_event_adds_up():
    """Cost per interaction x interactions + the named rest = the event, for the shipped smoke scenario."""
    made = make_plan(
        load_scenario("smoke"), step_models=list(step_models().values()), now_utc="2026-11-23T00:00:00Z", version="1",
        plan_id="x",
    )  # fmt: skip
    (told,) = [line for line in made.warnings if "background searches" in line]
    named = float(told.split(" USD")[0].replace(",", ""))
    cost = next(line for line in made.cost if line.intent == "all").per_interaction_usd.mid
    chat = [s for s in made.supplies if s.model == "custom-8b"]
    interactions = sum(s.calls_in_event / s.calls_per_interaction for s in chat)
    assert cost * interactions + named == pytest.approx(made.event_cost_usd.mid, rel=0.01)
