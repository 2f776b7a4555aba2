"""A what-if's plan beside the base plan, as the data that its page shows."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest

from capacity.plan import Plan
from capacity.rows.doubt import VarianceShare
from capacity.rows.fleet import SupplyPlan
from dashboards.html.plan.page import quota_short
from dashboards.numbers.bridge import bridge, signed_usd
from dashboards.numbers.decisions import decisions
from dashboards.numbers.plan import plan_numbers
from dashboards.numbers.run import Number, find
from dashboards.numbers.units import show
from dashboards.numbers.warnings import by_weight
from peakday.serve.planning.question import Question

HOUR_S = 3_600.0
CAUSES_SHOWN = 6
WARNINGS_SHOWN = 5


def answer_data(base: Plan, plan: Plan, question: Question) -> dict[str, object]:
    """Cost with its bridge from the base, what is exceeded first, chips by region, and the range with its causes."""
    numbers = plan_numbers(plan)
    steps = bridge(base, plan)
    return {
        "command": question.command,
        "query": question.query,
        "simulated": plan.simulated,
        "tiles": list(_tiles(base, plan, numbers)),
        "bridge": {
            "sentence": steps.sentence,
            "from": steps.a_usd,
            "to": steps.b_usd,
            "steps": [{"name": s.name, "usd": s.usd, "text": signed_usd(s.usd)} for s in steps.steps if s.usd],
        },
        "first_limit": {"now": plan.first_limit_exceeded, "base": base.first_limit_exceeded},
        "short": quota_short(plan),
        "chips": [_chip_row(base, supply, numbers) for supply in plan.supplies if supply.chosen],
        "hours": hours(plan),
        "range": {
            "text": f"{show(plan.event_cost_usd.low, 'usd')} to {show(plan.event_cost_usd.high, 'usd')}",
            "confidence": plan.event_cost_usd.confidence,
            "causes": [{"name": v.cause, "share": v.share, "text": f"{v.share:.0%}"} for v in _causes(plan)],
            "moves": [_move(plan, i) for i in range(min(CAUSES_SHOWN, len(plan.sensitivities)))],
        },
        "decisions": [d.sentence for d in decisions(plan) if d.changes][:CAUSES_SHOWN],
        "warnings": by_weight(plan.warnings)[:WARNINGS_SHOWN],
    }


def _causes(plan: Plan) -> list[VarianceShare]:
    return sorted((v for v in plan.variance if v.share >= 0.005), key=lambda v: -v.share)[:CAUSES_SHOWN]


def _move(plan: Plan, index: int) -> dict[str, str]:
    row = plan.sensitivities[index]
    unit = "usd" if row.unit.lower().startswith("usd") else row.unit
    return {"input": row.input, "output": row.output, "text": f"{show(row.at_low, unit)} to {show(row.at_high, unit)}"}


def _tiles(base: Plan, plan: Plan, numbers: list[Number]) -> Iterator[dict[str, str]]:
    """The headline: each number with its range, what it was, and the key that explains it."""
    before = {number.key: number for number in plan_numbers(base)}
    wanted = [find(numbers, "event_cost_usd"), find(numbers, "cost_usd_per_interaction", intent="all")]
    wanted += [
        number for number in numbers if number.name == "cache_hit_token_ratio" and ("level", "all") in number.labels
    ]
    for number in wanted:
        if number is not None:
            was = before.get(number.key)
            yield {
                "label": number.label, "text": number.text, "range": number.interval, "why": number.key,
                "was": was.text if was is not None and was.text != number.text else "",
            }  # fmt: skip
    if plan.service is not None:
        odds = plan.service.short
        yield {
            "label": f"Probability of being short, bought for {plan.service.level:.0%}", "text": f"{odds.value:.1%}",
            "range": f"{odds.low:.1%} to {odds.high:.1%}", "why": "",
            "was": f"{base.service.short.value:.1%}" if base.service and base.service.short != odds else "",
        }  # fmt: skip
        yield {
            "label": "Budget that holds in as many draws", "text": show(plan.service.budget_usd, "usd"), "range": "",
            "why": "", "was": show(base.service.budget_usd, "usd") if base.service else "",
        }  # fmt: skip


def _chip_row(base: Plan, supply: SupplyPlan, numbers: list[Number]) -> dict[str, object]:
    """One fleet: what is bought where, what it was, and why not more or less."""
    option = supply.chosen
    assert option is not None
    was = next((s.chosen for s in base.supplies if (s.model, s.region) == (supply.model, supply.region)), None)
    chips = find(numbers, "chips", region=supply.region, model=supply.model, chip=option.chip)
    changed = was is not None and (was.chip, was.bought_chips) != (option.chip, option.bought_chips)
    return {
        "model": supply.model,
        "region": supply.region,
        "chip": option.chip,
        "chips": option.bought_chips,
        "text": f"{option.bought_chips:,} {option.chip}",
        "range": chips.interval if chips else "",
        "why": chips.key if chips else "",
        "instances": f"{option.bought_instances:,} x {option.instance_type}",
        "usd": show(option.event_usd, "usd"),
        "binding": option.binding,
        "was": f"{was.bought_chips:,} {was.chip}" if changed and was is not None else "",
    }


def hours(plan: Plan) -> list[dict[str, object]]:
    """Chips by the hour of the event in each region, were they scheduled; flat: what is held throughout otherwise."""
    per_instance = {
        (s.region, s.model): s.chosen.bought_chips / s.chosen.bought_instances
        for s in plan.supplies
        if s.chosen and s.chosen.bought_instances
    }
    chips: dict[str, list[float]] = {}
    for schedule in plan.schedules:
        each = per_instance.get((schedule.region, schedule.model), 0.0)
        mine = [count * each for count in schedule.instances_by_hour]
        before = chips.get(schedule.region, [])
        chips[schedule.region] = [a + b for a, b in zip_longest(before, mine, fillvalue=0.0)]
    flat = dict.fromkeys(chips, 0.0)
    for supply in plan.supplies:
        if supply.chosen and supply.region in flat:
            flat[supply.region] += supply.chosen.bought_chips
    return [{"region": region, "chips": chips[region], "flat": flat[region]} for region in chips]
