"""The regression gate: its arithmetic, and its known rates of error over simulated checks of the whole gate."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from peakday.gate.metrics import LOWER_IS_WORSE, run_value
from peakday.gate.regression.decision import decide, log_margin, order, spend
from peakday.gate.regression.noise import Scatter, scatters, seen
from peakday.gate.regression.pairs import history, judge_pairs, judge_records, pooled_tails
from peakday.gate.settings import MARGINS, Regression
from peakday.gate.verdicts import Verdict
from tests.peakday.gate.making import HOST, measured, run
from tests.peakday.gate.simulated_checks import rates

GATE = Regression()
NOISE = Path(__file__).with_name("noise.json")
CHECKS = 1_000


def machine(factor):
    """Scatter of the gated metrics as `check --noise` measured it on the machine of record, so many times over.

    A few runs may show none: luck is taken as 1% at least, and the machine's drift as no less than its luck.
    """
    known = scatters(json.loads(NOISE.read_text()), [*MARGINS])
    assert set(known) == set(MARGINS)
    luck = {metric: max(0.01, one.run) for metric, one in known.items()}
    return {metric: Scatter(run * factor, max(run, known[metric].drift) * factor) for metric, run in luck.items()}


def pairs(count, new=None, old=None, **options):
    """The same pair so many times, with a little luck in the baseline."""
    return [
        (measured({"ttft_s_p50": 0.5 + 0.001 * (i % 3), **(old or {})}, **options), measured(new, **options))
        for i in range(count)
    ]


def test_pairs_run_in_the_order_abba():
    assert "".join(order(4)) == "ABBAABBA"


def test_the_error_spent_over_the_looks_is_what_was_allowed():
    parts = spend(0.05, (4, 8, 12))
    assert sum(parts) == pytest.approx(0.05)
    assert all(part > 0 for part in parts)


def test_a_metric_fails_only_beyond_its_margin():
    """Surely slower, but by less than the margin: no failure."""
    slower = {"ttft_s_p50": [math.log(1.08) + 0.001 * (i % 2) for i in range(8)]}
    (decision,) = decide(slower, GATE.metrics, 0.02)
    assert decision.verdict == Verdict.PASS
    assert 0.075 < decision.mean < 0.085


def test_a_throughput_is_worse_when_it_falls():
    lines, settled = judge_pairs(pairs(4, {"goodput_per_s": 3.0}), GATE, 0)
    line = next(line for line in lines if line.metric == "goodput_per_s")
    assert (line.verdict, settled) == (Verdict.FAIL, True)
    assert line.change == pytest.approx(-0.25)
    assert line.lo <= line.change <= line.hi


def test_equal_builds_pass_at_the_first_look():
    lines, settled = judge_pairs(pairs(4), GATE, 0)
    assert {line.verdict for line in lines} == {Verdict.PASS}
    assert settled


def test_a_metric_that_vanished_is_inconclusive_and_never_stops_the_gate():
    lines, settled = judge_pairs(pairs(4, {"tpot_s_p50": None}), GATE, 0)
    line = next(line for line in lines if line.metric == "tpot_s_p50")
    assert (line.verdict, settled) == (Verdict.INCONCLUSIVE, False)
    assert "vanished" in line.why


def test_no_goodput_at_all_fails():
    lines, settled = judge_pairs(pairs(4, {"goodput_per_s": 0.0}), GATE, 0)
    line = next(line for line in lines if line.metric == "goodput_per_s")
    assert (line.verdict, line.change) == (Verdict.FAIL, -1.0)
    assert settled


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        ([0.0] * 4, [0.05, 0.06, 0.04, 0.05], Verdict.FAIL),
        ([0.0] * 4, [0.0] * 4, Verdict.PASS),
        ([0.0] * 4, [0.0, 0.0, 0.0, 0.005], Verdict.INCONCLUSIVE),
        ([0.0] * 4, [None] * 4, Verdict.INCONCLUSIVE),
    ],
    ids=["errors appear", "none on either build", "one error in one run", "vanished"],
)
def test_no_error_is_a_share_of_errors_like_any_other(before, after, verdict):
    gate = Regression(metrics={"error_ratio": 0.5})
    runs = [
        (measured({"error_ratio": old}, turns=200), measured({"error_ratio": new}, turns=200))
        for old, new in zip(before, after, strict=True)
    ]
    (line,), _ = judge_pairs(runs, gate, 0)
    assert line.verdict == verdict
    assert ("vanished" in line.why) == (None in after)


def test_what_cost_nothing_and_now_costs_something_fails():
    gate = Regression(metrics={"cost_usd_per_interaction": 0.05})
    (line,), _ = judge_pairs(pairs(4, {"cost_usd_per_interaction": 0.01}, {"cost_usd_per_interaction": 0.0}), gate, 0)
    assert line.verdict == Verdict.FAIL


def test_a_percentile_of_which_only_a_bound_is_known_is_no_value():
    """Half the turns gave up waiting: the median is more than so much, and how much more nobody knows."""
    open_ended = {"ttft_s": {"p50": {"value": 0.5, "censored": True}}}
    known = {"ttft_s": {"p50": {"value": 0.5, "censored": False}}}
    assert run_value(run([0.5], quantiles=open_ended), "ttft_s_p50") is None
    assert run_value(run([0.5], quantiles=known), "ttft_s_p50") == 0.5


def test_zero_traffic_is_inconclusive():
    none = dict.fromkeys(MARGINS)
    lines, _ = judge_pairs(pairs(4, none, none, turns=0), GATE, 0)
    assert {line.verdict for line in lines} == {Verdict.INCONCLUSIVE}
    assert all("zero traffic" in line.why for line in lines)


def test_p99_needs_a_hundred_turns_beyond_it_over_the_pooled_runs_of_a_side():
    gate = Regression(metrics={"ttft_s_p99": 0.1})
    value = {"ttft_s_p99": 2.0}
    few, _ = judge_pairs(pairs(4, value, value, tails={"ttft_s_p99": 24}), gate, 0)
    enough, _ = judge_pairs(pairs(4, value, value, tails={"ttft_s_p99": 25}), gate, 0)
    assert "n_tail 96 of 100" in few[0].why
    assert (few[0].verdict, enough[0].verdict) == (Verdict.INCONCLUSIVE, Verdict.PASS)


def test_the_pooled_tail_of_each_side_is_told():
    assert pooled_tails(pairs(4, tails={"ttft_s_p99": 7})) == {"ttft_s_p99": [28, 28]}


def test_stored_runs_can_pass_but_never_fail_a_build():
    """A loss against runs of another hour must be confirmed side by side."""
    old = [measured({"ttft_s_p50": 0.5 + 0.001 * i}) for i in range(3)]
    new = [measured({"ttft_s_p50": 0.9 + 0.001 * i}) for i in range(3)]
    lines = {line.metric: line for line in judge_records(old, new, GATE)}
    assert lines["ttft_s_p50"].verdict == Verdict.INCONCLUSIVE
    assert "side by side" in lines["ttft_s_p50"].why
    assert lines["tpot_s_p50"].verdict == Verdict.PASS


def test_stored_runs_of_another_machine_are_not_compared():
    (line,) = judge_records([measured()] * 3, [measured(host={**HOST, "cpu": "two"})] * 3, GATE)
    assert line.verdict == Verdict.INCONCLUSIVE
    assert "several machines" in line.why


def test_every_stored_run_must_be_of_this_machine_and_not_the_first_alone():
    (line,) = judge_records([measured(), measured(host={**HOST, "cpu": "two"})], [measured()] * 2, GATE)
    assert (line.metric, line.verdict) == ("environment", Verdict.INCONCLUSIVE)


def test_a_percentile_of_stored_runs_needs_its_tail_too():
    gate = Regression(metrics={"ttft_s_p99": 0.1})
    few, enough = (
        judge_records(*[[measured({"ttft_s_p99": 2.0}, tails={"ttft_s_p99": tail})] * 4] * 2, gate)[0]
        for tail in (24, 25)
    )
    assert "n_tail 96 of 100" in few.why
    assert (few.verdict, enough.verdict) == (Verdict.INCONCLUSIVE, Verdict.PASS)


def test_stored_runs_of_another_load_are_not_compared():
    """Another scenario, rate or window: a difference would be of those."""
    (line,) = judge_records([replace(measured(), workload="other")] * 3, [measured()] * 3, GATE)
    assert (line.metric, line.verdict) == ("scenario", Verdict.INCONCLUSIVE)


def test_history_warns_after_eight_runs_and_is_silent_before():
    earlier = [0.5 + 0.01 * (i % 3) for i in range(8)]
    assert history({"ttft_s_p50": earlier[:7]}, {"ttft_s_p50": 0.9}) == []
    (line,) = history({"ttft_s_p50": earlier}, {"ttft_s_p50": 0.9})
    assert line.verdict == Verdict.WARN
    assert history({"ttft_s_p50": earlier}, {"ttft_s_p50": 0.51}) == []


def test_history_warns_where_all_earlier_runs_were_equal():
    """Of a figure that never moved, any real move is news; a hair's breadth is not."""
    assert history({"ttft_s_p50": [0.5] * 8}, {"ttft_s_p50": 0.501}) == []
    assert history({"ttft_s_p50": [0.5] * 8}, {"ttft_s_p50": 0.9})[0].verdict == Verdict.WARN
    assert history({"error_ratio": [0.0] * 8}, {"error_ratio": 0.05})[0].verdict == Verdict.WARN


@pytest.mark.parametrize("factor", [1, 2])
def test_false_alarms_of_the_whole_gate_are_at_most_two_percent(factor):
    """No change at all, this machine's noise and twice that: hardly ever a failure."""
    found = rates(machine(factor), {}, GATE, checks=CHECKS, seed=11)
    assert found.fail <= 0.02, found


@pytest.mark.parametrize("factor", [1, 2])
@pytest.mark.parametrize("slower", ["ttft_s_p50", "tpot_s_p50"])
def test_a_fifth_more_latency_is_caught_within_eight_pairs(factor, slower):
    """Power of the whole gate, stopped after two looks of its three."""
    gate = Regression(looks=(4, 8))
    found = rates(machine(factor), {slower: 0.20}, gate, checks=CHECKS, seed=12)
    assert found.fail >= 0.90, found


def test_the_sequential_stop_saves_runs():
    """A large change ends at the first look."""
    noisy = {metric: Scatter(0.05, 0.05) for metric in MARGINS}
    caught = rates(noisy, {"ttft_s_p50": 0.5}, GATE, checks=300, seed=13)
    assert caught.pairs < 5
    assert caught.fail == 1.0


@pytest.mark.parametrize(("luck", "inconclusive"), [(0.005, (0.0, 0.05)), (0.02, (0.2, 0.4)), (0.05, (0.85, 1.0))])
def test_looking_three_times_raises_no_false_alarms_above_those_allowed(luck, inconclusive):
    """Every metric at half its margin, where the gate may err most; what is not sure is inconclusive, not passed."""
    noisy = {metric: Scatter(luck, luck) for metric in MARGINS}
    half = {metric: half_margin(metric) for metric in MARGINS}
    found = rates(noisy, half, GATE, checks=CHECKS, seed=14)
    assert found.fail <= GATE.alpha
    assert inconclusive[0] <= found.inconclusive <= inconclusive[1], found


def half_margin(metric):
    """The change that is half the margin on the scale of the gate, where throughputs fall and latencies rise."""
    half = log_margin(metric, MARGINS[metric]) / 2
    return -math.expm1(-half) if metric in LOWER_IS_WORSE else math.expm1(half)


@pytest.mark.parametrize("luck", [0.01, 0.05])
def test_the_smallest_change_that_is_seen_fails_nine_checks_in_ten(luck):
    """What `check --noise` promises at each look, put to the test there; the other metrics do not change."""
    rng = np.random.default_rng(15)
    looks = zip(GATE.looks, spend(GATE.alpha, GATE.looks), strict=True)
    for (count, alpha), one in zip(looks, seen(Scatter(luck, 0.0), "ttft_s_p50", GATE, run_s=1.0), strict=True):
        true = {**dict.fromkeys(MARGINS, 0.0), "ttft_s_p50": math.log1p(one.change)}
        failed = sum(
            decide(
                {metric: rng.normal(mean, math.sqrt(2) * luck, count).tolist() for metric, mean in true.items()},
                MARGINS, alpha,
            )[0].verdict == Verdict.FAIL
            for _ in range(CHECKS)
        )  # fmt: skip
        assert 0.87 <= failed / CHECKS <= 0.93, (count, failed)


def test_more_pairs_see_smaller_changes():
    found = seen(Scatter(0.04, 0.04), "ttft_s_p50", GATE, run_s=20.0)
    assert [one.pairs for one in found] == [4, 8, 12]
    assert found[0].change > found[1].change > found[2].change > 0.10
    assert found[2].time_s == pytest.approx(2 * 12 * 20)


def test_a_slow_drift_is_told_from_run_to_run_luck():
    """Values that only wander have little luck; values that only jump have little drift."""
    wander = {"sessions": [{"runs": [{"ttft_s_p50": math.exp(0.01 * i)} for i in range(20)]}]}
    jump = {"sessions": [{"runs": [{"ttft_s_p50": math.exp(0.05 * (-1) ** i)} for i in range(20)]}]}
    assert scatters(wander, ["ttft_s_p50"])["ttft_s_p50"].drift > 5 * scatters(wander, ["ttft_s_p50"])["ttft_s_p50"].run
    assert scatters(jump, ["ttft_s_p50"])["ttft_s_p50"].drift == 0.0
