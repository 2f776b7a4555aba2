"""How a fleet is held over the event: by the hour ahead of its need, or throughout."""

from __future__ import annotations

import numpy as np

from capacity.cost.hours import HourlyNeed, billed_hours
from capacity.cost.purchase import Bought, PurchaseOption, buy
from capacity.fleet.inputs import PlanInputs
from capacity.fleet.outcome import Base, SelfHostedChoice
from capacity.fleet.sizing import fleet
from capacity.rows.fleet import Schedule
from capacity.simulator.requests import Ints
from scenarios.schema import Resilience


def schedules(inputs: PlanInputs, base: Base) -> tuple[Schedule, ...]:
    """Instances by the hour for the p90 timeline, scaled ahead of the need by the warm-up, against a flat fleet.

    With commitments the cheapest mix of them, of owned instances and of hours, which no headline pays before they are
    signed.
    """
    rows = []
    for choice in base.own:
        flat = choice.bought(base.rules)
        hourly = inputs.hourly(choice.stream, choice.region)
        if hourly is None:
            hourly = HourlyNeed(np.ones(1), np.array([inputs.paid_s / 3_600]))
        mixed = _with_commitments(inputs, choice, base.rules, hourly)
        instances = _by_hour(choice, base.rules, hourly)
        usd = float(choice.offer.event_usd(instances, 1.0) @ hourly.lasts_h)
        own = min(choice.offer.owned, int(instances.max()))
        held = {choice.offer.instance.instance: own} if own else {}
        if choice.offer.price_kind == "capacity block":
            instances, usd = np.full(len(instances), int(flat.instances)), float(choice.usd(flat).max())
        if mixed is not None and mixed.usd < usd * (1 - 1e-9):
            groups = sum(mixed.hourly.values(), np.zeros(len(instances), dtype=np.int64)) + sum(mixed.held.values())
            instances, usd = groups * base.rules.zones, mixed.usd
            held = {name: count * base.rules.zones for name, count in mixed.held.items()}
        hours = billed_hours(choice.offer.price_kind, inputs.paid_s, inputs.begins_s)
        rows.append(
            Schedule(
                region=choice.region,
                model=choice.service.model,
                instance_type=choice.offer.instance.instance,
                price_kind=choice.offer.price_kind,
                committed=held,
                instances_by_hour=tuple(instances.tolist()),
                usd=usd,
                flat_usd=float(choice.offer.event_usd(flat.instances, hours).max()),
            )
        )
    return tuple(rows)


def _by_hour(choice: SelfHostedChoice, rules: Resilience, hourly: HourlyNeed) -> Ints:
    load = choice.load_per_s * choice.bought_over_p50 * hourly.share
    return fleet(load, choice.service.rate_per_s, choice.service.step, choice.offer.instance, rules).instances


def _with_commitments(
    inputs: PlanInputs, choice: SelfHostedChoice, rules: Resilience, hourly: HourlyNeed
) -> Bought | None:
    """The cheapest mix of commitments on the same chip and of hours, where any is offered."""
    offers = _offers(inputs, choice, rules)
    if len(offers) < 2:
        return None
    return buy(choice.load_per_s * choice.bought_over_p50 * hourly.share, offers, hourly.lasts_h)


def _offers(inputs: PlanInputs, choice: SelfHostedChoice, rules: Resilience) -> list[PurchaseOption]:
    """One instance in each zone, as the plan bought it; and the user's commitments on the same chip."""
    offer, zones = choice.offer, rules.zones
    term_h = choice.billed_hours if offer.price_kind == "capacity block" else None
    owned = offer.owned // zones
    offers = [
        PurchaseOption(
            offer.instance.instance, offer.usd_per_hour * zones, choice.calls_per_group(rules), term_h, owned
        )
    ]
    for number, other in enumerate(inputs.prices.commitments):
        instance = inputs.prices.instances[other.instance]
        if instance.chip == offer.instance.chip:
            carries = choice.calls_per_group(rules, instance.chips)
            name = f"{other.instance} for {other.term_h:g} h (commitment {number})"
            offers.append(PurchaseOption(name, other.usd_per_hour * zones, carries, other.term_h))
    return offers
