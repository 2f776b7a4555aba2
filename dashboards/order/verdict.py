"""Whether an order can be placed as written: its first line in every view, green only where all can be booked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from capacity.plan import Plan
from capacity.rows.fleet import ChipOption, SupplyPlan
from facts.geography import profile_warning
from facts.reader import models
from facts.supply import supply_limits

BLOCK = "capacity block"
HOURS_PER_DAY = 24.0


@dataclass(frozen=True)
class OrderVerdict:
    """One word, what stands in the way, and what must hold besides. `buyable` is true only without any obstacle."""

    word: str
    obstacles: tuple[str, ...]
    condition: str = ""

    @property
    def buyable(self) -> bool:
        """Whether every line can be booked as it is written."""
        return not self.obstacles

    @property
    def sentence(self) -> str:
        """The first line of an order."""
        return (
            f"{self.word}: {'; '.join(self.obstacles)}"
            if self.obstacles
            else f"{self.word}: as written{self.condition}"
        )


BUYABLE, NOT_BUYABLE, NOT_AN_ORDER = "BUYABLE", "NOT BUYABLE AS WRITTEN", "NOT AN ORDER"
EXCEPTIONS = "BUYABLE WITH EXCEPTIONS"


def order_verdict(plan: Plan, late: tuple[str, ...] = ()) -> OrderVerdict:
    """The verdict of a plan's order.

    Args:
        late: what can no longer be done in time, where the event's date is known.
    """
    beyond = plan.exceptions
    never = (*_unbookable(plan), *_left_out(plan), *_abroad(plan), *late)
    obstacles = (*never, *beyond)
    if plan.simulated:
        simulated = "a simulated input touched this plan; measure what it names and plan again"
        return OrderVerdict(NOT_AN_ORDER, (simulated, *obstacles))
    word = NOT_BUYABLE if never else EXCEPTIONS if beyond else BUYABLE
    return OrderVerdict(word, obstacles, "" if plan.limits else _condition(plan))


def _condition(plan: Plan) -> str:
    """What an order on demand hangs on: limits of the account, which no public list tells."""
    kinds = {
        supply.chosen.instance_type
        for supply in plan.supplies
        if supply.chosen is not None and supply.chosen.price_kind == "on demand" and supply.chosen.bought_instances
    }
    if not kinds:
        return ""
    return f", where the account's on-demand limits allow {', '.join(sorted(kinds))} (see its quota lines)"


def unbookable(plan: Plan) -> dict[tuple[str, str], list[str]]:
    """(model, region) -> why its instances cannot be booked as planned, by the published limits of Capacity Blocks."""
    booked: dict[str, list[tuple[SupplyPlan, ChipOption]]] = defaultdict(list)
    for supply in plan.supplies:
        if supply.chosen is not None and supply.chosen.price_kind == BLOCK and supply.chosen.bought_instances:
            booked[supply.chosen.instance_type].append((supply, supply.chosen))
    reasons: dict[tuple[str, str], list[str]] = defaultdict(list)
    for kind, bookings in booked.items():
        for supply, reason in _beyond_limits(kind, bookings):
            reasons[supply.model, supply.region].append(reason)
    return dict(reasons)


def _beyond_limits(kind: str, bookings: list[tuple[SupplyPlan, ChipOption]]) -> Iterator[tuple[SupplyPlan, str]]:
    limit = supply_limits().get(kind)
    if limit is None:
        return
    total = sum(option.bought_instances for _, option in bookings)
    for supply, option in bookings:
        if limit.instances_max is not None and total > limit.instances_max:
            yield supply, f"{total:,} x {kind} in Capacity Blocks, at most {limit.instances_max:,} at one time"
        if limit.regions and supply.region not in limit.regions:
            yield supply, f"no Capacity Blocks of {kind} are offered in {supply.region}"
        days = option.billed_hours / HOURS_PER_DAY
        if limit.days_max is not None and days > limit.days_max:
            yield supply, f"{days:,.0f} days of {kind}, at most {limit.days_max:,} can be booked"


def _unbookable(plan: Plan) -> list[str]:
    return list(dict.fromkeys(reason for reasons in unbookable(plan).values() for reason in reasons))


def _abroad(plan: Plan) -> Iterator[str]:
    """Models that cannot be called from a region of the plan by the profile they are planned with."""
    for name in dict.fromkeys(supply.model for supply in plan.supplies):
        model = models().get(name)
        if model and (line := profile_warning(model, (s.region for s in plan.supplies if s.model == name))):
            yield line


def _left_out(plan: Plan) -> Iterator[str]:
    """Demand that the order does not serve: nothing may make it look cheaper."""
    missing: dict[str, list[str]] = defaultdict(list)
    for supply in plan.supplies:
        if supply.options and supply.chosen is None:
            missing[supply.model].append(supply.region)
    for model, regions in missing.items():
        yield f"{model} is not in it: no chip meets its SLO in {', '.join(regions)}"
