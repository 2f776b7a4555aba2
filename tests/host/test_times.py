"""Times: ISO with or without a zone, numbers by plausibility; the machine's own zone plays no part."""

import time

import pytest

from host.times import moment_of, seconds_of

AT = 1_762_000_000.0


@pytest.mark.parametrize(
    ("cell", "seconds", "unit"),
    [
        ("1762000000", AT, "seconds"), ("1762000000000", AT, "milliseconds"), ("1762000000000000", AT, "microseconds"),
        ("1762000000000000000", AT, "nanoseconds"), ("12.5", 12.5, "seconds"), ("-3", -3.0, "seconds"),
        ("2025-11-01T12:26:40Z", AT, "ISO 8601"), ("2025-11-01 12:26:40.000000+00:00", AT, "ISO 8601"),
        ("2025-11-01T05:26:40-07:00", AT, "ISO 8601"), ("2025-11-01 12:26:40", AT, "ISO 8601"),
        ("2025-11-01 12:26:40.000000000 UTC", AT, "ISO 8601"),
    ],
)  # fmt: skip
def test_a_time_is_read_in_its_unit(cell, seconds, unit):
    moment = moment_of(cell)
    assert (moment.seconds, moment.unit) == (pytest.approx(seconds, abs=1e-3), unit)


def test_a_stated_unit_is_used_and_not_guessed():
    assert moment_of("1500", 1e-3).seconds == 1.5
    assert moment_of("1500", 1e-3).unit == ""


def test_the_machines_zone_plays_no_part(monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert seconds_of("2025-11-01 12:26:40") == AT
        assert not moment_of("2025-11-01 12:26:40").zone
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("cell", ["", "yesterday", "nan", "inf", "2025-13-01", "1_000x"])
def test_what_is_no_time_is_refused(cell):
    with pytest.raises(ValueError, match=r".*"):
        moment_of(cell)
