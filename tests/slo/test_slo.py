"""What a miss is, turn by turn."""

import math

import numpy as np
import pandas as pd
import pytest

from slo.bounds import Batch, batches_of, design_effect, one_batch, share_bounds
from slo.slo import ERROR_STATUSES, Slo, SloError, good, misses, parse_slo, slos_of

TTFT = Slo("ttft_s", 0.95, 1.0)
E2E = Slo("e2e_s", 0.95, 1.0)


def turn(status="ok", ttft_s=None, e2e_s=None, **columns):
    return {"status": status, "ttft_s": ttft_s, "e2e_s": e2e_s, "intended_start_s": 0.0, **columns}


def missed(slo, *turns):
    return [None if math.isnan(value) else int(value) for value in misses(pd.DataFrame(list(turns)), slo)]


@pytest.mark.parametrize("status", [*ERROR_STATUSES, "abandoned"])
@pytest.mark.parametrize("waited_s", [None, 0.05, 5.0])
def test_a_turn_that_was_not_answered_misses_every_latency_slo_however_quick_it_failed(status, waited_s):
    row = turn(status, ttft_s=0.1, e2e_s=waited_s)
    assert missed(TTFT, row) == missed(E2E, row) == [1]


def test_an_answer_misses_when_it_lies_beyond_the_limit_and_meets_it_exactly_at_it():
    assert missed(TTFT, turn(ttft_s=1.0), turn(ttft_s=1.01)) == [0, 1]
    assert missed(Slo("ttft_s", 0.95, 1.0, "<"), turn(ttft_s=1.0), turn(ttft_s=0.99)) == [1, 0]


def test_a_turn_cut_off_by_the_end_is_unknown_until_it_waited_past_the_limit():
    assert missed(TTFT, turn("censored", e2e_s=0.9), turn("censored", e2e_s=1.1)) == [None, 1]
    assert missed(TTFT, turn("censored", ttft_s=0.5, e2e_s=9.0)) == [0]
    assert missed(E2E, turn("censored", ttft_s=0.5, e2e_s=0.9), turn("censored", ttft_s=0.5, e2e_s=1.1)) == [None, 1]


def test_an_answer_without_the_metric_does_not_tell():
    assert missed(Slo("tpot_s", 0.5, 0.05), turn(ttft_s=0.1, tpot_s=None), turn(ttft_s=0.1, tpot_s=0.06)) == [None, 1]


def test_error_ratio_counts_what_the_target_failed_and_no_customer_who_left():
    rows = [turn("http_error"), turn("dropped"), turn("abandoned"), turn("censored"), turn()]
    assert missed(parse_slo("error_ratio <= 0.01"), *rows) == [1, 1, 0, None, 0]


def test_goodput_counts_answers_that_miss_no_slo_at_all():
    rows = pd.DataFrame([turn(ttft_s=0.5, e2e_s=1), turn(ttft_s=1.5), turn(ttft_s=2.5), turn("http_error")])
    slos = slos_of({"ttft_s_p95": 1.0, "ttft_s_p99": 2.0, "e2e_s_p99": None})
    assert good(rows, slos).tolist() == [True, False, False, False]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ttft_s_p95 < fast", "expected METRIC"),
        ("ttft_s_p95 >= 1", "limited from above"),
        ("error_ratio <= 5", "a share lies between 0 and 1"),
        ("error_ratio <= 1.01", "a share lies between 0 and 1"),
        ("latency_p95 <= 1", "no metric with an SLO"),
    ],
)
def test_what_is_no_slo_is_refused_in_one_line(text, said):
    with pytest.raises(SloError, match=said):
        parse_slo(text, "checks.yaml: slo")


def test_an_slo_keeps_its_name_and_its_share():
    slo = parse_slo("ttft_s_p99.9 <= 1.5")
    assert (slo.name, slo.allowed_ratio, str(slo)) == ("ttft_s_p99.9", 0.001, "ttft_s_p99.9 <= 1.5")
    assert parse_slo("error_ratio <= 0.05").allowed_ratio == 0.05
    assert parse_slo("goodput_per_s >= 3").allowed_ratio is None


def test_misses_in_one_batch_are_worth_less_than_spread_ones():
    bursty = [Batch(20, 100), Batch(0, 100), Batch(0, 100), Batch(0, 100), Batch(0, 100)]
    spread = [Batch(4, 100)] * 5
    assert design_effect(bursty) == pytest.approx(20 * 20 * 0.8 * 5 / 4 / (0.04 * 0.96 * 500))
    assert design_effect(spread) == 1
    assert share_bounds(bursty, 0.05).upper > share_bounds(spread, 0.05).upper


def test_none_of_59_turns_shows_five_percent_and_none_of_58_does_not():
    """Clopper and Pearson: 1 - 0.05^(1/n)."""
    assert share_bounds([Batch(0, 59)], 0.05).upper < 0.05 < share_bounds([Batch(0, 58)], 0.05).upper
    assert share_bounds([], 0.05).upper == 1


def test_batches_are_of_equal_time_and_leave_out_what_came_before():
    turns = pd.DataFrame([turn(ttft_s=at) | {"intended_start_s": at} for at in np.arange(0, 10, 0.5)])
    batches = batches_of(turns, Slo("ttft_s", 0.95, 7.9), 2.0, 10.0, 4)
    assert batches == [Batch(0, 4), Batch(0, 4), Batch(0, 4), Batch(4, 4)]
    assert one_batch(turns, TTFT) == Batch(17, 20)


@pytest.mark.parametrize(
    ("operator", "met"), [("<=", [1, 1, 0]), ("<", [1, 0, 0]), (">=", [0, 1, 1]), (">", [0, 0, 1])]
)
def test_one_value_is_held_to_the_operator_as_written(operator, met):
    values = [0.2, 0.1 + 0.2, 0.4]  # the second is equal to the limit, and not the same object
    assert [Slo("error_ratio", None, sum([0.1, 0.2]), operator).met_by(value) for value in values] == met
