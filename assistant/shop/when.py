"""Times as customers say them, as a span of days in the past."""

from __future__ import annotations

import re
from datetime import date, timedelta

_MONTHS = {name: number for number, name in enumerate(
    ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
     "december"), start=1,
)}  # fmt: skip
_AGO = re.compile(r"\b(\d{1,3}|a|an|one|two|three|four) (day|week|month)s? ago\b")
_SPAN = re.compile(r"\b(?:last|past) (\d{1,3}) (day|week|month)s?\b")
_NUMBER = {"a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4}
_DAYS = {"day": 1, "week": 7, "month": 30}
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_ISO = re.compile(r"\b(\d{4})-(\d{2})-(\d{2})\b")

Span = tuple[date, date]
"""First and last day, both included."""


def days_of(said: str, today: date) -> Span | None:
    """The days a customer means, or None when the words name no time."""
    text = said.lower()
    if "yesterday" in text:
        return today - timedelta(days=1), today - timedelta(days=1)
    if "today" in text or "this morning" in text:
        return today, today
    monday = today - timedelta(days=today.weekday())
    if "last week" in text:
        return monday - timedelta(days=7), monday - timedelta(days=1)
    if "this week" in text:
        return monday, today
    if "last month" in text:
        end = today.replace(day=1) - timedelta(days=1)
        return end.replace(day=1), end
    return _counted(text, today) or _named(text, today)


def _counted(text: str, today: date) -> Span | None:
    """`3 weeks ago` is that day, give or take half the unit; `last 10 days` reaches up to today."""
    if match := _AGO.search(text):
        number = _NUMBER.get(match[1]) or int(match[1])
        middle = today - timedelta(days=number * _DAYS[match[2]])
        slack = timedelta(days=_DAYS[match[2]] // 2)
        return middle - slack, middle + slack
    if match := _SPAN.search(text):
        return today - timedelta(days=int(match[1]) * _DAYS[match[2]] - 1), today
    return None


def _named(text: str, today: date) -> Span | None:
    """A month by name is the newest one that has begun, a weekday the newest before today; a date is itself."""
    if match := _ISO.search(text):
        try:
            day = date(int(match[1]), int(match[2]), int(match[3]))
        except ValueError:
            return None
        return day, day
    for word in re.findall(r"[a-z]+", text):
        if word in _WEEKDAYS:
            day = today - timedelta(days=(today.weekday() - _WEEKDAYS.index(word) - 1) % 7 + 1)
            return day, day
        if month := _MONTHS.get(word):
            year = today.year if month <= today.month else today.year - 1
            following = date(year + month // 12, month % 12 + 1, 1)
            return date(year, month, 1), min(today, following - timedelta(days=1))
    return None
