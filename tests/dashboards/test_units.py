import math

import pytest

from dashboards.numbers.units import UNKNOWN, clock, show


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.81234, "s", "0.812 s"),
        (0.0034, "s", "3.40 ms"),
        (61.2, "s", "61.2 s"),
        (0.0, "s", "0 s"),
        (0.7132, "ratio", "71.3%"),
        (1.5, "ratio", "150%"),
        (20.04, "per_s", "20.0/s"),
        (0.004263, "usd", "$0.00426"),
        (184_000.0, "usd", "$184,000"),
        (2_400, "count", "2,400"),
        (37.8, "chips", "38"),
    ],
)
def test_a_value_prints_with_three_digits_and_its_unit(value, unit, text):
    assert show(value, unit) == text


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_an_unknown_value_is_never_printed_as_zero(value):
    assert show(value, "s") == UNKNOWN


@pytest.mark.parametrize(("offset_s", "text"), [(42, "0:42"), (11_100, "3:05:00"), (187_200, "2d 04:00:00")])
def test_an_offset_reads_like_a_clock(offset_s, text):
    assert clock(offset_s) == text


def test_offsets_of_a_long_event_all_show_their_hours():
    assert clock(2_880, span_s=345_600) == "0:48:00"
