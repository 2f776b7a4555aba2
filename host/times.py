"""Times as files have them: ISO 8601, or numbers in a stated or plausible unit; never in this machine's zone."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime

_SINCE_1970 = ((1e17, 1e-9, "nanoseconds"), (1e14, 1e-6, "microseconds"), (1e11, 1e-3, "milliseconds"))
"""Above it a bare number counts so since 1970: as seconds 1e11 is the year 5138, as milliseconds 1973."""
_OF_WEB_SERVERS = re.compile(r"\d\d/[A-Z][a-z]{2}/\d{4}:")
"""How a time of the common log format begins, `29/Nov/2026:10:00:00 +0000`."""
_DIGITS_OF_SECOND = re.compile(r"(\.\d{6})\d+")


@dataclass(frozen=True)
class Moment:
    """A time in seconds; since 1970 where it says so. `zone`: it has one. `unit`: how a bare number was
    taken whose column does not say."""

    seconds: float
    zone: bool
    unit: str


def moment_of(cell: str, unit_s: float | None = None) -> Moment:
    """A cell as a time: ISO 8601 (no zone means UTC), or a number in a unit that is stated or plausible.

    Raises:
        ValueError: neither.
    """
    text = cell.strip()
    try:
        value = float(text)
    except ValueError:
        return _of_iso(text)
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is no time")
    if unit_s is not None:
        return Moment(value * unit_s, True, "")
    size, name = next(((size, name) for above, size, name in _SINCE_1970 if abs(value) > above), (1.0, "seconds"))
    return Moment(value * size, True, name)


def seconds_of(text: str) -> float:
    """A cell as seconds; raises as `moment_of` does."""
    return moment_of(text).seconds


def _of_iso(text: str) -> Moment:
    if _OF_WEB_SERVERS.match(text):
        return Moment(datetime.strptime(text, "%d/%b/%Y:%H:%M:%S %z").timestamp(), True, "ISO 8601")
    iso = _DIGITS_OF_SECOND.sub(r"\1", text.removesuffix(" UTC").replace(" +", "+"))
    moment = datetime.fromisoformat(iso)
    if moment.tzinfo is not None:
        return Moment(moment.timestamp(), True, "ISO 8601")
    return Moment(moment.replace(tzinfo=UTC).timestamp(), text.endswith("UTC"), "ISO 8601")
