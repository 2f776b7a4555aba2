"""From calls a second to replicas, zones, instances and chips; everything bought is whole. Works on whole arrays."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from capacity.cost.hours import BY_THE_HOUR, THROUGHOUT, HourlyNeed, billed_hours
from capacity.simulator.requests import Floats, Ints
from facts.reader import Instance, instances
from neuron_bench.step_model import StepModel
from scenarios.schema import Resilience


@dataclass(frozen=True)
class InstanceOffer:
    """An instance type with the price of an hour and its kind (on demand, capacity block, own price)."""

    instance: Instance
    usd_per_hour: float
    price_kind: str
    owned: int = 0  # instances in the region that are paid for already

    def event_usd(self, instances: Floats | Ints | float, hours: float) -> Floats:
        """What so many instances cost for these hours."""
        return np.asarray(np.maximum(0, np.asarray(instances) - self.owned) * self.usd_per_hour * hours)


@dataclass(frozen=True)
class Fleet:
    """Over all zones. Each array has the shape of the load it carries."""

    replicas: Ints
    instances: Ints
    chips: Ints


def ceil_without_noise(values: Floats | float) -> Ints:
    """Round up, after float noise is rounded off: 3.0000000000000004 replicas are three."""
    return np.asarray(np.ceil(np.round(values, 9)), dtype=np.int64)


def replicas_per_zone(load_per_s: Floats | float, rate_per_replica_per_s: Floats | float, rules: Resilience) -> Ints:
    """Fewest replicas in each of z zones that carry the load with f zones lost, some draining and some broken.

    Raises:
        ValueError: a replica that serves nothing.
    Source: docs/plan.md, n = ceil(L (1 + retry) / (m (z - f) (1 - drain - broken))).
    """
    if np.any(np.asarray(rate_per_replica_per_s) <= 0):
        raise ValueError("a replica that serves no call at its SLO cannot be multiplied into a fleet")
    zones_left = rules.zones - rules.zones_lost
    working = 1 - rules.drain_ratio - rules.broken_ratio
    load = np.asarray(load_per_s) * (1 + rules.retry_extra_attempts)
    return ceil_without_noise(load / (np.asarray(rate_per_replica_per_s) * zones_left * working))


def fleet(
    load_per_s: Floats | float,
    rate_per_replica_per_s: Floats | float,
    model: StepModel,
    instance: Instance,
    rules: Resilience,
) -> Fleet:
    """The fleet of one instance type. An instance may hold several replicas, or a replica several instances."""
    return holding(replicas_per_zone(load_per_s, rate_per_replica_per_s, rules), model, instance, rules)


def holding(replicas: Ints, model: StepModel, instance: Instance, rules: Resilience) -> Fleet:
    """The fleet that holds so many replicas in each zone."""
    if model.chips_per_replica > instance.chips:
        instances = replicas * ceil_without_noise(model.chips_per_replica / instance.chips)
    else:
        replicas_per_instance = math.floor(round(instance.chips / model.chips_per_replica, 9))
        instances = ceil_without_noise(replicas / replicas_per_instance)
    bought = instances * rules.zones
    return Fleet(replicas * rules.zones, bought, bought * instance.chips)


def regional_factor(shares: Mapping[str, float], region: str, *, region_loss: bool) -> float:
    """What a region carries over its own demand when any one other may be lost: 1 / (1 - largest other share).

    A lost region's demand spreads over the rest in proportion to their shares: three equal regions carry 3/2 each.
    """
    others = [share for name, share in shares.items() if name != region]
    if not region_loss or not others:
        return 1.0
    return 1 / (1 - max(others))


def priced_offers(
    chip: str, chips_per_replica: float, offered: Mapping[str, Instance], own_usd_per_hour: Mapping[str, float]
) -> list[InstanceOffer]:
    """Instance types that hold a chip and have a price: the user's own, on demand, or capacity block.

    Reserved rows have no stated term and are never used. A replica spans instances only where no type holds it whole.
    """
    offers = []
    for name, instance in offered.items():
        if instance.chip != chip.lower():
            continue
        if name in own_usd_per_hour:
            offers.append(InstanceOffer(instance, own_usd_per_hour[name], "own price"))
        elif instance.on_demand_usd_per_hour is not None:
            offers.append(InstanceOffer(instance, instance.on_demand_usd_per_hour, "on demand"))
        elif instance.capacity_block_usd_per_hour is not None:
            offers.append(InstanceOffer(instance, instance.capacity_block_usd_per_hour, "capacity block"))
    one_instance = [offer for offer in offers if offer.instance.chips >= chips_per_replica]
    return one_instance or offers


def list_usd_per_hour(offer: InstanceOffer) -> float | None:
    """The public price of an hour of its kind, before any discount; None where there is none."""
    public = instances()[offer.instance.instance]
    if offer.price_kind == "capacity block" or public.on_demand_usd_per_hour is None:
        return public.capacity_block_usd_per_hour
    return public.on_demand_usd_per_hour


@dataclass(frozen=True)
class Period:
    """What is paid for: seconds, when they begin after midnight UTC, and what each hour needs of the peak if known."""

    paid_s: float
    begins_s: float | None = None
    hourly: HourlyNeed | None = None


@dataclass(frozen=True)
class Hold:
    """A fleet of one offer held over the event in the cheaper way. billed_hours: mean of an instance that is paid."""

    offer: InstanceOffer
    instances: int
    billed_hours: float
    held: str
    usd: float


def held_for(
    load_per_s: float,
    rate_per_replica_per_s: float,
    model: StepModel,
    offer: InstanceOffer,
    rules: Resilience,
    period: Period,
) -> Hold:
    """Held throughout as the price is sold or, where it is sold by the hour, in each hour what that hour needs."""
    hours = billed_hours(offer.price_kind, period.paid_s, period.begins_s)
    instances = int(fleet(load_per_s, rate_per_replica_per_s, model, offer.instance, rules).instances)
    flat_usd = float(offer.event_usd(instances, hours))
    if period.hourly is None or offer.price_kind == "capacity block" or flat_usd == 0:
        return Hold(offer, instances, hours, THROUGHOUT, flat_usd)
    each = fleet(load_per_s * period.hourly.share, rate_per_replica_per_s, model, offer.instance, rules)
    usd = float(offer.event_usd(each.instances, 1.0) @ period.hourly.lasts_h)
    if usd >= flat_usd * (1 - 1e-9):
        return Hold(offer, instances, hours, THROUGHOUT, flat_usd)
    return Hold(offer, instances, hours * usd / flat_usd, BY_THE_HOUR, usd)
