"""Where a peak goes that is beyond what was bought or granted."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capacity.demand.calls import assumed_calls
from facts.reader import Quality, models
from tests.capacity.scenario_of import scenario
from tests.capacity.test_plan_small import SHORT, plan


def chains(made):
    """Tiers by region, model and level."""
    by_key = {}
    for row in made.fallback_chain:
        by_key.setdefault((row.region, row.model, row.level), []).append(row)
    return by_key


def shed(made, level="p90 of demand"):
    return sum(row.calls_per_s for row in made.fallback_chain if row.tier == "shed" and row.level == level)


def limited(rpm, **other):
    return scenario(**SHORT, quotas={"claude-sonnet": {"rpm": rpm, "tpm": None}}, **other)


@settings(max_examples=4)
@given(peak=st.floats(1, 100), rpm=st.floats(10, 2_000))
def test_every_call_of_a_peak_is_on_one_tier(peak, rpm):
    made = plan(limited(rpm, demand__interactions__peak_per_s=peak))
    calls = {(s.region, s.model): s.calls_per_s.p90 for s in made.supplies}
    for (region, model, level), tiers in chains(made).items():
        total = sum(row.calls_per_s for row in tiers)
        if level == "p90 of demand":
            assert total == pytest.approx(calls[region, model])
        assert sum(row.share for row in tiers) == pytest.approx(1.0)
        assert all(row.calls_per_s >= 0 for row in tiers)


def test_own_chips_carry_their_whole_p90_peak():
    for (_, model, level), tiers in chains(plan()).items():
        if model == "custom-8b" and level == "p90 of demand":
            assert [row.tier for row in tiers] == ["self-hosted chips"]


def test_more_quota_never_sheds_more():
    alone = {"assistant__fallback": {"max_hops": 1, "chains": {"claude-sonnet": ["nova-pro"]}}}
    few, more = (plan(limited(rpm, **alone)) for rpm in (60, 600))
    assert shed(more) < shed(few)
    assert shed(plan(limited(1e9))) == 0


def test_the_scenarios_chain_comes_before_the_proposed_one():
    stated = limited(60, assistant__fallback={"max_hops": 1, "chains": {"claude-sonnet": ["nova-pro"]}})
    targets = {row.to for row in plan(stated).fallback_chain if row.model == "claude-sonnet"}
    assert targets <= {"claude-sonnet", "nova-pro", ""}
    assert "nova-pro" in targets


def test_two_models_never_share_the_same_room_twice():
    """What nova-pro takes of others' calls stays within its requests a minute."""
    granted = {"claude-sonnet": {"rpm": 10, "tpm": None}, "nova-pro": {"rpm": 200}}
    made = plan(scenario(**SHORT, quotas=granted, demand__interactions__peak_per_s=100))
    for region in ("us-east-1", "us-west-2"):
        for level in ("p90 of demand", "p99 of the draws"):
            taken = [r for r in made.fallback_chain if (r.to, r.region, r.level) == ("nova-pro", region, level)]
            assert sum(row.calls_per_s for row in taken) <= 200 / 60 + 1e-9


def test_a_model_without_a_quota_figure_is_not_counted_on():
    assert not any(row.to == "nova-2-lite" for row in plan(limited(10)).fallback_chain)


def test_shed_calls_cost_their_share_of_an_interaction_that_makes_them():
    what = limited(10, capacity__value_per_interaction_usd=2e-6)
    made = plan(what)
    row = next(row for row in made.fallback_chain if row.tier == "shed")
    calls = assumed_calls(what, models(), seed=1)
    calling = set(calls.turn_interaction[calls.turn[calls.of(row.model)]].tolist())
    assert len(calling) < calls.interactions  # the rest never call it, and lose nothing with it
    assert row.usd_per_call == pytest.approx(2e-6 * len(calling) / calls.of(row.model).sum())
    assert next(row for row in plan(limited(10)).fallback_chain if row.tier == "shed").usd_per_call is None


def test_simulated_judgements_say_so_in_the_routing_and_taint_the_plan():
    rows = [
        Quality(model, "any", kind, 0.9, 0.8, 0.95, 50, "simulated")
        for model in ("custom-8b", "claude-sonnet")
        for kind in ("simple", "complex")
    ]
    made = plan(quality_rows=rows)
    assert made.routing[0].provenance == "simulated"
    assert made.simulated
