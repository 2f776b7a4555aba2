"""The SLO gate: SLOs as shares and means, with bounds over runs."""

import numpy as np
import pytest

from peakday.gate.slo import judge, judge_mean, judge_share
from peakday.gate.verdicts import Verdict
from slo.bounds import Batch
from slo.slo import SloError, parse_slo
from tests.peakday.gate.making import run

P95 = parse_slo("ttft_s_p95 <= 1.0")


def test_an_slo_met_with_certainty_passes():
    line = judge(P95, [run([0.5] * 60), run([0.5] * 60)], 10)
    assert line.verdict == Verdict.PASS


def test_an_slo_missed_with_certainty_fails():
    """Twenty of a hundred turns are beyond a limit that five may be beyond."""
    line = judge(P95, [run([0.5] * 40 + [1.5] * 10)] * 2, 10)
    assert line.verdict == Verdict.FAIL


def test_too_few_turns_are_inconclusive_and_say_how_many_it_takes():
    """None of ten beyond the limit does not show that at most one in twenty is."""
    line = judge(P95, [run([0.5] * 5), run([0.5] * 5)], 10)
    assert line.verdict == Verdict.INCONCLUSIVE
    assert "59 turns" in line.why


def test_exactly_at_the_limit_is_inconclusive():
    line = judge(P95, [run([0.5] * 95 + [1.5] * 5)] * 2, 10)
    assert line.verdict == Verdict.INCONCLUSIVE


def test_zero_traffic_is_no_pass():
    line = judge(P95, [run(), run()], 10)
    assert line.verdict == Verdict.INCONCLUSIVE
    assert "zero traffic" in line.why


def test_turns_that_were_given_up_are_misses():
    given_up = run([0.5] * 50 + [float("nan")] * 50, ["ok"] * 50 + ["timeout"] * 50)
    assert judge(P95, [given_up, given_up], 10).verdict == Verdict.FAIL


def test_half_the_turns_failing_at_once_misses_a_latency_slo():
    """An HTTP 500 in 10 ms is no fast answer: it misses the SLO, whatever its latency column says."""
    half = run([0.5] * 300 + [float("nan")] * 300, ["ok"] * 300 + ["http_error"] * 300)
    line = judge(P95, [half], 60)
    assert line.verdict == Verdict.FAIL
    assert "300 of 600 turns missed it" in line.why
    assert line.why.endswith("; 300 turns failed: http_error x 300")


def test_a_turn_that_the_end_of_the_run_cut_off_says_nothing_before_its_limit():
    """Its first token counts; its end is unknown, unless it had waited beyond the limit already."""
    cut = run([0.5] * 120, ["ok"] * 60 + ["censored"] * 60)
    cut.turns["e2e_s"] = [2.0] * 60 + [1.0] * 60
    assert "of 240 turns" in judge(P95, [cut, cut], 10).why
    assert "0 of 120 turns" in judge(parse_slo("e2e_s_p95 <= 3"), [cut, cut], 10).why
    cut.turns["e2e_s"] = [2.0] * 60 + [4.0] * 60
    assert judge(parse_slo("e2e_s_p95 <= 3"), [cut, cut], 10).verdict == Verdict.FAIL


def test_a_metric_that_vanished_is_no_pass():
    line = judge(parse_slo("cache_hit_token_ratio >= 0.5"), [run([0.5]), run([0.5])], 10)
    assert line.verdict == Verdict.INCONCLUSIVE
    assert "vanished" in line.why


def test_errors_are_judged_as_a_share_of_turns():
    limit = parse_slo("error_ratio < 0.01")
    failing = run([0.5] * 90 + [0.1] * 10, ["ok"] * 90 + ["http_error"] * 10)
    assert judge(limit, [failing, failing], 10).verdict == Verdict.FAIL
    assert judge(limit, [run([0.5] * 200)] * 2, 10).verdict == Verdict.PASS


def test_turns_over_the_in_flight_cap_are_errors_too():
    """The target that dropped a third has missed its SLO."""
    third = run([0.5] * 60 + [0.1] * 30, ["ok"] * 60 + ["dropped"] * 30)
    assert judge(parse_slo("error_ratio < 0.01"), [third, third], 10).verdict == Verdict.FAIL


def test_no_error_at_all_cannot_be_shown_and_one_error_breaks_it():
    limit = parse_slo("error_ratio <= 0")
    line = judge(limit, [run([0.5] * 200)] * 2, 10)
    assert line.verdict == Verdict.INCONCLUSIVE
    assert "allow a share" in line.why
    failing = run([0.5] * 90 + [0.1] * 10, ["ok"] * 90 + ["http_error"] * 10)
    assert judge(limit, [failing, failing], 10).verdict == Verdict.FAIL


def test_an_interaction_that_spans_batches_belongs_to_the_one_it_began_in():
    """Ten interactions of two turns, some of which end in the next batch: ten costs, and not fifteen."""
    one = run([0.5] * 20, step_s=0.5)
    one.turns["interaction_id"] = [f"i{number // 2}" for number in range(20)]
    one.turns["cost_usd"] = 0.01
    line = judge(parse_slo("cost_usd_per_interaction_p50 <= 1"), [one], 7.0)
    assert "0 of 10 interactions" in line.why


def test_means_are_bounded_over_runs():
    limit = parse_slo("goodput_per_s >= 4")
    assert judge_mean(limit, [5.0, 5.1, 4.9]).verdict == Verdict.PASS
    assert judge_mean(limit, [3.0, 3.1, 2.9]).verdict == Verdict.FAIL
    assert judge_mean(limit, [4.0, 5.5, 3.0]).verdict == Verdict.INCONCLUSIVE
    assert judge_mean(limit, [5.0]).verdict == Verdict.INCONCLUSIVE


def test_runs_that_differ_more_than_chance_widen_the_bounds():
    """The same 10 of 400 turns, spread evenly or all in one run: the second says less."""
    even, lumped = [Batch(2, 80)] * 5, [Batch(10, 80), *[Batch(0, 80)] * 4]
    assert judge_share(P95, even).verdict == Verdict.PASS
    assert judge_share(P95, lumped).verdict == Verdict.INCONCLUSIVE


def test_a_single_run_is_judged_by_its_batches():
    """All slow turns in one part of the run: the batches differ, so the count is worth less."""
    lumpy = run([0.5] * 90 + [1.5] * 10, step_s=0.1)
    assert "in bursts" in judge(P95, [lumpy], 10).why


def test_a_bad_share_is_seldom_passed_and_a_good_one_seldom_failed():
    """At the limit itself the gate errs in at most one check of twenty, each way."""
    rng = np.random.default_rng(3)
    ends = [judge_share(P95, [Batch(int(k), 80) for k in rng.binomial(80, 0.05, 5)]).verdict for _ in range(500)]
    assert ends.count(Verdict.PASS) / 500 <= 0.07
    assert ends.count(Verdict.FAIL) / 500 <= 0.07


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("ttft_s_p95 < abc", "expected METRIC"),
        ("ttft_ms_p95 <= 3", "no metric"),
        ("ttft_s_p95 >= 3", "from above"),
        ("latency", "expected METRIC"),
        ("error_ratio < 5", "between 0 and 1"),
        ("cache_hit_token_ratio >= 60", "between 0 and 1"),
        ("abandoned_ratio < -0.1", "between 0 and 1"),
    ],
)
def test_a_limit_that_cannot_be_read_says_why(text, complaint):
    with pytest.raises(SloError, match=complaint):
        parse_slo(text, "checks.yaml")
