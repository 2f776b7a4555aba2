"""The calendar: days counted back from the first hour, and the ramp's hours; a date only where one is known."""

from __future__ import annotations

from datetime import timedelta

from peakday.ready.evidence import Evidence
from peakday.ready.quotas import ramps

DAYS: tuple[tuple[int, str, str], ...] = (
    (-42, "what is held, and the first plan; ask for quotas", "peakday aws pull, peakday plan"),
    (-35, "the silicon: measured step times", "peakday bench run, peakday calibrate"),
    (-28, "smoke in staging", "peakday run smoke --target assistant=URL --live"),
    (-21, "the rate sweep and the order; last day for bookings", "peakday sweep, peakday plan --for-order"),
    (-14, "the full window at the p90 of demand", "peakday run --window"),
    (-10, "lose a region", "peakday run region_loss"),
    (-7, "freeze; quotas read once more", "peakday check, peakday aws pull"),
    (-1, "instances up and warm; the ramp", "peakday ramp"),
    (0, "the event", "peakday watch"),
    (1, "the backtest", "peakday plan backtest"),
)
"""docs/rehearsal.md has each day at length."""


def calendar_table(evidence: Evidence) -> list[list[str]]:
    """Day, date, what, how, who: the standing days, then those of the event file."""
    start = evidence.event.file.starts
    rows = []
    for offset, what, how in DAYS:
        day = "D" if offset == 0 else f"D{offset:+d}".replace("-", "−")
        date = (start + timedelta(days=offset)).date().isoformat() if start else ""
        rows.append([day, date, what + (_ramp_words(evidence) if offset == -1 else ""), how, ""])
    return [*rows, *[["", row.date, row.what, "", row.who] for row in evidence.event.file.calendar]]


def _ramp_words(evidence: Evidence) -> str:
    """How long before the first hour the longest ramp begins, where it is known from which rate."""
    known = [row.hours for row in ramps(evidence) if row.hours is not None]
    return f", which begins {max(known):.2g} h before the peak or earlier" if known else ""
