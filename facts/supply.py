"""What can be booked of an instance type: how many, how long, how far ahead and where, each with source and date."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from facts.reader import keyed, rows


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


@dataclass(frozen=True)
class OnDemandLimit:
    """An EC2 quota on running instances of a family, in vCPUs of a region; what a new account is granted."""

    family: str
    quota: str
    code: str
    default_vcpu: float
    source: str
    source_date: str


@cache
def on_demand_limits() -> Mapping[str, OnDemandLimit]:
    """By family: inf, trn, p, g."""
    return keyed(OnDemandLimit, "on_demand_limits.csv", "family")


def on_demand_limit(instance: str) -> OnDemandLimit | None:
    """Of an instance type; None of a family that is not known. `inf2.48xlarge` is inf, `p5en.48xlarge` p."""
    letters = instance.split(".")[0]
    family = letters[:3] if letters[:3] in ("inf", "trn") else letters[0]
    return on_demand_limits().get(family)


@cache
def vcpus() -> Mapping[str, float]:
    """Of one instance, by type."""
    return {row["instance"]: float(row["vcpu"]) for row in rows("instances.csv") if row["vcpu"]}
