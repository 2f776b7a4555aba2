"""Sheets on money: cost of an interaction and of the event, the purchase, and the order by instance type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from capacity.plan import Plan
from capacity.rows.fleet import SupplyPlan
from dashboards.numbers.plan import SELF_HOSTED
from dashboards.order.verdict import order_verdict
from dashboards.workbook.demand import Key
from dashboards.workbook.formula import Expr, below, of, total, when
from dashboards.workbook.inputs import Inputs
from dashboards.workbook.sheets import Book, Cell, Sheet
from dashboards.workbook.supply import BOUGHT, Pool
from facts.price_variants import CLASSES
from wire.text import Untrusted

_PER_MILLION = 1e-6


@dataclass(frozen=True)
class Money:
    """References to the totals; per_interaction_usd is None where the plan has no token classes."""

    per_interaction_usd: Expr | None
    parts_usd: Mapping[str, Expr]
    own_usd: Expr
    event_usd: Expr | None


def write_cost(book: Book, plan: Plan, inputs: Inputs, pools: Mapping[Key, Pool]) -> Money:
    """The Cost sheet: by model and token class, then the event, then every intent as planned."""
    note = "Mean interaction at list prices: calls x tokens x price by model and class; self-hosted chips by the hour."
    sheet = book.sheet("Cost", note, (26, *([15] * 8)))
    sheet.page.fit_to_pages(1, 1)  # its chart would be cut by a page's end
    by_class = _token_costs(sheet, plan, inputs)
    own_usd = total(pool.usd_per_hour * inputs.at("hours", *key) for key, pool in pools.items())
    sheet.row += 1
    sheet.line("The event", "section")
    sheet.head(("Part", "USD"))
    own = sheet.write(("self-hosted, the event", own_usd), ("text", "usd"))[1]
    beyond = _overflow_usd(inputs, pools)
    if beyond.number:
        own = own + sheet.write(("calls beyond fleets, on Bedrock", beyond), ("text", "usd"))[1]
    money = Money(None, by_class, own, None)
    if by_class and inputs.has("interactions_in_event"):
        money = _event(sheet, plan, inputs, money, pools)
    sheet.row += 1
    _by_intent(book, sheet, plan, own_per_interaction(plan, inputs, pools), by_class)
    return money


def _overflow_usd(inputs: Inputs, pools: Mapping[Key, Pool], model: str | None = None) -> Expr:
    """What goes beyond the fleets, of one model or of all, in proportion to demand."""
    keys = [key for key in pools if inputs.has("overflow_usd", *key) and model in (None, key[0])]
    return total(inputs.at("overflow_usd", *key) * inputs["demand_scale"] for key in keys)


def _token_costs(sheet: Sheet, plan: Plan, inputs: Inputs) -> dict[str, Expr]:
    """USD per interaction by model and class; the last row sums each class."""
    models = [
        s.model
        for s in plan.supplies
        if inputs.has("price", "input", s.model) and inputs.has("calls_per_interaction", s.model)
    ]
    models = list(dict.fromkeys(models))
    if not models:
        return {}
    sheet.line("USD per interaction by model and token class", "section")
    sheet.head(("Model", *CLASSES, "all"))
    first, simulated = sheet.row + 1, plan.simulated
    sums = dict.fromkeys(CLASSES, 0.0)
    for model in models:
        cells = [_class_cost(inputs, model, kind) for kind in CLASSES]
        sums = {kind: sums[kind] + cell.number for kind, cell in zip(CLASSES, cells, strict=True)}
        row = sheet.row + 1
        row_sum = Expr(f"SUM($B{row}:$F{row})", sum(cell.number for cell in cells))
        sheet.write((model, *cells, row_sum), ("text", *["usd"] * 6), simulated)
    last = sheet.row
    columns = [Expr(f"SUM({c}{first}:{c}{last})", sums[kind]) for c, kind in zip("BCDEF", CLASSES, strict=True)]
    written = sheet.write(("all models", *columns, total(columns)), ("text", *["usd"] * 6), simulated)
    return dict(zip((*CLASSES, "all"), written[1:], strict=True))


def _class_cost(inputs: Inputs, model: str, kind: str) -> Expr:
    if not inputs.has("price", kind, model):
        return of(0.0)
    calls = inputs.at("calls_per_interaction", model)
    return calls * _tokens_at_hit_ratio(inputs, model, kind) * inputs.at("price", kind, model) * _PER_MILLION


def _tokens_at_hit_ratio(inputs: Inputs, model: str, kind: str) -> Expr:
    """Tokens of a class when the typed share of the prompt is read from cache; what is missed keeps its own mix."""
    own = inputs.at("tokens", kind, model)
    if kind == "output" or not inputs.has("hit_ratio", model):
        return own
    prompt = {k: inputs.at("tokens", k, model) for k in CLASSES[:-1] if inputs.has("tokens", k, model)}
    prompt_tokens, hit = total(prompt.values()), inputs.at("hit_ratio", model)
    if kind == "cache_read":
        return prompt_tokens * hit
    missed = total(tokens for k, tokens in prompt.items() if k != "cache_read")
    return when(below(0.0, missed), own * prompt_tokens * (1 - hit) / missed, own)


def _event(sheet: Sheet, plan: Plan, inputs: Inputs, money: Money, pools: Mapping[Key, Pool]) -> Money:
    """Tokens at the middle demand, fleets as bought; then what one interaction costs with its share of the chips."""
    interactions = inputs["interactions_in_event"] * inputs["demand_scale"]
    tokens = sheet.write(
        ("Bedrock tokens, the event", money.parts_usd["all"] * interactions), ("text", "usd"), plan.simulated
    )[1]
    beside = plan.event_cost_parts_usd.get("Bedrock tokens", tokens.number) - tokens.number
    if abs(beside) > tokens.number * 1e-9:
        row = ("Bedrock tokens beside: emptied caches, calls no fleet serves", inputs["demand_scale"] * beside)
        tokens = tokens + sheet.write(row, ("text", "usd"), plan.simulated)[1]
    event = sheet.write(("the event", money.own_usd + tokens), ("text", "usd"), plan.simulated)[1]
    own = own_per_interaction(plan, inputs, pools)
    sheet.row += 1
    sheet.line("One interaction", "section")
    sheet.head(("Part", "USD"))
    cell = sheet.write(("self-hosted, its share of the fleets", own), ("text", "usd"), plan.simulated)[1]
    interaction = sheet.write(
        ("one interaction, mean", money.parts_usd["all"] + cell), ("text", "usd"), plan.simulated
    )[1]
    return Money(interaction, money.parts_usd, money.own_usd, event)


def own_per_interaction(plan: Plan, inputs: Inputs, pools: Mapping[Key, Pool]) -> Expr:
    """Dollars of a model's fleets per call it serves in the event, times its calls per interaction."""
    parts = []
    for model in dict.fromkeys(model for model, _ in pools):
        supplies = [s for s in plan.supplies if s.model == model]
        calls = _calls_in_event(supplies)
        if not calls or not inputs.has("calls_per_interaction", model):
            continue
        spent = total(pool.usd_per_hour * inputs.at("hours", *key) for key, pool in pools.items() if key[0] == model)
        per_call = (spent + _overflow_usd(inputs, pools, model)) / (of(calls) * inputs["demand_scale"])
        parts.append(per_call * inputs.at("calls_per_interaction", model))
    return total(parts)


def _calls_in_event(supplies: list[SupplyPlan]) -> float:
    return sum(s.calls_in_event or 0.0 for s in supplies)


PARTS = {"cache write": ("cache_write_5m", "cache_write_1h")}
"""Part of an interaction's cost -> its token classes, where the name does not say."""


def _moved(part: str, own: Expr, by_class: Mapping[str, Expr]) -> Expr:
    """How many times its planned self a part of the cost is, over all intents; 1 where nothing tells."""
    kinds = [kind for kind in PARTS.get(part, (part.replace(" ", "_"),)) if kind in by_class]
    live = own if part == SELF_HOSTED else total(by_class[kind] for kind in kinds)
    return live / of(live.number) if live.number else of(1.0)


def _by_intent(book: Book, sheet: Sheet, plan: Plan, own: Expr, by_class: Mapping[str, Expr]) -> None:
    sheet.line("By intent: each part moves as it does over all intents; an intent's own mix of models stays", "section")
    parts = list(dict.fromkeys(name for line in plan.cost for name in line.parts_usd))
    sheet.head(("Times the plan", None, None, None, None, *parts))
    moved = sheet.write(
        ("all intents", None, None, None, None, *[_moved(part, own, by_class) for part in parts]),
        ("text", *["number"] * (4 + len(parts))),
        plan.simulated,
    )[5:]
    sheet.head(("Intent", "Per interaction", "p95", "p99", "Per turn", *parts))
    first = sheet.row
    for line in plan.cost:
        mean = line.per_interaction_usd.mid
        live = [of(line.parts_usd.get(part, 0.0)) * factor for part, factor in zip(parts, moved, strict=True)]
        # What the plan counts beside its parts stays as it is; it is zero where they add up.
        interaction = total([*live, mean - sum(line.parts_usd.values())])
        grown = interaction / of(mean) if mean else of(1.0)
        beyond = line.quantiles_usd.get("interaction", {})
        others = (beyond.get("p95"), beyond.get("p99"), line.per_turn_usd.mid)
        row: list[Cell] = [line.intent, interaction, *[None if it is None else of(it) * grown for it in others], *live]
        sheet.write(row, ("text", *["usd"] * (len(row) - 1)), line.per_interaction_usd.simulated)
    chart = book.file.add_chart({"type": "bar", "subtype": "stacked"})
    for i, part in enumerate(parts):
        column = 5 + i
        chart.add_series(
            {
                "name": Untrusted(part).cell,
                "categories": ["Cost", first, 0, sheet.row - 1, 0],
                "values": ["Cost", first, column, sheet.row - 1, column],
            }
        )
    chart.set_title({"name": "Cost per interaction by intent and part, USD", "name_font": {"size": 11}})
    chart.set_y_axis({"reverse": True})
    chart.set_legend({"position": "bottom"})
    if parts:
        sheet.page.insert_chart(sheet.row + 1, 0, chart, {"x_scale": 1.6, "y_scale": 1.4})


# --- purchase and order ------------------------------------------------------------------------------------------


def write_purchase(book: Book, plan: Plan, inputs: Inputs, pools: Mapping[Key, Pool]) -> Expr:
    """Purchase by pool, and the Order by instance type. Returns the sum of the order."""
    sheet = book.sheet(
        "Purchase",
        "What is bought for each model and region at the service level, for the hours paid for.",
        (22, 14, 18, 12, 14, 10, 16),
    )
    sheet.head(("Model", "Region", "Instance", "Instances", "USD per hour", "Hours", "USD"))
    first = sheet.row + 1
    types: dict[tuple[str, str], list[tuple[Expr, Expr]]] = {}
    for supply in plan.supplies:
        key, option = (supply.model, supply.region), supply.chosen
        if option is None or key not in pools:
            continue
        pool = pools[key]
        row = (
            *key,
            option.instance_type,
            pool.instances[BOUGHT],
            pool.usd_per_hour,
            inputs.at("hours", *key),
            pool.usd_per_hour * inputs.at("hours", *key),
        )
        styles = ("text", "text", "text", "whole", "usd", "number", "usd")
        cells = sheet.write(row, styles, option.chips_range.simulated)
        types.setdefault((option.instance_type, supply.region), []).append((cells[3], cells[6]))
    return _order(book, plan, types, first, sheet.row)


def _order(
    book: Book, plan: Plan, types: Mapping[tuple[str, str], list[tuple[Expr, Expr]]], first: int, last: int
) -> Expr:
    sheet = book.sheet("Order", order_verdict(plan).sentence, (20, 16, 14, 18))
    sheet.head(("Instance", "Region", "Instances", "USD, the event"))
    start = sheet.row + 1
    for (instance, region), cells in types.items():
        row = sheet.row + 1
        match = f"Purchase!$C${first}:$C${last},$A{row},Purchase!$B${first}:$B${last},$B{row}"
        count = Expr(f"SUMIFS(Purchase!$D${first}:$D${last},{match})", sum(cell.number for cell, _ in cells))
        usd = Expr(f"SUMIFS(Purchase!$G${first}:$G${last},{match})", sum(cell.number for _, cell in cells))
        sheet.write((instance, region, count, usd), ("text", "text", "whole", "usd"), plan.simulated)
    if not types:
        return sheet.write(("nothing to order", None, None, 0.0), ("text", "text", "whole", "usd"))[3]
    value = sum(cell.number for cells in types.values() for _, cell in cells)
    order_sum = Expr(f"SUM($D${start}:$D${sheet.row})", value)
    return sheet.write(("in all", None, None, order_sum), ("text", "text", "whole", "usd"), plan.simulated)[3]
