"""Sheets on supply: chips of each pool, and quota needed against granted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from capacity.plan import Plan
from capacity.rows.fleet import ChipOption, SupplyPlan
from capacity.rows.needs import QuotaNeed
from dashboards.numbers.plan import LEVELS
from dashboards.workbook.demand import Demand, Key
from dashboards.workbook.formula import Expr, below, ceil, floor, highest, of, when
from dashboards.workbook.inputs import Inputs
from dashboards.workbook.sheets import Book, Cell, Sheet

BOUGHT = "bought"
"""Beside the quantiles of demand: what carries the plan's service level."""


@dataclass(frozen=True)
class Pool:
    """References to one pool at every level, and to its price as bought."""

    replicas: Mapping[str, Expr]
    instances: Mapping[str, Expr]
    chips: Mapping[str, Expr]
    usd_per_hour: Expr
    utilisation_ratio: Expr


def write_chips(book: Book, plan: Plan, inputs: Inputs, demand: Demand) -> dict[Key, Pool]:
    """The Chips sheet."""
    note = (
        "replicas per zone = roundup(calls x (1 + retries) / (rate x (zones - lost) x (1 - draining - broken))); "
        "replicas and instances are whole. Bought: at the service level over the joint draws. "
        "Utilisation: of these replicas at the median peak."
    )
    sheet = book.sheet("Chips", note, (22, 14, 14, 16, 8, *([13] * 6)))
    columns = (
        "Model",
        "Region",
        "Chip",
        "Instance",
        "Demand",
        "Calls/s",
        "Replicas",
        "Instances",
        "Chips",
        "USD per hour",
        "Utilisation",
    )
    sheet.head(columns)
    first = sheet.row
    pools = {}
    for supply in plan.supplies:
        if supply.chosen is not None:
            key = (supply.model, supply.region)
            pools[key] = _pool(sheet, supply, supply.chosen, inputs, demand)
    if pools:
        _chips_chart(book, sheet, first)
    return pools


def _pool(sheet: Sheet, supply: SupplyPlan, option: ChipOption, inputs: Inputs, demand: Demand) -> Pool:
    key = (supply.model, supply.region)
    replicas, instances, chips, hourly, busy = {}, {}, {}, {}, {}
    styles = ("text", "text", "text", "text", "text", "number", "whole", "whole", "whole", "usd", "ratio")
    for level in (*LEVELS, BOUGHT):
        calls = (
            demand.calls_per_s[key][level]
            if level != BOUGHT
            else (demand.calls_per_s[key]["p90"] * inputs.at("bought_over_p90", *key))
        )
        per_zone = replicas_per_zone(calls, demand.rate_per_s[key], inputs)
        all_replicas = per_zone * inputs["zones"]
        instances_zone = instances_per_zone(
            per_zone, inputs.at("chips_per_replica", *key), inputs.at("chips_per_instance", *key)
        )
        all_instances = instances_zone * inputs["zones"]
        usage = demand.calls_per_s[key]["p50"] / (all_replicas * demand.rate_per_s[key])
        cells = sheet.write(
            (
                *key,
                option.chip,
                option.instance_type,
                level,
                calls,
                all_replicas,
                all_instances,
                all_instances * inputs.at("chips_per_instance", *key),
                all_instances * inputs.at("usd_per_instance_hour", *key),
                usage,
            ),
            styles,
            option.rate_per_replica_per_s.simulated,
        )
        replicas[level], instances[level], chips[level], hourly[level], busy[level] = cells[6:11]
    return Pool(replicas, instances, chips, hourly[BOUGHT], busy[BOUGHT])


def replicas_per_zone(calls_per_s: Expr, rate_per_s: Expr, inputs: Inputs) -> Expr:
    """Fewest replicas in each zone that carry the load with some zones lost, some draining and some broken."""
    working = 1 - inputs["drain_ratio"] - inputs["broken_ratio"]
    load = calls_per_s * (1 + inputs["retry_extra_attempts"])
    return ceil(load / (rate_per_s * (inputs["zones"] - inputs["zones_lost"]) * working))


def instances_per_zone(replicas: Expr, chips_per_replica: Expr, chips_per_instance: Expr) -> Expr:
    """An instance may hold several replicas, or a replica several instances; both stay whole."""
    several = replicas * ceil(chips_per_replica / chips_per_instance)
    packed = ceil(replicas / highest([floor(chips_per_instance / chips_per_replica), of(1)]))
    return when(below(chips_per_instance, chips_per_replica), several, packed)


def _chips_chart(book: Book, sheet: Sheet, first: int) -> None:
    chart = book.file.add_chart({"type": "bar"})
    chart.add_series(
        {
            "name": "chips",
            "categories": ["Chips", first, 0, sheet.row - 1, 4],
            "values": ["Chips", first, 8, sheet.row - 1, 8],
            "fill": {"color": "#1F5FAE"},
            "data_labels": {"value": True},
        }
    )
    chart.set_title({"name": "Chips by model, region and level of demand", "name_font": {"size": 11}})
    chart.set_legend({"none": True})
    chart.set_y_axis({"reverse": True})
    sheet.page.insert_chart(sheet.row + 1, 0, chart, {"x_scale": 1.6, "y_scale": 1.2})


# --- quota -------------------------------------------------------------------------------------------------------


def write_quota(book: Book, plan: Plan, inputs: Inputs, demand: Demand) -> None:
    """The Quota sheet: both readings at every level, and the nearer one as a share of what is granted."""
    note = "Reservation counts a call's whole max_tokens while it runs, settlement what it used; both at the peak."
    sheet = book.sheet("Quota", note, (20, 14, 8, 8, 18, 18, 16, 14, 12, 16))
    head = (
        "Model",
        "Region",
        "Kind",
        "Demand",
        "By settlement",
        "By reservation",
        "Granted",
        "Share granted",
        "Enough",
    )
    sheet.head((*head, "Ask for"))
    for supply in plan.supplies:
        for quota in supply.quotas:
            _quota_rows(sheet, supply, quota, inputs, demand)
    for need in plan.account_needs:
        most: list[Cell] = ["account", need.region, need.kind, "level", need.needed.at_level, None, need.granted, None]
        styles = ("text", "text", "text", "text", "whole", "whole", "whole", "ratio", "text", "whole")
        sheet.write([*most, None, need.ask], styles, [False] * 10)


def _quota_rows(sheet: Sheet, supply: SupplyPlan, quota: QuotaNeed, inputs: Inputs, demand: Demand) -> None:
    where = (quota.kind, supply.model, supply.region)
    if not inputs.has("quota_settled", *where):
        return
    styles = ("text", "text", "text", "text", "whole", "whole", "whole", "ratio", "check")
    for level in LEVELS:
        calls = demand.calls_per_s[supply.model, supply.region][level] * 60.0
        settled, reserved = (calls * inputs.at(f"quota_{reading}", *where) for reading in ("settled", "reserved"))
        row = sheet.row + 1
        needed = Expr(f"MAX($E{row},$F{row})", max(settled.number, reserved.number))
        granted = inputs.at("granted", *where) if inputs.has("granted", *where) else None
        share = needed / granted if granted is not None and granted.number else None
        enough = below(needed, granted, or_equal=True) if granted is not None else None
        row_cells: list[Cell] = [supply.model, supply.region, quota.kind, level, settled, reserved]
        row_cells += ["not known" if granted is None else granted, share, enough]
        touched = supply.input_tokens_per_call.simulated
        sheet.write(row_cells, styles, [False] * 4 + [touched] * 2 + [False] * 3)
    asked: list[Cell] = [supply.model, supply.region, quota.kind, "level"]
    asked += [quota.needed_settlement.at_level, quota.needed_reservation.at_level, None, None, None, quota.ask]
    sheet.write(asked, (*styles, "whole"), [False] * 4 + [touched] * 2 + [False] * 4)
