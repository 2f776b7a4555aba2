"""What a plan advises about caching and routing."""

import pytest

from tests.capacity.runs import run
from tests.capacity.scenario_of import scenario
from tests.capacity.test_plan_small import SHORT, plan


@pytest.fixture(scope="module")
def made():
    return plan()


def advised(plan, level):
    return next(row for row in plan.cache_advice if row.level == level)


def test_a_busy_shared_prefix_is_worth_five_minutes(made):
    row = advised(made, "shared")
    assert row.choice == "5m"
    assert row.usd_per_mtok["5m"] < row.usd_per_mtok["none"]


def test_a_prefix_asked_for_once_an_hour_is_not_worth_caching_for_five_minutes():
    rare = plan(scenario(**SHORT, demand__interactions__peak_per_s=1 / 3600))
    row = advised(rare, "shared")
    assert row.choice == "none"
    assert row.hit_ratio["5m"] < 0.2


def test_slow_thinkers_need_an_hour():
    """Waits of a median quarter of an hour outlive five minutes."""
    slow = {"mix__think_s": {"median": "15m", "cv": 0.3}, "mix__turns_per_interaction": {"mean": 6.0, "max": 12}}
    row = advised(plan(scenario(**SHORT, **slow)), "conversation")
    assert row.hit_ratio["1h"] > row.hit_ratio["5m"] + 0.2


def test_the_customers_part_has_a_row_of_its_own(made):
    """The minimum counts the shared prefix before it."""
    levels = [row.level for row in made.cache_advice if row.model == "claude-sonnet"]
    assert levels == ["shared", "customer", "conversation"]


def test_a_plans_hits_are_those_its_advice_counts_with(made):
    """One replay behind both: at the lifetime that is planned they say the same."""
    ratios = {(row.model, row.level): row.ratio for row in made.hit_rates}
    for row in made.cache_advice:
        planned = ratios[row.model, row.level]
        assert row.hit_ratio["5m"] == pytest.approx(planned.mid, abs=0.03)
        assert planned.low <= row.hit_ratio["5m"] <= planned.high


def test_no_customer_part_has_no_row():
    tokens = SHORT["capacity__assumed_tokens"] | {"customer_prefix_tokens": 0}
    bare = plan(scenario(**(SHORT | {"capacity__assumed_tokens": tokens})))
    assert {row.level for row in bare.cache_advice} == {"shared", "conversation"}


def test_routing_shows_what_quality_costs(made):
    rows = {row.policy: row for row in made.routing}
    assert rows["all claude-sonnet"].acceptable_ratio > rows["as planned"].acceptable_ratio
    assert rows["all nova-2-lite"].usd_per_interaction < rows["all claude-sonnet"].usd_per_interaction
    assert all(row.provenance == "assumed" for row in made.routing)


def test_routing_shows_seconds_beside_quality_and_dollars_where_a_run_timed_the_models():
    """A run of one model tells its own seconds, and not those of models it never called."""
    rows = {row.policy: row.seconds_per_call for row in plan(run=run(e2e_s=3.0)).routing}
    assert rows["all claude-sonnet"] == pytest.approx(3.0)
    assert rows["as planned"] is None
    assert all(row.seconds_per_call is None for row in plan().routing)
