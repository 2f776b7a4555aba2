"""Limits that are no one model's: the account's tokens a day, AgentCore's sessions and calls, and what those cost."""

import pytest

from capacity.cost.agentcore import usd_per_interaction, use_of
from capacity.demand.calls import assumed_calls
from facts.account import Held, QuotaRow
from facts.reader import models
from scenarios.objectives import AgentCore
from tests.capacity.scenario_of import scenario
from tests.capacity.test_plan_small import SHORT, plan

AGENT = {"capacity__meters": {"agentcore": {"memory_gb": 1.0, "limits": {"tool_calls_per_s": 5.0}}}}
DAY = QuotaRow("bedrock", "us-east-1", "L-4", "Cross-Model Max Tokens Per Day", 1e6, None, True)


@pytest.fixture(scope="module")
def made():
    return plan(scenario(**SHORT, **AGENT), held=Held("quotas.yaml of 2026-11-01", (DAY,)))


def need_of(made, kind, region="us-east-1"):
    return next(n for n in made.account_needs if (n.kind, n.region) == (kind, region))


def test_tokens_a_day_of_the_account_are_the_sum_over_its_models(made):
    """Each model's busiest day, added up; a region without that row has no such limit; far short, it leads."""
    day = need_of(made, "account_tpd")
    rows = [q for s in made.supplies if s.region == "us-east-1" for q in s.quotas if q.kind == "tpd"]
    assert day.needed.p90 == pytest.approx(sum(q.needed_settlement.p90 for q in rows))
    assert day.needed.p90 < day.needed.bought <= sum(q.needed_settlement.at_level for q in rows) * 1.05
    assert (day.granted, day.source) == (1e6, "quotas.yaml of 2026-11-01, us-east-1 (L-4)")
    assert [n.region for n in made.account_needs if n.kind == "account_tpd"] == ["us-east-1"]
    assert made.first_limit_exceeded.startswith("account_tpd of ")


def test_the_scenarios_own_day_of_the_account_counts_before_the_pulled_one():
    stated = plan(scenario(**SHORT, quotas={"account": {"tpd": 7e6}}), held=Held("pull", (DAY,)))
    assert need_of(stated, "account_tpd").source == "scenario: quotas.account"
    assert need_of(stated, "account_tpd", "us-west-2").granted == 7e6


def test_active_sessions_follow_from_arrivals_and_lengths(made):
    """Little's law: new sessions a second x the seconds one lives, its idle quarter of an hour included."""
    what = scenario(**SHORT, **AGENT)
    use = use_of(what, AgentCore(), assumed_calls(what, models(), seed=1), 1)
    assert 900 < use.lives_s < 28_800
    new, active = need_of(made, "new_sessions_per_s"), need_of(made, "active_sessions")
    assert active.needed.p90 == pytest.approx(new.needed.p90 * use.lives_s, rel=0.02)
    assert (new.granted, active.granted) == (25.0, 5_000.0)
    assert need_of(made, "active_sessions", "us-west-2").granted == 5_000.0
    tools = need_of(made, "tool_calls_per_s")
    assert (tools.granted, tools.source) == (5.0, "scenario: capacity.meters.agentcore.limits")


def test_asking_for_them_adds_no_draw_that_falls_short(made):
    alone = plan(scenario(**SHORT))
    assert made.service.short.value <= alone.service.short.value + 0.02
    for need in made.account_needs:
        assert need.short.value <= made.service.short.value


def test_the_runtime_is_in_the_cost_at_its_own_price(made):
    """An hour of one processor at 20%, a gigabyte for as long as a session lives, and each tool call: by hand."""
    what = scenario(**SHORT, **AGENT)
    agent = AgentCore(memory_gb=1.0)
    use = use_of(what, agent, assumed_calls(what, models(), seed=1), 1)
    usd = usd_per_interaction(use, agent)
    by_hand = use.sessions * (use.works_s / 3600 * 0.2 * 0.0895 + use.lives_s / 3600 * 0.00945)
    assert usd["agent runtime"] == pytest.approx(by_hand)
    assert usd["agent gateway"] == pytest.approx(use.tool_calls * 0.005 / 1_000)
    line = next(line for line in made.cost if line.intent == "all")
    assert line.parts_usd["agent runtime"] == pytest.approx(by_hand, rel=0.02)
