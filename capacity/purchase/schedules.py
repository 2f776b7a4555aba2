"""How a fleet is held over the event: by the hour ahead of its need, or throughout."""

from __future__ import annotations

import numpy as np

from capacity.cost.purchase import PurchaseOption, buy, hourly_need
from capacity.fleet.inputs import PlanInputs
from capacity.fleet.outcome import Base, SelfHostedChoice
from capacity.plan import Schedule
from scenarios.schema import Resilience


def schedules(inputs: PlanInputs, base: Base) -> tuple[Schedule, ...]:
    """Instances by the hour for the p90 timeline, scaled ahead of the need by the warm-up, against a flat fleet."""
    rows = []
    for choice in base.own:
        flat = choice.bought(base.rules)
        timeline = inputs.demand[choice.stream][choice.region].timeline
        rate = np.array(timeline.interactions_per_s_p90) / max(timeline.interactions_per_s_p90)
        need, lasts_h = hourly_need(
            np.array(timeline.offset_s),
            rate * choice.load_per_s * choice.bought_over_p50,
            inputs.scenario.event.length_s,
            base.rules.warm_up_lag_s,
        )
        bought = buy(need, _offers(inputs, choice, base.rules), lasts_h)
        groups = sum(bought.hourly.values(), np.zeros(len(need), dtype=np.int64)) + sum(bought.held.values())
        rows.append(
            Schedule(
                region=choice.region,
                model=choice.service.model,
                instance_type=choice.offer.instance.instance,
                price_kind=choice.offer.price_kind,
                committed={name: count * base.rules.zones for name, count in bought.held.items()},
                instances_by_hour=tuple((groups * base.rules.zones).tolist()),
                usd=bought.usd,
                flat_usd=float(choice.usd(flat).max()),
            )
        )
    return tuple(rows)


def _offers(inputs: PlanInputs, choice: SelfHostedChoice, rules: Resilience) -> list[PurchaseOption]:
    """One instance in each zone, as the plan bought it; and the user's commitments on the same chip."""
    offer, zones = choice.offer, rules.zones
    term_h = choice.billed_hours if offer.price_kind == "capacity block" else None
    owned = inputs.prices.owned.get(offer.instance.instance, 0) // zones
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
