"""Capacity at a promise, measured and simulated."""

import pytest

from study.table import capacity_at_slo, capacity_line
from tests.capacity.test_calibration import TRUE, observed


def test_an_engine_that_does_as_its_model_says_has_the_capacity_predicted():
    ladder = [observed(rate, noise=0.0) for rate in (2.0, 8.0, 12.0, 14.0)]
    limit_s, measured, predicted = capacity_at_slo(TRUE, ladder)
    assert limit_s > 0
    assert 2.0 < measured < 14.0
    assert predicted == pytest.approx(measured)


def test_a_promise_never_broken_has_no_capacity_to_tell():
    _, measured, _ = capacity_at_slo(TRUE, [observed(rate, noise=0.0) for rate in (2.0, 2.5)])
    assert measured != measured


def test_the_sentence_says_by_how_much_it_missed():
    assert "(+10.0%, bar 5%)" in capacity_line(0.3, 10.0, 11.0)


def test_a_capacity_beyond_the_highest_rung_is_said_to_be():
    told = capacity_line(0.3, 10.0, float("nan"))
    assert told == "TTFT p95 <= 0.3 s is kept up to 10/s; predicted beyond the highest rung (error not known, bar 5%)"
