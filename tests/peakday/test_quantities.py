"""Durations, rates and windows are read as people type them, or refused with the form that is expected."""

import pytest

from peakday.errors import CommandError
from peakday.quantities import duration_s, length_s, rate_per_s, window_s
from peakday.run.options import how_much


@pytest.mark.parametrize(
    ("text", "seconds"), [("300", 300), ("300s", 300), ("5m", 300), ("1.5h", 5400), ("4d", 345600)]
)
def test_durations_become_seconds(text, seconds):
    assert duration_s(text, "--for") == seconds


@pytest.mark.parametrize(("text", "rate"), [("60/s", 60), ("3600/min", 60), ("0.5", 0.5)])
def test_rates_become_per_second(text, rate):
    assert rate_per_s(text, "--rate") == rate


@pytest.mark.parametrize("text", ["-1/s", "0", "nan", "inf", "fast", "60/week"])
def test_a_rate_that_is_none_is_refused(text):
    with pytest.raises(CommandError, match="expected a rate"):
        rate_per_s(text, "--rate")


@pytest.mark.parametrize("text", ["300s", "300s:0s", "5:5", "a:b"])
def test_a_window_needs_a_start_before_its_end(text):
    with pytest.raises(CommandError, match="--window"):
        window_s(text, "--window")


def test_a_window_is_two_durations():
    assert window_s("0s:5m", "--window") == (0, 300)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("18h10m", 65_400), ("1d2h30m", 95_400), ("1h30s", 3_630), ("90", 90), ("1.5h", 5_400), ("2h 15m", 8_100)],
)
def test_a_duration_may_have_parts(text, seconds):
    assert duration_s(text, "--for") == seconds


@pytest.mark.parametrize("text", ["10m18h", "1h1h", "18h10", "10 20", "h", "", "1h-5m", "1x", "1h10x"])
def test_parts_fall_and_each_has_a_unit(text):
    with pytest.raises(CommandError, match="expected a duration"):
        duration_s(text, "--for")


@pytest.mark.parametrize("text", ["0", "0s", "0h0m"])
def test_a_length_is_above_zero(text):
    with pytest.raises(CommandError, match="above zero"):
        length_s(text, "--for")


def test_every_option_that_cannot_be_read_is_named_at_once():
    with pytest.raises(CommandError, match=r"--window 'z': .* \(and 2 more\)") as error:
        how_much("z", "fast", "0s", 1.0, None, None)
    assert [note.partition(":")[0] for note in error.value.__notes__] == ["--rate 'fast'", "--for '0s'"]
