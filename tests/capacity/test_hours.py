"""What a use of an instance is billed, by hand from the rules of its price kind."""

import pytest

from capacity.cost.hours import billed_hours

DAY_S = 86_400.0


def at(hour: float) -> float:
    """Seconds after midnight UTC."""
    return hour * 3_600.0


@pytest.mark.parametrize(
    ("seconds", "hours"),
    [
        (1, 24),
        (DAY_S, 24),
        (DAY_S + 1, 48),
        (13 * DAY_S + 1, 14 * 24),
        (14 * DAY_S, 14 * 24),
        (14 * DAY_S + 1, 21 * 24),
        (21 * DAY_S, 21 * 24),
        (21 * DAY_S + 1, 28 * 24),
    ],
)
def test_a_capacity_block_is_billed_in_days_and_beyond_14_in_weeks(seconds, hours):
    assert billed_hours("capacity block", seconds) == hours


@pytest.mark.parametrize(
    ("begins", "length_h", "hours"),
    [
        (11.5, 24, 24),
        (11.5, 24.01, 48),
        (12, 24, 48),
        (12, 23.5, 24),
        (11, 0.5, 24),
        (11, 1, 48),
        (0, 11.5, 24),
        (0, 12, 48),
    ],
)
def test_a_capacity_block_begins_and_ends_at_half_past_eleven(begins, length_h, hours):
    assert billed_hours("capacity block", at(length_h), at(begins)) == hours


@pytest.mark.parametrize("kind", ["on demand", "spot", "savings plan", "a", "z"])
@pytest.mark.parametrize(("seconds", "billed_s"), [(0, 60), (59, 60), (60, 60), (61, 61), (5 * DAY_S, 5 * DAY_S)])
def test_everything_else_is_billed_by_the_second_and_a_minute_at_least(kind, seconds, billed_s):
    assert billed_hours(kind, seconds, at(12)) == billed_s / 3_600
