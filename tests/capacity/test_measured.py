"""Plans from a run, what a run must be to be planned from, and plans against later runs and each other."""

import dataclasses
from dataclasses import replace

import numpy as np
import pytest

from capacity.calibration.backtest import backtest, compare_plans, coverage_interval
from capacity.calibration.observed import observed_calls
from capacity.cost.interaction import cache_hit_figures
from capacity.demand.calls import measured_calls
from capacity.fleet.findings import refuse_order
from capacity.plan import PlanError
from loadgen.run_info import Totals
from tests.capacity.runs import run
from tests.capacity.scenario_of import scenario
from tests.capacity.test_plan_small import SHORT, plan


def test_calls_turns_and_tokens_come_from_the_run():
    calls = measured_calls(run(60))
    assert (calls.interactions, calls.turns, len(calls.model)) == (30, 60, 60)
    assert calls.per_interaction("claude-sonnet") == 2
    assert calls.prompt_tokens.mean() == 2_800


def test_hit_ratios_are_of_tokens_and_by_nested_level():
    """Of 2,800 tokens 2,400 are read: all 2,000 shared, all 300 of the customer, 100 of 500 in the conversation."""
    ratios = cache_hit_figures(measured_calls(run()), "claude-sonnet")
    assert ratios == pytest.approx({"all": 2400 / 2800, "shared": 1.0, "customer": 1.0, "conversation": 100 / 500})


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (run(state="running"), "was cut off"),
        (run(valid=False), "INVALID .start lag p99 0.3 s."),
        (run(status="throttled", input_tokens=None), "no call with token usage"),
        (run(model="unheard-of"), "'unheard-of' is not in models.yaml"),
    ],
)
def test_a_run_that_is_no_evidence_is_refused(record, message):
    with pytest.raises(PlanError, match=message):
        plan(run=record)


def test_a_simulated_run_taints_cost_and_hit_rates_and_cannot_be_ordered_from():
    made = plan(run=run(provenance="simulated"))
    assert made.event_cost_usd.simulated
    assert all(line.per_interaction_usd.simulated for line in made.cost)
    assert all(rate.ratio.simulated for rate in made.hit_rates)
    with pytest.raises(PlanError, match=r"SIMULATED inputs .run claude-sonnet.* Measure them"):
        refuse_order(made)


def test_a_measured_run_can_be_ordered_from():
    refuse_order(plan(run=run()))


def test_measured_tokens_price_the_interaction():
    """Two turns of one call: 100 in, 2,400 read, 300 written and some 180 out each, at the price list."""
    made = plan(run=run())
    sonnet = made.supplies[0].prices_usd_per_mtok
    out = measured_calls(run()).output_tokens.mean()
    tokens = (
        100 * sonnet["input"] + 2400 * sonnet["cache_read"] + 300 * sonnet["cache_write_5m"] + out * sonnet["output"]
    )
    assert made.cost[0].per_interaction_usd.mid == pytest.approx(2 * tokens / 1e6)


def test_a_plan_is_scored_against_a_later_run():
    """Planned from the same customers, every interval holds what came."""
    made = plan(run=run())
    found = backtest(made, run())
    names = {score.name for score in found.scores}
    assert {"claude-sonnet: prompt tokens per call", "claude-sonnet: cache hits, all"} <= names
    inside, of = found.coverage
    assert 0 < inside == of == sum("cache hits" not in score.name for score in found.scores)


def test_a_range_of_tokens_is_of_their_mean_and_can_be_missed():
    """Single calls lie far apart; a run whose mean is half as large again is outside, as a 90% range must allow."""
    made, later = plan(run=run()), run(output_tokens=0)
    answers = made.supplies[0].output_tokens_per_call
    seen = measured_calls(run()).output_tokens
    assert answers.high - answers.low < np.quantile(seen, 0.95) - np.quantile(seen, 0.05)
    assert answers.mid * 1.1 <= answers.high < answers.mid * 1.2  # 10% is drawn, the rest is 60 calls' sampling
    later.calls["output_tokens"] = (seen * 1.5).astype(int)
    score = next(s for s in backtest(made, later).scores if s.name == "claude-sonnet: answer tokens per call")
    assert score.counts
    assert not score.inside


def test_the_range_of_few_calls_mean_is_wider_than_that_of_many():
    few, many = (plan(run=run(n)).supplies[0].output_tokens_per_call for n in (6, 600))
    assert few.high / few.mid > many.high / many.mid > 1


def test_an_experts_range_is_shown_but_covers_nothing():
    found = backtest(plan(), run())
    judged = [score for score in found.scores if score.predicted.confidence == 0]
    assert judged
    assert not any(score.counts for score in judged)
    assert found.coverage[1] == len(found.scores) - len(judged)


@pytest.mark.parametrize("prices", [None, {"discount_ratio": {"anthropic": 0.5}}])
def test_the_cost_of_an_interaction_is_scored_by_its_tokens_at_list(prices):
    """What an interaction of the same run costs is inside; three times as much is not. A discount changes neither."""
    made, later = plan(run=run(), prices=prices), run()
    usual = plan(run=run()).cost[0].per_interaction_usd.mid
    for usd, inside in ((usual, True), (3 * usual, False)):
        later = replace(later, info=replace(later.info, totals=Totals(cost_usd_per_interaction=usd)))
        (score,) = [s for s in backtest(made, later).scores if s.name == "cost of tokens per interaction"]
        assert score.inside == inside
        assert score.predicted.mid == pytest.approx(usual)


def test_chips_are_in_no_runs_totals_so_the_cost_is_scored_without_them():
    made, later = plan(), run()
    later = replace(later, info=replace(later.info, totals=Totals(cost_usd_per_interaction=0.01)))
    (score,) = [s for s in backtest(made, later).scores if s.name == "cost of tokens per interaction"]
    line = made.cost[0]
    assert line.parts_usd["self-hosted"] > 0
    assert score.predicted.mid == pytest.approx(line.per_interaction_usd.mid - line.parts_usd["self-hosted"])


def test_a_prediction_must_be_older_than_what_it_predicts():
    late = dataclasses.replace(plan(), created_utc="2026-11-24T00:00:00Z")
    with pytest.raises(PlanError, match="a prediction must be older"):
        backtest(late, run())


def test_two_plans_differ_by_their_inputs_first():
    one, two = plan(), plan(scenario(**SHORT, demand__interactions__peak_per_s=60))
    changes = compare_plans(one, two)
    assert changes[0].name == "input assumption interactions at the peak"
    chips = next(change for change in changes if change.name.endswith("chips"))
    assert chips.after > chips.before
    names = {change.name for change in changes}
    assert {"first limit exceeded", "claude-sonnet in us-east-1: tpm at p90"} <= names
    assert compare_plans(one, one) == ()


def test_observed_timings_count_from_the_sending_of_each_call():
    seen = observed_calls(run(), "claude-sonnet")
    assert seen.arrival_s[0] == pytest.approx(0.101)
    assert seen.decode_s[0] == pytest.approx(2.5)
    assert seen.provenance == "measured"


def test_a_model_the_run_never_called_is_named_with_those_it_did():
    with pytest.raises(PlanError, match="models in it: claude-sonnet"):
        observed_calls(run(), "nova-pro")


def test_reservations_are_held_for_the_seconds_a_run_measured_else_for_a_stated_judgement():
    timed, untimed = plan(run=run(e2e_s=3.0)), plan()
    notes = [next(n for n in made.inputs if n.name == "claude-sonnet latency") for made in (timed, untimed)]
    assert [note.provenance for note in notes] == ["measured", "expert_estimate"]
    assert notes[0].value.startswith("3.00 s")


def test_the_range_of_a_hit_ratio_is_an_experts_and_no_interval():
    ratio = plan(run=run()).hit_rates[0].ratio
    assert (ratio.provenance, ratio.confidence) == ("expert_estimate", 0.0)
    assert "range: misses to a hit x or / 2, expert estimate" in ratio.source


def test_turns_that_were_never_answered_are_loaded_and_charged_too():
    """Calls of an abandoned turn used tokens, and its interaction counts. A dropped turn was never sent."""
    record = run(60)
    record.turns.loc[:19, "status"] = "abandoned"
    record.turns.loc[20:29, "status"] = "dropped"
    calls = measured_calls(record)
    assert (calls.interactions, calls.turns, len(calls.model)) == (25, 50, 50)


def test_coverage_of_intervals_is_judged_by_the_exact_binomial_law():
    """18 of 20 is what 90% intervals promise; 12 of 20 is not; 2 of 2 cannot tell."""
    good, bad, few = coverage_interval(18, 20), coverage_interval(12, 20), coverage_interval(2, 2)
    assert (good.rejected, bad.rejected, few.rejected) == (False, True, False)
    assert good.low < 0.9 < good.high
    assert bad.high < 0.9
    with pytest.raises(ValueError, match="of 0 measurements"):
        coverage_interval(0, 0)
