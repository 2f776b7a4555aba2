"""A fit says up to which rate it knows its medians, and how many load steps more would tell."""

import numpy as np
import pytest

from capacity.calibration.certainty import KNOWN, Certainty
from capacity.calibration.fit import calibrate
from capacity.calibration.limits import CalibrationError
from capacity.calibration.refusals import refuse_apart
from tests.capacity.test_calibration import LIMITS, WHO, observed


@pytest.fixture(scope="module")
def sweep():
    return [observed(rate) for rate in (2.0, 5.0, 8.0)]


@pytest.fixture(scope="module")
def steady(sweep):
    return calibrate(sweep, LIMITS, WHO, drift=0.02)


def test_the_same_load_steps_tell_less_of_a_machine_that_drifts(sweep, steady):
    """Paces within 2% leave the medians known nearer to the knee than paces within 30%."""
    drifting = calibrate(sweep, LIMITS, WHO, drift=0.3)
    assert 0 <= drifting.validity[KNOWN][1] < steady.validity[KNOWN][1]
    assert any(note.startswith("medians are") and "measure next" in note for note in drifting.notes)


def test_a_stated_drift_is_the_spread_of_the_pace(steady):
    """That of a pace anywhere within 2%, which is 2% over the root of twelve."""
    assert steady.pace_sigma == pytest.approx(0.02 / np.sqrt(12))


def test_more_load_steps_shrink_the_error_by_their_root():
    """2.2 sigmas of 10% are 22%: to know 12% takes 3.4 times as many steps, 11 where there were 3."""
    assert Certainty(1.0, 0.12, 2.0, 0.1).steps_needed(3) == 11


def test_no_number_of_steps_is_named_for_a_median_inside_a_queue():
    (note,) = Certainty(1.0, 0.1, 2.0, 0.9).notes(3)
    assert "a queue begins near 2/s" in note
    assert Certainty(1.0, 0.1).notes(3) == ()


def test_medians_known_nowhere_say_within_what_they_are_known():
    """A sigma of 3.5% is 7.7% at 97%: no number is claimed to be nought."""
    (note,) = Certainty(0.0, 0.05, 2.0, 0.035).notes(3)
    assert "known within 5% at no rate that was drawn" in note
    assert "leave 3.5% open (one sigma), so they are known within 8% there; measure next: 5 more load steps" in note


def test_load_steps_further_apart_than_the_machine_drifts_are_refused_with_both_figures():
    with pytest.raises(CalibrationError, match=r"lay 15% apart between them, and 10% is stated .* measure the busiest"):
        refuse_apart(np.array([-0.08, 0.0, 0.07]), 0.1)
    refuse_apart(np.array([-0.08, 0.0, 0.07]), None)
