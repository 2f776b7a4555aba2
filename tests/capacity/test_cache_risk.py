"""Caches on the day: block caches that stay cold, provider caches forgotten, and shards told from a run."""

import numpy as np
import pytest

from capacity.caching.hit_ratio import equilibria
from capacity.caching.risk import Reuse, hits_left, reuse_of
from capacity.planner import plan_inputs
from capacity.simulator.rate_at_slo import Lengths
from tests.capacity.models import llama_8b, step_model
from tests.capacity.runs import run
from tests.capacity.scenario_of import scenario
from tests.capacity.test_plan_small import SHORT, plan

CALLS = Lengths(np.array([3_000]), np.array([150]), np.array([2_400]))


def made_case(**call):
    """The case of a run of Bedrock calls; `call` sets or replaces columns of them."""
    return plan_inputs(scenario(**SHORT), run(**call), [llama_8b()], None, 1)


def solutions(kv_tokens, rate_per_s):
    model = step_model(0.01, 1.5e-4, c=2e-4, max_num_seqs=64, kv_tokens=kv_tokens)
    return equilibria(hits_left(CALLS, model, rate_per_s, seed=1))


def test_with_room_the_cache_heals_by_itself():
    assert solutions(2_000_000, 1.0) == [pytest.approx(1.0, abs=0.01)]


def test_without_room_for_the_prefix_there_are_no_hits():
    assert solutions(4_000, 0.5) == [pytest.approx(0.0, abs=0.05)]


def test_between_them_a_cold_cache_can_stay_cold_under_load():
    """Full hits leave room to keep them; no hits make long prefills that fill the room: two states hold themselves."""
    found = solutions(16_000, 1.5)
    assert len(found) == 3
    assert min(found) < 0.1
    assert max(found) > 0.95


def test_a_conversation_that_comes_back_late_loses_its_hits_before_the_prefix_all_share():
    model = step_model(0.01, 1.5e-4, c=2e-4, max_num_seqs=64, kv_tokens=60_000)
    shared = hits_left(CALLS, model, 1.0, seed=1)(1.0)
    at_once = hits_left(CALLS, model, 1.0, seed=1, reuse=Reuse(0.5, lambda wait_s: float(wait_s > 1)))(1.0)
    late = hits_left(CALLS, model, 1.0, seed=1, reuse=Reuse(0.5, lambda wait_s: float(wait_s > 600)))(1.0)
    assert shared == pytest.approx(1.0, abs=0.01)
    assert at_once == pytest.approx(1.0, abs=0.01)
    assert late == pytest.approx(0.5, abs=0.01)


def test_a_run_tells_the_shared_prefix_from_what_conversations_left():
    """2,400 tokens read, 2,000 of them shared; every second call ends its conversation."""
    reuse = reuse_of(made_case(cache_read_tokens=2_400), "claude-sonnet")
    assert reuse.shared_ratio == pytest.approx(2_000 / 2_400)
    assert reuse.back_within(float("inf")) == 1.0
    assert 0 < reuse.back_within(1.0) < reuse.back_within(60.0) < 1
    assert reuse_of(made_case(prefix_shared_tokens=-1), "claude-sonnet").shared_ratio == 1.0


def test_every_own_model_that_counts_on_hits_is_searched():
    rows = plan().hit_stability
    assert {(row.model, row.region) for row in rows} == {("custom-8b", "us-east-1"), ("custom-8b", "us-west-2")}
    assert all(0 <= share <= 1 for row in rows for share in row.solutions)


def test_caches_are_cold_at_the_start_and_after_each_cold_cache_fault():
    faults = [{"kind": "cold_cache", "at_s": 7_200, "length_s": 60, "region": "us-west-2"}]
    rows = plan(scenario(**SHORT, faults=faults)).cache_stampede
    assert {(row.at_s, row.region) for row in rows} == {
        (0.0, "us-east-1"), (0.0, "us-west-2"), (7_200.0, "us-west-2"),
    }  # fmt: skip
    for row in rows:
        assert row.misses >= 1
        assert row.usd > 0


def test_a_runs_shared_hits_tell_the_shards_and_thin_caches_hit_less():
    """2,000 shared tokens of which 1,800 are read on average: 1 - exp(-x) = 0.9."""
    made = plan(run=run(cache_read_tokens=1_800, cache_write_tokens_5m=900))
    row = made.cache_stampede[0]
    rate = 60 / 59 / 2
    assert row.shards == pytest.approx(rate * 300 / -np.log1p(-0.9))
    assert row.shards > 1
    full = plan(run=run())
    assert full.cache_stampede[0].shards == 1.0
