"""The Decisions sheet: what the plan knows beyond its own choice, as findings and as figures."""

from __future__ import annotations

from capacity.plan import Plan
from dashboards.numbers.decisions import decisions, headroom_totals
from dashboards.workbook.sheets import Book, Sheet


def write_decisions(book: Book, plan: Plan) -> None:
    """Findings first, then the figures of routes, headroom, cache lifetimes and schedules; no sheet without any."""
    findings = decisions(plan)
    if not findings:
        return
    note = "What would change a decision stands first. These figures are the plan's own and do not recalculate."
    sheet = book.sheet("Decisions", note, (34, 60, 16, 16, 16, 16))
    sheet.head(("On", "Finding", "Would change it"))
    for item in sorted(findings, key=lambda item: not item.changes):
        sheet.write((item.title, item.sentence, item.changes), ("text", "text", "check"), plan.simulated)
    _routing(sheet, plan)
    _headroom(sheet, plan)
    _cache(sheet, plan)
    _schedules(sheet, plan)


def _section(sheet: Sheet, title: str, columns: tuple[str, ...]) -> None:
    sheet.row += 1
    sheet.line(title, "section")
    sheet.head(columns)


def _routing(sheet: Sheet, plan: Plan) -> None:
    if plan.routing:
        _section(sheet, "Cost against quality", ("Policy", "Provenance", "USD an interaction", "Acceptable turns"))
    for row in plan.routing:
        cells = (row.policy, row.provenance, row.usd_per_interaction, row.acceptable_ratio)
        sheet.write(cells, ("text", "text", "usd", "ratio"), plan.simulated)


def _headroom(sheet: Sheet, plan: Plan) -> None:
    totals = headroom_totals(plan)
    if totals:
        _section(sheet, "Headroom, over all models and regions", ("Rule", "", "Chips", "USD, the event"))
    for row in totals:
        sheet.write((row.rule, None, row.chips, row.usd), ("text", "text", "whole", "usd"), plan.simulated)


def _cache(sheet: Sheet, plan: Plan) -> None:
    if plan.cache_advice:
        _section(sheet, "Cache lifetimes", ("Model and part", "Keep for", "USD/Mtok so", "Read from cache"))
    for row in plan.cache_advice:
        cells = (f"{row.model}, {row.level}", row.choice, row.usd_per_mtok[row.choice], row.hit_ratio[row.choice])
        sheet.write(cells, ("text", "text", "usd", "ratio"), plan.simulated)


def _schedules(sheet: Sheet, plan: Plan) -> None:
    if plan.schedules:
        _section(sheet, "Schedules", ("Fleet", "Instance", "By the hour, USD", "Held throughout, USD"))
    for row in plan.schedules:
        cells = (f"{row.model}, {row.region}", row.instance_type, row.usd, row.flat_usd)
        sheet.write(cells, ("text", "text", "usd", "usd"), plan.simulated)
