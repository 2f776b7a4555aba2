"""Durations, rates and windows as people type them."""

from __future__ import annotations

import itertools
import math
import re
from datetime import datetime

from peakday.errors import CommandError

_PART = r"(\d+(?:\.\d*)?|\.\d+)\s*([a-z]*)\s*"
_UNIT_S = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def duration_s(text: str, option: str) -> float:
    """`300`, `300s`, `5m`, `4h`, `4d`, and from large to small `18h10m`, `1d2h30m` -> seconds; >= 0."""
    parts = re.findall(_PART, text)
    units_s = [_UNIT_S.get(unit, 0.0) for _, unit in parts]
    falling = all(earlier > later for earlier, later in itertools.pairwise(units_s))
    named = len(parts) == 1 or all(unit for _, unit in parts)
    if not re.fullmatch(rf"\s*(?:{_PART})+", text) or not all(units_s) or not (falling and named):
        raise CommandError(f"{option} {text!r}: expected a duration such as 300s, 5m, 4h or 18h10m")
    return sum(float(number) * unit_s for (number, _), unit_s in zip(parts, units_s, strict=True))


def length_s(text: str, option: str) -> float:
    """A duration of something that lasts: > 0."""
    seconds = duration_s(text, option)
    if seconds <= 0:
        raise CommandError(f"{option} {text!r}: expected a duration above zero")
    return seconds


def rate_per_s(text: str, option: str) -> float:
    """`60/s`, `3600/min`, `60` -> per second; > 0."""
    number, _, per = text.partition("/")
    try:
        rate = float(number) / _UNIT_S[per.strip()]
    except (ValueError, KeyError):
        raise CommandError(f"{option} {text!r}: expected a rate such as 60/s or 3600/min") from None
    if not (math.isfinite(rate) and rate > 0):
        raise CommandError(f"{option} {text!r}: expected a rate above zero")
    return rate


def window_s(text: str, option: str) -> tuple[float, float]:
    """`0s:300s` -> (start, end) in seconds from the start of the event; start < end."""
    start, colon, end = text.partition(":")
    if not colon:
        raise CommandError(f"{option} {text!r}: expected START:END such as 0s:300s")
    window = duration_s(start, option), duration_s(end, option)
    if window[0] >= window[1]:
        raise CommandError(f"{option} {text!r}: the end must come after the start")
    return window


def moment(text: str, option: str) -> datetime:
    """`2026-11-27T00:00:00-08:00` -> a time with its zone."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise CommandError(f"{option} {text!r}: expected a time with its zone, such as 2026-11-27T00:00:00-08:00")
    return at
