"""Panels on self-hosted models: how many chips of which kind, where, how busy, and what else was looked at."""

from __future__ import annotations

from capacity.plan import Plan
from capacity.rows.fleet import SupplyPlan
from dashboards.html import charts
from dashboards.html.charts import Line
from dashboards.html.page import Cell, Panel, Table
from dashboards.numbers.plan import calls_per_interaction
from dashboards.numbers.run import Number, find
from dashboards.numbers.units import show


def chip_panels(plan: Plan, numbers: list[Number]) -> list[Panel]:
    """Chips of each pool with their range, what to provision by zone, how busy it is, and every option looked at."""
    pools = [supply for supply in plan.supplies if supply.chosen]
    if not pools:
        return [Panel("Chips by model", "No model of this plan is self-hosted.")]
    rows = [_pool_row(plan, supply, numbers) for supply in pools]
    columns = (
        "Model",
        "Region",
        "Chip",
        "Chips",
        "Instances p50 / p90 / p95 / bought",
        "Bought per zone",
        "Per replica",
        "Utilisation",
        "Per hour",
        "Bound by",
    )
    table = Table("Chosen for each model and region", columns, rows, text_columns=(0, 1, 2, 9))
    names = [f"{supply.model}, {supply.region}" for supply in pools]
    chips = [supply.chosen.chips_range for supply in pools if supply.chosen]
    errors = {"chips": ([max(c.mid - c.low, 0) for c in chips], [max(c.high - c.mid, 0) for c in chips])}
    chart = charts.bars(names, {"chips": [c.mid for c in chips]}, "chips", errors)
    most = max(range(len(pools)), key=lambda i: chips[i].mid)
    sentence = (
        f"{names[most]} takes most: {show(chips[most].mid, 'chips')} chips as bought; with "
        f"{chips[most].confidence:.0%} confidence it needs {show(chips[most].low, 'chips')} to "
        f"{show(chips[most].high, 'chips')}."
    )
    return [
        Panel("Chips by model", sentence, _brief(pools, numbers), chart),
        Panel("What to provision", "The binding limit of each pool stands last.", table),
        *_busy_panel(plan, pools),
        _options_panel(plan),
    ]


def _brief(pools: list[SupplyPlan], numbers: list[Number]) -> Table:
    rows: list[list[Cell]] = [
        [
            f"{supply.model}, {supply.region}",
            find(numbers, "chips", region=supply.region, model=supply.model, chip=supply.chosen.chip),
        ]
        for supply in pools
        if supply.chosen
    ]
    return Table("Chips as bought", ("Pool", "Chips"), rows)


def _pool_row(plan: Plan, supply: SupplyPlan, numbers: list[Number]) -> list[Cell]:
    option = supply.chosen
    if option is None:
        raise ValueError(f"{supply.model} in {supply.region} has no chosen option")
    where = {"region": supply.region, "model": supply.model}
    instances = " / ".join(show(value, "instances") for value in option.instances.by_name.values())
    return [
        supply.model,
        supply.region,
        f"{option.chip} ({option.instance_type})",
        find(numbers, "chips", **where, chip=option.chip),
        instances,
        show(option.bought_instances / plan.rules.zones if plan.rules else None, "instances"),
        find(numbers, "rate_per_replica_per_s", **where),
        find(numbers, "utilisation_ratio", **where),
        find(numbers, "usd_per_hour", **where),
        option.binding,
    ]


def _options_panel(plan: Plan) -> Panel:
    rows: list[list[Cell]] = [
        [
            supply.model,
            supply.region,
            f"{o.chip} ({o.instance_type})",
            show(o.bought_chips or None, "chips"),
            show(o.event_usd or None, "usd"),
            show(o.overflow.usd, "usd") if o.overflow else "",
            o.usd_per_hour.provenance,
            o.rejected or "chosen",
        ]
        for supply in plan.supplies
        for o in supply.options
    ]
    table = Table(
        "Every chip looked at",
        ("Model", "Region", "Chip", "Chips as bought", "The event", "Beyond it, on Bedrock", "Provenance", "Outcome"),
        rows,
        text_columns=(0, 1, 2, 6, 7),
    )
    return Panel(
        "Options", "An option loses by price, by memory or by a missed SLO; its reason stands beside it.", table
    )


def _busy_panel(plan: Plan, pools: list[SupplyPlan]) -> list[Panel]:
    """Busy share of what is bought over the event, in the middle case, for pools whose calls follow interactions."""
    lines: list[Line] = []
    for supply in pools:
        option, per_interaction = supply.chosen, calls_per_interaction(plan, supply)
        if option is None or per_interaction is None or not option.replicas.at_level:
            continue
        demand = next(d for d in plan.demand if d.region == supply.region)
        highest = max(demand.interactions_per_s_p50, default=0.0) or 1.0
        busy = [option.utilisation_ratio.mid * rate / highest for rate in demand.interactions_per_s_p50]
        lines.append(Line(f"{supply.model}, {supply.region}", demand.offset_s, busy, len(lines)))
    if not lines:
        return []
    first = max(lines, key=lambda line: max(line.y))
    sentence = (
        f"Fleets are bought with zones to spare; at the median demand, with its share of a region that may be lost, "
        f"{first.name} peaks at {show(max(first.y), 'ratio')}."
    )
    rows: list[list[Cell]] = [
        [line.name, show(max(line.y), "ratio"), show(sum(line.y) / len(line.y), "ratio")] for line in lines
    ]
    table = Table("Busy share of replicas, middle case", ("Pool", "Highest", "Mean"), rows)
    span_s = max(float(line.x[-1]) for line in lines) or 1.0
    return [Panel("Utilisation over the event", sentence, table, charts.lines(lines, "ratio", span_s))]
