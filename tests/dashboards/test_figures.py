from dataclasses import replace

from dashboards.numbers.plan import plan_numbers
from dashboards.numbers.run import Number, find, run_numbers, tail


def number(n_tail, **changes):
    quantile = Number("ttft_s_p99", "TTFT p99", 1.9, "s", "latency", lo=1.5, hi=2.4, n=1000, n_tail=n_tail)
    return replace(quantile, **changes)


def test_a_quantile_with_fewer_than_10_samples_in_its_tail_is_not_printed():
    assert number(9).text == "–"
    assert number(9).interval == ""


def test_a_quantile_with_fewer_than_100_samples_in_its_tail_is_marked():
    assert number(99).text == "~1.90 s"
    assert number(100).text == "1.90 s"


def test_a_quantile_that_only_waiting_turns_reach_is_a_lower_bound():
    assert number(500, censored=True).text == "≥ 1.90 s"


def test_the_tail_is_the_highest_quantile_that_enough_samples_carry():
    p95 = number(12, name="ttft_s_p95", label="TTFT p95")
    assert tail([p95, number(3)], "ttft_s") is p95
    assert tail([p95, number(10)], "ttft_s").name == "ttft_s_p99"


def test_a_runs_numbers_are_those_of_its_record(run):
    numbers = run_numbers(run)
    assert find(numbers, "ttft_s_p95").value == run.info.quantile("ttft_s", "p95").value
    assert find(numbers, "goodput_per_s").value == run.info.totals.goodput_per_s
    assert find(numbers, "cache_hit_token_ratio", level="shared").value == 0.9
    assert find(numbers, "turns_per_interaction_mean").value == run.info.totals.turns_per_interaction.mean


def test_stand_ins_touch_latency_and_cost_but_not_our_own_lateness(run):
    numbers = run_numbers(run)
    assert find(numbers, "ttft_s_p50").simulated
    assert find(numbers, "cost_usd_per_interaction").simulated
    assert not find(numbers, "start_lag_s_p99").simulated
    assert not find(numbers, "sent").simulated


def test_every_number_of_a_record_has_its_own_key(run, plan):
    for numbers in (run_numbers(run), plan_numbers(plan)):
        keys = [n.key for n in numbers]
        assert len(keys) == len(set(keys))


def test_a_plans_chips_keep_their_range_and_their_mark(plan):
    chips = find(plan_numbers(plan), "chips", region="us-east-1", model="custom-8b", chip="trainium2")
    chosen = plan.supplies[0].chosen.chips_range
    assert (chips.lo, chips.value, chips.hi, chips.simulated) == (chosen.low, chosen.mid, chosen.high, True)


def test_a_quantile_that_too_few_calls_carry_is_no_number(plan):
    """Left out, where an empty one would be printed with a mark beside nothing."""
    line = replace(plan.cost[0], quantiles_usd={"interaction": {"p50": 0.1, "p95": 0.2, "p99": None}})
    names = {number.name for number in plan_numbers(replace(plan, cost=(line,)))}
    assert "cost_usd_per_interaction_p95" in names
    assert "cost_usd_per_interaction_p99" not in names
