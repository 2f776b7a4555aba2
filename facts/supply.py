"""What can be booked of an instance type: how many, how long, how far ahead and where, each with source and date."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from facts.reader import keyed


@dataclass(frozen=True)
class SupplyLimit:
    """One way to book one instance type. None and no regions: nobody published it.

    instances_max: over all bookings of an account's organisation at one time. lead_days: how long before its start a
    booking can be made, at least and at most.
    """

    instance: str
    purchase: str
    instances_per_block_max: int | None
    instances_max: int | None
    days_max: int | None
    lead_days_min: float | None
    lead_days_max: float | None
    regions: tuple[str, ...]
    source: str
    source_date: str


@cache
def supply_limits() -> Mapping[str, SupplyLimit]:
    """Limits of Capacity Blocks by instance type; a type that is not here is not sold in them, as far as we read."""
    return keyed(SupplyLimit, "supply_limits.csv", "instance")
