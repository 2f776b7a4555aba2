"""Panels on what lies beside the chosen fleets: where a peak beyond them goes, other tiers of service, the searches."""

from __future__ import annotations

from capacity.plan import Plan
from dashboards.html.page import Cell, Panel, Table
from dashboards.numbers.units import show


def beyond_panels(plan: Plan) -> list[Panel]:
    """A table for each that the plan holds; nothing where it holds none."""
    return [*_chain(plan), *_tiers(plan), *_searches(plan)]


def _chain(plan: Plan) -> list[Panel]:
    if not plan.fallback_chain:
        return []
    rows: list[list[Cell]] = [
        [
            f"{row.model}, {row.region}",
            row.level,
            row.tier,
            row.to,
            show(row.calls_per_s, "per_s"),
            show(row.share, "ratio"),
            show(row.usd_per_call, "usd"),
            show(row.latency_s, "s"),
            row.limit,
        ]
        for row in plan.fallback_chain
    ]
    columns = ("Traffic of", "Demand", "Step", "To", "Calls", "Share", "Per call", "Latency", "Limit")
    table = Table("The fallback chain, step by step", columns, rows, text_columns=(0, 1, 2, 3, 8))
    words = "Each step takes what it can; a share that reaches the last one is not answered."
    return [Panel("Where a peak goes", words, table)]


def _tiers(plan: Plan) -> list[Panel]:
    if not plan.tiers:
        return []
    rows: list[list[Cell]] = [
        [row.model, row.tier, show(row.usd, "usd"), "planned" if row.planned else row.why, ", ".join(row.assumed)]
        for row in plan.tiers
    ]
    columns = ("Model", "Tier", "Its tokens in the event", "Outcome", "Prices assumed")
    table = Table("Tiers of service", columns, rows, text_columns=(0, 1, 3, 4))
    return [Panel("Tiers", "The same tokens at every tier that has a price, and why a tier is not planned.", table)]


def _searches(plan: Plan) -> list[Panel]:
    if not plan.background:
        return []
    rows: list[list[Cell]] = [
        [
            row.stream,
            show(row.searches_in_event, "count"),
            show(row.peak_per_s_p90, "per_s"),
            show(row.deadline_s, "s"),
            show(row.usd, "usd") if row.sized else f"not sized: {row.why}",
        ]
        for row in plan.background
    ]
    columns = ("Stream", "In the event", "Peak at p90", "To be answered within", "Cost of the event")
    words = "These share chips with nothing above and no denominator with tokens: they are no interactions."
    return [Panel("Searches beside the chat", words, Table("Background streams", columns, rows, text_columns=(0, 4)))]
