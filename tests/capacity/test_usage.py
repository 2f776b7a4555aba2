"""An account's counters and quotas in a plan."""

import numpy as np
import pytest

from capacity.demand.usage import with_mean
from capacity.plan import PlanError
from facts.account import Held, Minute, QuotaRow, Usage, UsageRow
from tests.capacity.runs import run
from tests.capacity.scenario_of import scenario
from tests.capacity.test_plan_small import SHORT, plan


def usage(model="claude-sonnet", **minute):
    values = {
        "invocations": 100, "throttles": 25, "input_tokens": 20_000, "output_tokens": 15_000,
        "cache_read_tokens": 240_000, "cache_write_tokens": 30_000, "latency_s_mean": 4.0,
    }  # fmt: skip
    rows = tuple(UsageRow(60 * i, "us-east-1", "id", model, Minute(**(values | minute))) for i in range(3))
    return Usage("usage.csv: a test", rows)


def test_tokens_and_latency_come_from_the_counters_and_say_so():
    made = plan(usage=usage())
    sonnet = next(s for s in made.supplies if s.model == "claude-sonnet")
    assert sonnet.tokens_per_call["input"] == pytest.approx(200, abs=0.1)
    assert sonnet.tokens_per_call["cache_read"] == pytest.approx(2_400, abs=0.1)
    assert sonnet.tokens_per_call["output"] == pytest.approx(150, abs=0.5)
    assert sonnet.input_tokens_per_call.provenance == "measured"
    notes = {note.name: note for note in made.inputs if note.kind in ("usage", "quotas")}
    assert "20.00% throttled" in notes["claude-sonnet"].value
    assert notes["claude-sonnet latency"].value.startswith("4.00 s")


def test_turns_and_routes_stay_assumed_beside_measured_tokens():
    made = plan(usage=usage())
    assert any(line.startswith("turns and routes are assumed") for line in made.warnings)
    assert made.event_cost_usd.provenance == plan().event_cost_usd.provenance


def test_the_accounts_model_mix_stands_beside_the_plans_and_is_said_not_to_be_used():
    """All of the counters' calls are claude-sonnet's; the plan routes a share of its calls elsewhere."""
    line = next(line for line in plan(usage=usage()).warnings if "its model mix is not" in line)
    sonnet = next(s for s in plan().supplies if s.model == "claude-sonnet").calls_per_interaction
    every = sum(s.calls_per_interaction for s in plan().supplies if s.region == "us-east-1")
    assert f"claude-sonnet 100% against {sonnet / every:.0%}" in line


def test_first_tokens_and_the_estimated_quota_of_the_busiest_minute_are_in_the_inputs():
    made = plan(usage=usage(ttft_s_mean=0.8, quota_tokens=125_000.0))
    note = next(note for note in made.inputs if note.kind == "usage")
    assert "first token 0.80 s; busiest minute 125,000 tokens of quota by AWS's estimate" in note.value


def test_a_run_wins_over_the_counters():
    both, alone = plan(run=run(), usage=usage()), plan(run=run())
    assert both.event_cost_usd.mid == alone.event_cost_usd.mid
    assert any("the run's own tokens were used" in note.source for note in both.inputs)


def test_counters_of_models_that_are_not_called_are_refused():
    with pytest.raises(PlanError, match="no model of it is called by this scenario; models there: nova-pro"):
        plan(usage=usage("nova-pro"))


@pytest.mark.parametrize("mean", [0.0, 0.4, 17.3, 2_400.0])
def test_rescaled_tokens_are_whole_and_keep_the_mean(mean):
    values = np.random.default_rng(1).integers(0, 500, 1_001)
    for start in (values, np.zeros(1_001, dtype=np.int64)):
        found = with_mean(start, mean)
        assert found.dtype == np.int64
        assert found.min() >= 0
        assert found.mean() == pytest.approx(mean, abs=0.001)


def test_the_quotas_held_stand_where_the_scenario_states_none():
    name = "Global cross-region model inference {} per minute for Anthropic Claude Sonnet 4.5"
    rows = tuple(
        QuotaRow("bedrock", "us-east-1", f"L-{what}", name.format(what), value, None, True)
        for what, value in (("requests", 700.0), ("tokens", 9_000_000.0))
    )
    held = Held("quotas.yaml of 2026-11-01", rows)

    def limits(made):
        sonnet = next(s for s in made.supplies if (s.model, s.region) == ("claude-sonnet", "us-east-1"))
        return {need.kind: (need.granted, need.source) for need in sonnet.quotas}

    found = limits(plan(held=held))
    assert found["rpm"][0] == 700
    assert "L-requests" in found["rpm"][1]
    assert found["tpd"][0] == 9_000_000 * 1_440
    stated = scenario(**SHORT, quotas={"claude-sonnet": {"rpm": 5.0}})
    assert limits(plan(stated, held=held))["rpm"] == (5.0, "scenario: quotas")
    assert limits(plan(stated, held=held))["tpm"][0] == 9_000_000
