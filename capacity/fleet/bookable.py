"""What a plan buys against what can be booked: a line for each limit it breaks, with the next best."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

from capacity.fleet.inputs import PlanInputs
from capacity.fleet.outcome import SelfHostedChoice
from capacity.fleet.self_hosted import MostToBeHad
from capacity.plan import Plan
from capacity.rows.fleet import ChipOption, SupplyPlan
from capacity.rows.needs import InstanceLimit
from facts.reader import instances
from facts.supply import OnDemandLimit, SupplyLimit, on_demand_limit, supply_limits, vcpus
from scenarios.schema import Resilience

BLOCK = "capacity block"
HOURS_PER_DAY = 24.0


def supply_findings(plan: Plan) -> tuple[str, ...]:
    """Every booking that cannot be made as planned: too many, too long, or not offered there; and what comes next."""
    booked: dict[str, list[tuple[SupplyPlan, ChipOption]]] = defaultdict(list)
    for supply in plan.supplies:
        if supply.chosen is not None and in_block(supply.chosen) and supply.chosen.bought_instances:
            booked[supply.chosen.instance_type].append((supply, supply.chosen))
    blocks = tuple(
        line for kind, bookings in booked.items() for line in _findings(supply_limits().get(kind), kind, bookings)
    )
    return (*blocks, *(f"supply: {line}" for line in plan.exceptions))


def instance_limits(inputs: PlanInputs, choices: Sequence[SelfHostedChoice]) -> tuple[InstanceLimit, ...]:
    """The EC2 quotas that all instances bought by the hour need together, by region and family; none for owned ones."""
    bought: dict[tuple[str, OnDemandLimit], dict[str, int]] = defaultdict(dict)
    for choice in choices:
        kind, limit = choice.offer.instance.instance, on_demand_limit(choice.offer.instance.instance)
        count = int(choice.bought(inputs.scenario.capacity.resilience).instances) - choice.offer.owned
        if limit is None or kind not in vcpus() or count <= 0 or choice.offer.price_kind == BLOCK:
            continue
        if choice.offer.price_kind == "own price" and instances()[kind].on_demand_usd_per_hour is None:
            continue
        there = bought[choice.region, limit]
        there[kind] = there.get(kind, 0) + count
    return tuple(
        InstanceLimit(
            region=region,
            quota=limit.quota,
            code=limit.code,
            needed_vcpu=sum(vcpus()[kind] * count for kind, count in counts.items()),
            granted_vcpu=inputs.on_demand_vcpus(limit, region),
            default_vcpu=limit.default_vcpu,
            instances=counts,
            source=f"facts/data/on_demand_limits.csv, {limit.source_date}",
        )
        for (region, limit), counts in bought.items()
    )


Limits = dict[tuple[str, str, str], MostToBeHad]
"""By region, model and instance type."""


def beyond_limits(inputs: PlanInputs, choices: Sequence[SelfHostedChoice]) -> Limits:
    """How many of what is chosen can be had, where that is fewer: of Capacity Blocks, and of grants that are known.

    What one limit gives is shared in proportion to what would be bought. Owned instances need none.
    """
    return _beyond_blocks(choices, inputs.scenario.capacity.resilience) | _beyond_grants(inputs, choices)


def _beyond_grants(inputs: PlanInputs, choices: Sequence[SelfHostedChoice]) -> Limits:
    limits: Limits = {}
    for limit in instance_limits(inputs, choices):
        if limit.granted_vcpu is None or not limit.exceeds:
            continue
        most = f"at most {limit.granted_vcpu:,.0f} can be booked"
        why = f"{limit.needed_vcpu:,.0f} vCPUs of {limit.quota} are needed, {most}"
        for choice in choices:
            kind, owned = choice.offer.instance.instance, choice.offer.owned
            if choice.region == limit.region and kind in limit.instances and choice.offer.price_kind != BLOCK:
                count = _count(choice, inputs.scenario.capacity.resilience)
                share = math.floor(count * limit.granted_vcpu / limit.needed_vcpu) + owned
                limits[choice.region, choice.service.model, kind] = MostToBeHad(share, why)
    return limits


def _beyond_blocks(choices: Sequence[SelfHostedChoice], rules: Resilience) -> Limits:
    by_type: dict[str, list[SelfHostedChoice]] = defaultdict(list)
    for choice in choices:
        if choice.offer.price_kind == BLOCK and _count(choice, rules) > 0:
            by_type[choice.offer.instance.instance].append(choice)
    limits: Limits = {}
    for kind, chosen in by_type.items():
        limit, total = supply_limits().get(kind), sum(_count(choice, rules) for choice in chosen)
        for choice in chosen:
            passed = _passed(limit, kind, choice, total) if limit is not None else None
            if limit is None or passed is None:
                continue
            why, shared = passed
            most = _count(choice, rules) * shared // total + choice.offer.owned
            source = f"{limit.source.split(' ')[0]}, {limit.source_date}"
            limits[choice.region, choice.service.model, kind] = MostToBeHad(most, f"{why} ({source})")
    return limits


def _passed(limit: SupplyLimit, kind: str, choice: SelfHostedChoice, total: int) -> tuple[str, int] | None:
    """What of a limit of Capacity Blocks is passed, and the instances that it gives to all; None where nothing is."""
    days = choice.billed_hours / HOURS_PER_DAY
    if limit.regions and choice.region not in limit.regions:
        return f"Capacity Blocks of {kind} were offered in {', '.join(limit.regions)} only", 0
    if limit.days_max is not None and days > limit.days_max:
        return f"{kind} for {days:,.0f} days, at most {limit.days_max:,} can be booked", 0
    most = limit.instances_max
    if most is not None and total > most:
        return f"{total:,} x {kind} in Capacity Blocks at one time, at most {most:,} can be booked", most
    return None


def _count(choice: SelfHostedChoice, rules: Resilience) -> int:
    """Instances to book."""
    return max(0, int(choice.bought(rules).instances) - choice.offer.owned)


def in_block(option: ChipOption) -> bool:
    """True for what is bought as a Capacity Block: at such a price, or of a type sold in no other way."""
    limit = supply_limits().get(option.instance_type)
    return option.price_kind == BLOCK or (
        limit is not None and option.price_kind == "own price" and _only_blocks(limit)
    )


def next_best(supply: SupplyPlan) -> ChipOption | None:
    """The cheapest other option of the supply that serves its load and can be booked there as it stands."""
    others = [
        option
        for option in supply.options
        if option.rejected is not None and option.rate_per_replica_per_s.mid > 0 and option.bought_instances > 0
    ]
    fitting = [option for option in others if not in_block(option) or _fits(option, supply.region)]
    return min(fitting, key=lambda option: option.event_usd, default=None)


def _findings(limit: SupplyLimit | None, kind: str, bookings: Sequence[tuple[SupplyPlan, ChipOption]]) -> list[str]:
    if limit is None:
        return []
    lines = []
    total = sum(option.bought_instances for _, option in bookings)
    source = f"{limit.source.split(' ')[0]}, {limit.source_date}"
    if limit.instances_max is not None and total > limit.instances_max:
        lines.append(
            f"supply: {total:,} x {kind} in Capacity Blocks at one time, at most {limit.instances_max:,} can be booked "
            f"({source}); {_instead(bookings)}"
        )
    for supply, option in bookings:
        days = option.billed_hours / HOURS_PER_DAY
        if limit.regions and supply.region not in limit.regions:
            lines.append(
                f"supply: {kind} for {supply.model} in {supply.region}: Capacity Blocks of it were offered in "
                f"{', '.join(limit.regions)} only ({source}); {_instead([(supply, option)])}"
            )
        if limit.days_max is not None and days > limit.days_max:
            lines.append(f"supply: {kind} for {days:,.0f} days, at most {limit.days_max:,} can be booked ({source})")
    return lines


def _instead(bookings: Sequence[tuple[SupplyPlan, ChipOption]]) -> str:
    """The next best of each booking, or that there is none."""
    lines = []
    for supply, option in bookings:
        other = next_best(supply)
        where = f"{supply.model} in {supply.region}"
        if other is None:
            lines.append(f"nothing else compared serves {where}: needs an exception for {option.bought_instances:,}")
            continue
        lines.append(
            f"next best for {where}: {other.bought_instances:,} x {other.instance_type} ({other.price_kind}), "
            f"{other.event_usd:,.0f} USD in place of {option.event_usd:,.0f}"
        )
    return "; ".join(lines)


def _fits(option: ChipOption, region: str) -> bool:
    limit = supply_limits().get(option.instance_type)
    if limit is None:
        return False
    many = limit.instances_max is None or option.bought_instances <= limit.instances_max
    return many and (not limit.regions or region in limit.regions)


def _only_blocks(limit: SupplyLimit) -> bool:
    return instances()[limit.instance].on_demand_usd_per_hour is None
