"""What time on an instance costs: how hours are billed, and what to buy for a need that changes over the event."""

from __future__ import annotations

import math
from dataclasses import dataclass

from capacity.simulator.requests import Floats

HOUR_S = 3_600.0
DAY_H = 24.0
BLOCK_BOUNDARY_S = 11.5 * HOUR_S
BLOCK_DAYS_MAX = 14
WEEK_DAYS = 7
ON_DEMAND_MIN_S = 60.0
"""On demand is billed by the second, a minute at least (EC2 pricing pages, Linux; recalled, not re-read)."""


BY_THE_HOUR, THROUGHOUT = "by the hour", "throughout"


@dataclass(frozen=True)
class HourlyNeed:
    """What each hour of an event needs, as a share of its peak [hours], and for how long it is billed [hours]."""

    share: Floats
    lasts_h: Floats


def billed_hours(price_kind: str, seconds: float, begins_s: float | None = None) -> float:
    """Hours charged for a use: capacity blocks as they are sold, everything else by the second.

    A block begins and ends at 11:30 UTC, in days, beyond 14 days in weeks (EC2 user guide,
    Capacity Blocks; recalled, not re-read).
    begins_s: of the use, in seconds after midnight UTC; None where only its length is known.
    """
    if price_kind != "capacity block":
        return max(seconds, ON_DEMAND_MIN_S) / HOUR_S
    before_s = 0.0 if begins_s is None else (begins_s - BLOCK_BOUNDARY_S) % (DAY_H * HOUR_S)
    days = math.ceil(round((before_s + seconds) / HOUR_S / DAY_H, 9))
    if days > BLOCK_DAYS_MAX:
        days = math.ceil(days / WEEK_DAYS) * WEEK_DAYS
    return days * DAY_H
