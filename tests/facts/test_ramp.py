"""AWS's ramp, by the worked example of its own page and by hand."""

import pytest

from facts.ramp import Ramp, holds


def test_the_example_of_the_page_target_2000_steady_500():
    """2,000 and 1,000 are refused, 500 succeeds: hold, then 750, 1,125 and so on."""
    ramp, rates = Ramp.towards(2_000), []
    for refused in (True, True, False, False, False, False, False, False):
        rates.append((ramp.rate, ramp.holding))
        ramp = ramp.after(refused)
    assert rates[:3] == [(2_000, False), (1_000, False), (500, False)]
    assert rates[3:] == [(500, True), (750, True), (1_125, True), (1_687.5, True), (2_000, True)]
    assert ramp.reached


def test_a_target_that_is_served_at_once_is_held_once():
    assert Ramp.towards(100).after(False).after(False).reached


def test_a_503_in_a_hold_halves_and_looks_again():
    ramp = Ramp(1_000, 750, holding=True).after(True)
    assert (ramp.rate, ramp.holding, ramp.reached) == (375, False, False)


@pytest.mark.parametrize(
    ("steady", "target", "count"), [(500, 2_000, 4), (200, 3_000, 7), (1_000, 2_250, 2), (5, 5, 0)]
)
def test_holds_are_the_raises_by_half(steady, target, count):
    """1.5^6 is 11.4 and 1.5^7 is 17.1, so 200 to 3,000, a factor of 15, takes seven."""
    assert holds(steady, target) == count


def test_a_ramp_from_nothing_is_refused():
    with pytest.raises(ValueError, match="above zero"):
        holds(0, 100)
