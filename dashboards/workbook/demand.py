"""Sheets on demand: traffic by hour and route, calls of each model, and what a prompt cache saves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from capacity.plan import Plan
from capacity.rows.fleet import SupplyPlan
from capacity.rows.needs import RegionDemand
from dashboards.numbers.plan import LEVELS, calls_per_interaction
from dashboards.workbook.formula import Expr, exp, of, when
from dashboards.workbook.inputs import Inputs
from dashboards.workbook.sheets import Book, Cell, Sheet

HOUR_S = 3_600.0
ROWS_MAX = 240

Key = tuple[str, str]


@dataclass(frozen=True)
class Demand:
    """References that later sheets need: calls per second by (model, region) and level, rate of each pool."""

    calls_per_s: Mapping[Key, Mapping[str, Expr]]
    rate_per_s: Mapping[Key, Expr]
    traffic_peak_per_s: Mapping[str, Expr]


def write_demand(book: Book, plan: Plan, inputs: Inputs) -> Demand:
    """Traffic, Cache and Model."""
    peaks = _traffic(book, plan, inputs)
    _cache(book, plan, inputs)
    sheet = book.sheet(
        "Model", "Calls each model gets at the peak, and what one replica carries.", (34, 16, 14, 14, 14, 14, 16)
    )
    return Demand(_calls(sheet, plan, inputs), _rates(sheet, plan, inputs), peaks)


# --- traffic -----------------------------------------------------------------------------------------------------


def _traffic(book: Book, plan: Plan, inputs: Inputs) -> dict[str, Expr]:
    note = "Highest rate of each step of the event by region: its share of the peak, from the plan, times the peak."
    followers = {
        d.region: [
            s for s in plan.supplies if s.region == d.region and inputs.has("calls_per_interaction", s.model, s.region)
        ]
        for d in plan.demand
    }
    sheet = book.sheet("Traffic", note, (16, 10, *([13] * 12)))
    peaks = {}
    for demand in plan.demand:
        peaks[demand.region] = _region(book, sheet, demand, followers[demand.region], inputs)
        sheet.row += 1
    return peaks


def steps(demand: RegionDemand) -> list[tuple[float, ...]]:
    """The event in hours (or in at most 240 equal steps): offset, and the highest rate at p50, p90, p95."""
    offsets = np.asarray(demand.offset_s)
    if not len(offsets):
        return []
    span_s = float(offsets[-1]) + 1
    width_s = HOUR_S * math.ceil(span_s / HOUR_S / ROWS_MAX) if span_s >= 6 * HOUR_S else max(span_s / 48, 1.0)
    bins = (offsets // width_s).astype(int)
    columns = [np.asarray(getattr(demand, f"interactions_per_s_{level}")) for level in LEVELS]
    return [
        (float(step * width_s), *(float(column[bins == step].max()) for column in columns)) for step in np.unique(bins)
    ]


def _region(book: Book, sheet: Sheet, demand: RegionDemand, models: list[SupplyPlan], inputs: Inputs) -> Expr:
    sheet.line(demand.region, "section")
    sheet.head(
        (
            "Hours from start",
            *[f"Share of {level} peak" for level in LEVELS],
            *[f"{level} per s" for level in LEVELS],
            *[f"{s.model} calls/s p50" for s in models],
        )
    )
    first = sheet.row
    peaks = demand.peak_interactions_per_s.by_name
    for offset_s, *rates in steps(demand):
        shares = [rate / peaks[level] if peaks[level] else 0.0 for rate, level in zip(rates, LEVELS, strict=True)]
        row = sheet.row + 1
        live = [
            Expr(f"${column}{row}", share) * inputs.at(f"peak_{level}", demand.region) * inputs["demand_scale"]
            for column, share, level in zip("BCD", shares, LEVELS, strict=True)
        ]
        calls = [
            Expr(f"$E{row}", live[0].value) * inputs.at("calls_per_interaction", s.model, s.region) for s in models
        ]
        sheet.write((offset_s / HOUR_S, *shares, *live, *calls), ["number"] * (7 + len(calls)))
    _traffic_chart(book, sheet, demand.region, first)
    top = max((step[3] for step in steps(demand)), default=0.0)
    return Expr(f"MAX(Traffic!$G${first + 1}:$G${sheet.row})", top)


def _traffic_chart(book: Book, sheet: Sheet, region: str, first: int) -> None:
    chart = book.file.add_chart({"type": "line"})
    for column, (level, dash) in enumerate(zip(LEVELS, ("solid", "dash", "square_dot"), strict=True), start=4):
        chart.add_series(
            {
                "name": level,
                "categories": ["Traffic", first, 0, sheet.row - 1, 0],
                "values": ["Traffic", first, column, sheet.row - 1, column],
                "line": {"width": 1.75, "dash_type": dash},
            }
        )
    chart.set_title({"name": f"Interactions per second, {region}", "name_font": {"size": 11}})
    chart.set_x_axis({"name": "hours from the start", "num_format": "0", "interval_unit": 12})
    chart.set_legend({"position": "bottom"})
    sheet.page.insert_chart(first, 14, chart, {"x_scale": 1.1, "y_scale": 0.9})


# --- cache -------------------------------------------------------------------------------------------------------


def _cache(book: Book, plan: Plan, inputs: Inputs) -> None:
    sheet = book.sheet(
        "Cache", "Share of input tokens read from cache, and what a time to live is worth.", (28, 18, 14, 14, 14, 14)
    )
    sheet.head(("Model", "Level", "Hit rate", "Low", "High", "Provenance"))
    for hit in plan.hit_rates:
        ratio = hit.ratio
        row = (hit.model, hit.level, ratio.mid, ratio.low, ratio.high, ratio.provenance)
        sheet.write(row, ("text", "text", "ratio", "ratio", "ratio", "text"), ratio.simulated)
    sheet.row += 1
    sheet.line(
        "One prefix under Poisson requests, hit = 1 - exp(-requests x TTL / caches); a hit renews the TTL", "section"
    )
    sheet.head(("Time to live", "Basis", "Hit rate"))
    per_cache = inputs["cache_requests_per_s"] / inputs["cache_shards"]
    for label, ttl in (("as typed in Inputs", inputs["cache_ttl_s"]), ("5 minutes", of(300.0)), ("1 hour", of(3600.0))):
        sheet.write((label, "Poisson, renewed by hits", 1 - exp(of(0.0) - per_cache * ttl)), ("text", "text", "ratio"))


# --- calls and rates ---------------------------------------------------------------------------------------------


def _calls(sheet: Sheet, plan: Plan, inputs: Inputs) -> dict[Key, dict[str, Expr]]:
    sheet.head(("Model", "Region", "Supply", *[f"Calls/s {level}" for level in LEVELS], "Input tokens"))
    references: dict[Key, dict[str, Expr]] = {}
    for supply in plan.supplies:
        where = (supply.model, supply.region)
        live = [_call_rate(plan, supply, level, inputs) for level in LEVELS]
        row: list[Cell] = [*where, supply.supply, *live, supply.input_tokens_per_call.mid]
        cells = sheet.write(
            row, ("text", "text", "text", "number", "number", "number", "whole"), supply.input_tokens_per_call.simulated
        )
        references[where] = dict(zip(LEVELS, cells[3:6], strict=True))
    return references


def _call_rate(plan: Plan, supply: SupplyPlan, level: str, inputs: Inputs) -> Expr:
    where = (supply.model, supply.region)
    if calls_per_interaction(plan, supply) is None:
        return inputs.at(f"calls_{level}", *where) * inputs["demand_scale"]
    return (
        inputs.at(f"peak_{level}", supply.region) * inputs["demand_scale"] * inputs.at("calls_per_interaction", *where)
    )


def _rates(sheet: Sheet, plan: Plan, inputs: Inputs) -> dict[Key, Expr]:
    """Simulated rates as a labelled lookup table, and the rate at the position typed into Inputs, interpolated."""
    pools = [supply for supply in plan.supplies if supply.chosen is not None]
    if not pools:
        return {}
    sheet.row += 1
    sheet.line(
        "Calls per second of one replica at its SLO, as simulated; interpolated at `rate_at` of Inputs", "section"
    )
    sheet.head(("Model", "Region", "Chip", "At -1: low", "At 0: middle", "At 1: high", "Used"))
    references = {}
    for supply in pools:
        where, option = (supply.model, supply.region), supply.chosen
        low, mid, high = (inputs.at(f"rate_{level}", *where) for level in ("low", "mid", "high"))
        at = inputs["rate_at"]
        used = when(Expr(f"({at.text}<0)", at.number < 0), mid + (mid - low) * at, mid + (high - mid) * at)
        row = (*where, option.chip if option else "", low, mid, high, used)
        simulated = bool(option and option.rate_per_replica_per_s.simulated)
        references[where] = sheet.write(row, ("text", "text", "text", *["number"] * 4), simulated)[6]
    return references
