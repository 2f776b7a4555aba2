"""What time on an instance costs: how hours are billed, and what to buy for a need that changes over the event."""

from __future__ import annotations

import math

HOUR_S = 3_600.0
DAY_H = 24.0
ON_DEMAND_MIN_S = 60.0
"""On demand is billed by the second, a minute at least (EC2 pricing pages, Linux; recalled, not re-read)."""


def billed_hours(price_kind: str, seconds: float) -> float:
    """Hours charged for a use: capacity blocks are sold in whole days (recalled), everything else by the second."""
    if price_kind == "capacity block":
        return math.ceil(round(seconds / HOUR_S / DAY_H, 9)) * DAY_H
    return max(seconds, ON_DEMAND_MIN_S) / HOUR_S
