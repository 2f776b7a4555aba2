"""Capacity at an SLO, measured and simulated."""

import pytest

from study.table import capacity_at_slo, capacity_line
from tests.capacity.test_calibration import TRUE, observed


def test_an_engine_that_does_as_its_model_says_has_the_capacity_predicted():
    sweep = [observed(rate, noise=0.0) for rate in (2.0, 8.0, 12.0, 14.0)]
    limit_s, measured, predicted = capacity_at_slo(TRUE, sweep)
    assert limit_s > 0
    assert 2.0 < measured < 14.0
    assert predicted == pytest.approx(measured)


def test_an_slo_never_missed_has_no_capacity_to_state():
    _, measured, _ = capacity_at_slo(TRUE, [observed(rate, noise=0.0) for rate in (2.0, 2.5)])
    assert measured != measured


def test_the_sentence_says_by_how_much_it_missed():
    assert "(+10.0%, bar 5%)" in capacity_line(0.3, 10.0, 11.0)


def test_a_capacity_beyond_the_highest_load_step_is_said_to_be():
    sentence = capacity_line(0.3, 10.0, float("nan"))
    assert (
        sentence
        == "TTFT p95 <= 0.3 s is met up to 10/s; predicted beyond the highest load step (error not known, bar 5%)"
    )
