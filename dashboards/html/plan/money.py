"""Panels on what a plan costs, what would change it, and where its numbers come from."""

from __future__ import annotations

from collections.abc import Sequence

from capacity.plan import Plan
from capacity.rows.doubt import Sensitivity
from capacity.rows.money import Purchase
from dashboards.html import charts
from dashboards.html.charts import COLOURS, PATTERNS, Chart
from dashboards.html.page import Cell, Panel, Table
from dashboards.numbers.run import Number, find
from dashboards.numbers.units import show


def cost_panels(plan: Plan, numbers: list[Number]) -> list[Panel]:
    """Cost per interaction by intent and part, and the event's."""
    rows: list[list[Cell]] = [
        [line.intent, *[find(numbers, name, intent=line.intent) for name in _COST_NAMES]] for line in plan.cost
    ]
    columns = ("Intent", "Per interaction", "p95", "p99", "Per turn")
    table = Table("Cost per interaction and per turn", columns, rows)
    panels = [_event_panel(plan, numbers)]
    if plan.cost:
        parts = list(dict.fromkeys(name for line in plan.cost for name in line.parts_usd))
        intents = [line.intent for line in plan.cost]
        stacked: dict[str, list[float | None]] = {
            part: [line.parts_usd.get(part, 0.0) for line in plan.cost] for part in parts
        }
        dearest = max(plan.cost, key=lambda line: line.per_interaction_usd.mid)
        sentence = (
            f"{dearest.intent} costs most, {show(dearest.per_interaction_usd.mid, 'usd')} per interaction; the "
            "bars split each by what is paid for."
        )
        panels.insert(
            0,
            Panel(
                "Cost per interaction by intent", sentence, table, charts.bars(intents, stacked, "usd", stacked=True)
            ),
        )
    return panels


_COST_NAMES = (
    "cost_usd_per_interaction",
    "cost_usd_per_interaction_p95",
    "cost_usd_per_interaction_p99",
    "cost_usd_per_turn",
)


def _event_panel(plan: Plan, numbers: list[Number]) -> Panel:
    parts = sorted(plan.event_cost_parts_usd.items(), key=lambda item: -item[1])
    total = sum(value for _, value in parts)
    listed = plan.event_cost_parts_list_usd
    at_list = show(sum(listed.values()), "usd") if listed else None
    rows: list[list[Cell]] = [["the event", find(numbers, "event_cost_usd"), at_list, "100%"]]
    rows += [
        [name, show(value, "usd"), show(listed.get(name), "usd"), show(value / total if total else None, "ratio")]
        for name, value in parts
    ]
    table = Table("Cost of the event", ("Part", "USD, net", "USD, list", "Share"), rows)
    if not parts:
        return Panel("Cost of the event", "The plan holds no parts.", table)
    sentence = f"{parts[0][0]} is the largest part of {show(plan.event_cost_usd.mid, 'usd')}."
    chart = charts.bars([name for name, _ in parts], {"USD": [value for _, value in parts]}, "usd")
    return Panel("Cost of the event", sentence, table, chart)


def rejected_panel(plan: Plan) -> Panel:
    """What was looked at and not chosen."""
    rows: list[list[Cell]] = [[item.what, item.why] for item in plan.rejected]
    if not rows:
        return Panel("Alternatives", "Nothing was rejected.")
    return Panel(
        "Alternatives", "Looked at and not chosen.", Table("Rejected", ("What", "Why"), rows, text_columns=(0, 1))
    )


def inputs_panel(plan: Plan) -> Panel:
    """Every input with its provenance and source."""
    rows: list[list[Cell]] = [
        [
            note.name,
            note.kind,
            note.value,
            note.provenance.upper() if note.provenance == "simulated" else note.provenance,
            note.source,
        ]
        for note in plan.inputs
    ]
    weak = sum(note.provenance in ("assumed", "simulated") for note in plan.inputs)
    sentence = (
        f"{weak} of {len(rows)} inputs are assumed or simulated; strongest provenance is measured, then published, "
        "derived, simulated."
    )
    table = Table("Every input", ("Input", "Kind", "Value", "Provenance", "Source"), rows, text_columns=(0, 1, 2, 3, 4))
    return Panel("Inputs", sentence, table)


# --- what is bought ----------------------------------------------------------------------------------------------

PURCHASE_COLUMNS = {
    "region": ("Region", ""),
    "model": ("Model", ""),
    "instance_type": ("Instance", ""),
    "price_kind": ("Price", ""),
    "instances": ("Instances", "count"),
    "usd_per_hour_list": ("USD per hour, list", "usd"),
    "usd_per_hour": ("USD per hour, net", "usd"),
    "held": ("Held", ""),
    "billed_hours": ("Hours billed", "h"),
    "usd_list": ("USD, event, list", "usd"),
    "usd": ("USD, event, net", "usd"),
}


def purchase_table(plan: Plan) -> Table | None:
    """The purchase mix with the columns it holds, the sum last; None where nothing is bought."""
    if not plan.purchase:
        return None
    names = [name for name in PURCHASE_COLUMNS if any(getattr(line, name) is not None for line in plan.purchase)]
    rows: list[list[Cell]] = [[_bought(line, name) for name in names] for line in plan.purchase]
    if len(rows) > 1:
        total = sum(line.usd for line in plan.purchase)
        rows.append(["in all", *[None] * (len(names) - 2), show(total, "usd")])
    texts = tuple(i for i, name in enumerate(names) if not PURCHASE_COLUMNS[name][1])
    return Table("Bought at the service level", [PURCHASE_COLUMNS[name][0] for name in names], rows, text_columns=texts)


def _bought(line: Purchase, name: str) -> Cell:
    value, unit = getattr(line, name), PURCHASE_COLUMNS[name][1]
    if value is None:
        return None
    return show(float(value), unit) if unit else str(value)


def purchase_panel(plan: Plan) -> Panel:
    """What is bought, for how long, at which price."""
    table = purchase_table(plan)
    if table is None:
        return Panel("What is bought", "No chips: every model runs on Bedrock, by the token.")
    first = max(plan.purchase, key=lambda line: line.usd)
    sentence = f"{first.instance_type} for {first.model} is the largest line, held {first.held}."
    if plan.simulated:
        sentence += " SIMULATED inputs touched this plan: never order from it."
    return Panel("What is bought", sentence, table)


# --- what would change it ----------------------------------------------------------------------------------------


def sensitivity_panels(plan: Plan) -> list[Panel]:
    """A tornado for each output, and the three error bars apart."""
    outputs = list(dict.fromkeys(item.output for item in plan.sensitivities))
    panels = [_tornado(plan, output) for output in outputs]
    errors = _error_bars(plan)
    if not panels and errors is None:
        return [Panel("One input at a time", "The plan holds no sensitivities.")]
    return [*panels, *_variance(plan), *([errors] if errors else []), *_information_value(plan)]


def _information_value(plan: Plan) -> list[Panel]:
    """What knowing one input would spare; empty for a plan without draws."""
    if not plan.expected_value_of_information:
        return []
    first = plan.expected_value_of_information[0]
    sentence = (
        f"Were {first.input} known to be at its middle, a plan for nine futures in ten would spare "
        f"{show(first.event_usd_spared, 'usd')} and {show(first.chips_spared, 'chips')} chips: measure it with "
        f"{first.how.replace('`', '')}."
    )
    rows: list[list[Cell]] = [
        [row.input, show(row.chips_spared, "chips"), show(row.event_usd_spared, "usd"), row.how.replace("`", "")]
        for row in plan.expected_value_of_information
    ]
    head = ("Input", "Chips spared", "Dollars spared", "How to measure it")
    return [Panel("What is worth measuring", sentence, Table("One input known, all others as uncertain", head, rows))]


def _variance(plan: Plan) -> list[Panel]:
    """How much of the range is which cause: a waterfall of the variance of cost."""
    if not plan.variance:
        return []
    rows: list[list[Cell]] = [[row.cause, show(row.share, "ratio")] for row in plan.variance]
    first = max(plan.variance, key=lambda row: row.share)
    sentence = (
        f"{first.cause} makes {show(first.share, 'ratio')} of the variance of cost over the joint draws; shares of "
        "causes that act together overlap, so that they need not add up."
    )
    table = Table("Share of the variance of cost that knowing it would remove", ("Cause", "Share"), rows)
    chart = charts.bars([row.cause for row in plan.variance], {"share": [row.share for row in plan.variance]}, "ratio")
    return [Panel("Where the range comes from", sentence, table, chart)]


def _middle(plan: Plan, output: str) -> float | None:
    """The plan's own value of an output: where the bars of its tornado start."""
    if output == "chips":
        return sum(s.chosen.chips_range.mid for s in plan.supplies if s.chosen)
    return plan.event_cost_usd.mid if output == "event_cost_usd" else None


def _tornado(plan: Plan, output: str) -> Panel:
    items = [item for item in plan.sensitivities if item.output == output]
    items.sort(key=lambda item: -abs(item.at_high - item.at_low))
    known = _middle(plan, output)
    middle = known if known is not None else sum((i.at_low + i.at_high) / 2 for i in items) / len(items)
    unit, first = items[0].unit, items[0]
    rows: list[list[Cell]] = [
        [item.input, show(item.at_low, unit), show(item.at_high, unit), show(abs(item.at_high - item.at_low), unit)]
        for item in items
    ]
    title = output.removesuffix("_usd").replace("_", " ")
    sentence = (
        f"{first.input} moves {title} most: {show(first.at_low, unit)} at its low end, {show(first.at_high, unit)} at "
        f"its high end, against {show(middle, unit)} as planned."
    )
    table = Table(
        f"{title.capitalize()}, one input moved at a time", ("Input", "At its low", "At its high", "Swing"), rows
    )
    return Panel(f"What moves {title}", sentence, table, tornado(items, middle, unit))


def tornado(items: Sequence[Sensitivity], middle: float, unit: str) -> Chart:
    """Bars from the planned value to the value at each input's low and high, widest at the top."""
    names = [item.input for item in items]
    chart = charts.base(
        height=96 + 30 * max(len(names), 2),
        hovermode="closest",
        barmode="overlay",
        bargap=0.35,
        yaxis=charts.categories(names[::-1]),
        xaxis={**charts.unit_axis(unit, along_x=True), "rangemode": "normal"},
    )
    for index, (name, values) in enumerate(
        (("at its low", [item.at_low for item in items]), ("at its high", [item.at_high for item in items]))
    ):
        chart["data"].append(
            {
                "type": "bar",
                "orientation": "h",
                "name": name,
                "base": middle,
                "x": [value - middle for value in values],
                "y": names,
                "customdata": values,
                "hovertemplate": "%{y}: %{customdata:,.4~g}<extra>" + name + "</extra>",
                "marker": {"color": COLOURS[index], "pattern": {**PATTERNS[index], "bgcolor": COLOURS[index]}},
            }
        )
    charts.add_limit(chart, charts.Limit(middle, "as planned"), upright=True)
    return chart


def _error_bars(plan: Plan) -> Panel | None:
    """Demand, model and Monte Carlo error apart: they shrink by different work."""
    if plan.errors is None:
        return None
    bars = {"all together": plan.errors.chips, "demand alone": plan.errors.demand, "model alone": plan.errors.model}
    rows: list[list[Cell]] = [
        [name, *[show(value, "chips") for value in (bar.low, bar.mid, bar.high)]] for name, bar in bars.items()
    ]
    words = "Demand error shrinks by forecasting, model error by measuring chips, Monte Carlo error by more draws."
    return Panel("Error bars apart", words, Table("Chips, 90%", ("Error", "Low", "Middle", "High"), rows))
