"""The Inputs sheet: every number a planner may change, with unit, allowed range, provenance and source."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from capacity.plan import InputNote, Plan
from capacity.rows.fleet import ChipOption, SupplyPlan
from capacity.rows.needs import QuotaNeed
from dashboards.numbers.plan import LEVELS, calls_per_interaction
from dashboards.workbook.formula import Expr
from dashboards.workbook.sheets import Book, Sheet, name_of
from facts.price_variants import CLASSES


@dataclass(frozen=True)
class Input:
    """One cell to type into. `low` and `high` bound what is accepted."""

    name: str
    label: str
    value: float
    unit: str
    low: float
    high: float
    provenance: str
    source: str
    simulated: bool = False


@dataclass(frozen=True)
class Inputs:
    """What the other sheets refer to: each input by its defined name, and whether any was changed."""

    cells: dict[str, Expr]
    changed: Expr

    def __getitem__(self, name: str) -> Expr:
        return self.cells[name]

    def at(self, *parts: str) -> Expr:
        """The input whose name is made of these parts."""
        return self.cells[name_of(*parts)]

    def has(self, *parts: str) -> bool:
        """Whether the plan held that input."""
        return name_of(*parts) in self.cells


def write_inputs(book: Book, plan: Plan) -> Inputs:
    """The sheet, and references to its cells."""
    note = (
        "Type into blue cells only; all other sheets recalculate. Amber: a simulated figure, never to be ordered from."
    )
    sheet = book.sheet("Inputs", note, (50, 14, 14, 14, 12, 19, 12, 60))
    cells: dict[str, Expr] = {}
    first, last = 0, 0
    for title, rows in sections(plan):
        sheet.row += 1
        sheet.line(title, "section")
        sheet.head(("Input", "Value", "Unit", "As planned", "At least", "At most", "Provenance", "Source"))
        for item in rows:
            first, last = first or sheet.row, sheet.row
            cells[item.name] = _write(book, sheet, item)
    typed, planned = (f"Inputs!${column}${first + 1}:${column}${last + 1}" for column in "BD")
    changed = Expr(f"SUMPRODUCT(ISNUMBER({typed})*({typed}<>{planned}))", 0)
    sheet.row += 1
    counted = sheet.write(("Inputs changed since the plan", changed), ("text", "whole"))[1]
    book.define("inputs_changed", counted.text)
    sheet.page.freeze_panes(3, 1)
    return Inputs(cells, Expr("inputs_changed", 0))


def _write(book: Book, sheet: Sheet, item: Input) -> Expr:
    row = (item.label, item.value, item.unit, item.value, item.low, item.high, item.provenance, item.source)
    marks = [False, item.simulated, False, item.simulated, False, False, item.simulated, False]
    styles = ("text", "input", "text", "number", "number", "number", "text", "text")
    cell = sheet.write(row, styles, marks)[1]
    message = {"error_title": item.label[:31], "error_message": f"Between {item.low:g} and {item.high:g} {item.unit}."}
    rule = {"validate": "decimal", "criteria": "between", "minimum": item.low, "maximum": item.high, **message}
    sheet.page.data_validation(sheet.row - 1, 1, sheet.row - 1, 1, rule)
    book.define(item.name, cell.text)
    return Expr(item.name, item.value)


def sections(plan: Plan) -> Iterator[tuple[str, list[Input]]]:
    """Inputs by section, in the order of the sheet; a section without inputs is left out."""
    yield "What if", _what_if()
    for title, rows in (
        ("Resilience", _rules(plan)),
        ("Demand", [item for demand in plan.demand for item in _demand(plan, demand.region)]),
        ("Calls", [item for supply in plan.supplies for item in _calls(plan, supply)]),
        ("Self-hosted", [i for s in plan.supplies if s.chosen is not None for i in _pool(s, s.chosen)]),
        ("Tokens and prices", [item for supply in _once(plan) for item in _tokens(plan, supply)]),
        ("Quota", [i for s in plan.supplies for q in s.quotas for i in _quota(s, q)]),
    ):
        if rows:
            yield title, rows


def _what_if() -> list[Input]:
    own = ("what if", "yours to change")
    return [
        Input("demand_scale", "All demand, times", 1.0, "ratio", 0.0, 100.0, *own),
        Input("rate_at", "Rate per replica: -1 low, 0 middle, 1 high", 0.0, "place", -1.0, 1.0, *own),
        Input("cache_requests_per_s", "Cache: requests that share one prefix", 0.02, "1/s", 0.0, 1e6, *own),
        Input("cache_ttl_s", "Cache: time to live", 300.0, "s", 1.0, 86_400.0, *own),
        Input("cache_shards", "Cache: independent caches behind one endpoint", 1.0, "caches", 1.0, 1e4, *own),
    ]


_RULES = {
    "zones": ("Zones", "zones", 1.0, 20.0),
    "zones_lost": ("Zones that may be lost at the peak", "zones", 0.0, 19.0),
    "drain_ratio": ("Replicas draining for a deployment", "ratio", 0.0, 0.99),
    "broken_ratio": ("Replicas broken", "ratio", 0.0, 0.99),
    "retry_extra_attempts": ("Extra attempts per call", "ratio", 0.0, 10.0),
    "interactions_in_event": ("Interactions in the event, middle case", "count", 0.0, 1e13),
}


def _rules(plan: Plan) -> list[Input]:
    if plan.rules is None:
        return []
    marks = ("assumed", "scenario: capacity.resilience, demand")
    return [
        Input(name, label, getattr(plan.rules, name), unit, low, high, *marks)
        for name, (label, unit, low, high) in _RULES.items()
    ]


def _demand(plan: Plan, region: str) -> list[Input]:
    peak = next(d.peak_interactions_per_s for d in plan.demand if d.region == region)
    source = _note(plan, "interactions at the peak")
    rows = []
    for level in LEVELS:
        name, label = name_of(f"peak_{level}", region), f"Peak interactions, {region}, {level}"
        rows.append(Input(name, label, getattr(peak, level), "1/s", 0.0, 1e9, "assumed", source))
    return rows


def _note(plan: Plan, name: str) -> str:
    match: InputNote | None = next((note for note in plan.inputs if note.name == name), None)
    return f"{match.value}; {match.source}" if match else "scenario: demand"


def _calls(plan: Plan, supply: SupplyPlan) -> Iterator[Input]:
    where, origin = (supply.model, supply.region), supply.input_tokens_per_call
    title = ", ".join(where)
    marks = (origin.provenance, origin.source, origin.simulated)
    ratio = calls_per_interaction(plan, supply)
    if ratio is not None:
        name = name_of("calls_per_interaction", *where)
        yield Input(name, f"Calls carried per interaction, {title}", ratio, "calls", 0.0, 1e4, *marks)
        return
    for level in LEVELS:
        value = getattr(supply.calls_per_s, level)
        yield Input(name_of(f"calls_{level}", *where), f"Peak calls, {title}, {level}", value, "1/s", 0.0, 1e9, *marks)


def _pool(supply: SupplyPlan, option: ChipOption) -> Iterator[Input]:
    where = (supply.model, supply.region)
    title, rate = ", ".join(where), option.rate_per_replica_per_s
    marks = (rate.provenance, rate.source, rate.simulated)
    for level, value in (("low", rate.low), ("mid", rate.mid), ("high", rate.high)):
        name = name_of(f"rate_{level}", *where)
        yield Input(name, f"Calls per replica, {title}, {level}", value, "1/s", 1e-9, 1e6, *marks)
    ratio = option.load_per_s.at_level / option.load_per_s.p90 if option.load_per_s and option.load_per_s.p90 else 1.0
    label = f"Load at the service level over p90 of demand, {title}"
    yield Input(name_of("bought_over_p90", *where), label, ratio, "ratio", 0.0, 1e6, *marks)
    facts = ("published", f"facts: {option.instance_type}")
    if (chips := option.chips_per_replica) is not None:
        name, label = name_of("chips_per_replica", *where), f"Chips per replica, {title}"
        yield Input(name, label, chips, "chips", 0.01, 1e4, "derived", rate.source)
    name, label = name_of("chips_per_instance", *where), f"Chips per {option.instance_type}, {title}"
    yield Input(name, label, option.chips.at_level / max(option.instances.at_level, 1), "chips", 1, 1e3, *facts)
    name = name_of("usd_per_instance_hour", *where)
    hourly = option.usd_per_hour.mid / max(option.bought_instances, 1)
    yield Input(name, f"{option.instance_type} per hour, {title}", hourly, "USD/h", 0.0, 1e5, *facts)
    sold = ("derived", f"held {option.held}, as {option.price_kind or 'on demand'} is billed")
    label = f"Hours paid for, {title}"
    yield Input(name_of("hours", *where), label, option.billed_hours, "h", 0.0, 8_784.0, *sold)
    if option.overflow is not None:
        label = f"Calls beyond the fleet on {option.overflow.target} at the median demand, {title}"
        priced = ("derived", "facts: token prices, nothing cached")
        yield Input(name_of("overflow_usd", *where), label, option.overflow.usd_p50, "USD", 0.0, 1e12, *priced)


def _once(plan: Plan) -> list[SupplyPlan]:
    """One supply per model: tokens and prices do not differ by region."""
    return list({supply.model: supply for supply in reversed(plan.supplies)}.values())[::-1]


def _tokens(plan: Plan, supply: SupplyPlan) -> Iterator[Input]:
    origin = supply.input_tokens_per_call
    marks = (origin.provenance, origin.source, origin.simulated)
    if (calls := supply.calls_per_interaction) is not None:
        name, label = name_of("calls_per_interaction", supply.model), f"Calls per interaction, {supply.model}"
        yield Input(name, label, calls, "calls", 0.0, 1e4, *marks)
    prompt = {kind: supply.tokens_per_call.get(kind, 0.0) for kind in CLASSES[:-1]}
    if 0 < prompt["cache_read"] < sum(prompt.values()) and "cache_read" in supply.prices_usd_per_mtok:
        hit = prompt["cache_read"] / sum(prompt.values())
        label = f"Share of the prompt read from cache, {supply.model}"
        yield Input(name_of("hit_ratio", supply.model), label, hit, "ratio", 0.0, 1.0, *marks)
    for kind in CLASSES:
        if kind in supply.prices_usd_per_mtok:
            tokens, price = supply.tokens_per_call.get(kind, 0.0), supply.prices_usd_per_mtok[kind]
            name, label = name_of("tokens", kind, supply.model), f"Tokens per call, {kind}, {supply.model}"
            yield Input(name, label, tokens, "tokens", 0.0, 1e7, *marks)
            name, label = name_of("price", kind, supply.model), f"Price, {kind}, {supply.model}"
            yield Input(name, label, price, "USD/Mtok", 0.0, 1e5, "published", _note(plan, supply.model))


def _quota(supply: SupplyPlan, quota: QuotaNeed) -> Iterator[Input]:
    where, origin = (quota.kind, supply.model, supply.region), supply.input_tokens_per_call
    title, marks = ", ".join(where), (origin.provenance, origin.source, origin.simulated)
    if supply.calls_per_s.p50:
        seconds = 60.0 * supply.calls_per_s.p50
        for reading, needed in (("settled", quota.needed_settlement), ("reserved", quota.needed_reservation)):
            name = name_of(f"quota_{reading}", *where)
            label = f"Quota taken by one call a minute, {reading}, {title}"
            yield Input(name, label, needed.p50 / seconds, quota.kind, 0.0, 1e12, *marks)
    if quota.granted is not None:
        name = name_of("granted", *where)
        yield Input(name, f"Granted, {title}", quota.granted, quota.kind, 0.0, 1e15, "published", quota.source)
