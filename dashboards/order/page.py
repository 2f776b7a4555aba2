"""The order sheet: one page to sign, or to refuse."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from capacity.plan import Plan
from dashboards.html.page import Banner, Bullets, Cell, Page, Panel, Paragraph, Part, Prose, Table
from dashboards.html.plan.money import purchase_table
from dashboards.html.plan.page import plan_banners, plan_facts
from dashboards.html.render import write_page
from dashboards.numbers.plan import plan_numbers
from dashboards.order.sheet import Line, Occasion, late_steps, order_lines
from dashboards.order.verdict import order_verdict


def write_order(plan: Plan, out: Path, occasion: Occasion | None = None) -> Path:
    """Write `order.html`: what to order, the quota to ask for, and what was assumed; no chart, a few kilobytes.

    occasion: with it, bookings and quota requests have their dates, as in `order.csv`.
    """
    return write_page(order_page(plan, occasion), out)


def order_page(plan: Plan, occasion: Occasion | None = None) -> Page:
    """The page; its first line is the verdict, and it is green only where every line can be booked."""
    lines = order_lines(plan, occasion) if occasion is not None else []
    verdict = order_verdict(plan, late_steps(lines))
    words = "As written, for signature." if verdict.buyable else "What stands in the way:"
    word = Banner("good" if verdict.buyable else "bad", verdict.word, words, verdict.obstacles)
    chips = purchase_table(plan)
    panels = [Panel("Chips", "At the service level, whole instances, spare zones included.", chips)] if chips else []
    return Page(
        title=f"Order sheet of plan {plan.plan_id}",
        subtitle=f"peakday · order · {plan.scenario.name}",
        banners=[word, *plan_banners(plan)],
        headline=[number for number in plan_numbers(plan) if number.name == "event_cost_usd"],
        parts=[
            Part("order", "To order", [*panels, *_bookings(lines), *(_requests(lines) if lines else _quota(plan))]),
            Part("rests-on", "What it rests on", lead=_rests_on(plan)),
        ],
        facts=plan_facts(plan),
        command=f"peakday plan {plan.scenario.name} --for-order",
    )


def _quota(plan: Plan) -> list[Panel]:
    """Quota to ask for: what the service level needs, where it is above what is granted."""
    rows: list[list[Cell]] = []
    for supply in plan.supplies:
        for quota in supply.quotas:
            if not quota.in_doubt and (quota.granted is None or quota.ask > quota.granted):
                granted = "not known" if quota.granted is None else f"{quota.granted:,.0f}"
                rows.append([supply.model, supply.region, quota.kind, f"{quota.ask:,.0f}", granted])
    if not rows:
        return []
    table = Table(
        "At the service level", ("Model", "Region", "Kind", "Ask for", "Granted"), rows, text_columns=(0, 1, 2)
    )
    return [Panel("Quota to ask for", "An increase takes days: ask weeks before the event.", table)]


def _bookings(lines: Sequence[Line]) -> list[Panel]:
    """Each booking with its dates, and what one step fewer gives up."""
    rows: list[list[Cell]] = [
        [
            line.instance,
            str(line.count),
            line.region,
            line.zone,
            line.from_utc,
            line.to_utc,
            line.act_by,
            line.one_step_fewer,
            line.remark,
        ]
        for line in lines
        if line.line == "chips"
    ]
    if not rows:
        return []
    columns = ("Instance", "Count", "Region", "Zone", "From", "To", "Book by", "One step fewer", "Remark")
    table = Table("Bookings", columns, rows, text_columns=(0, 2, 3, 4, 5, 6, 7, 8))
    return [
        Panel(
            "Bookings",
            "Zones are numbered: their names are your account's. Dates to act by are expert estimates.",
            table,
        )
    ]


def _requests(lines: Sequence[Line]) -> list[Panel]:
    """Each quota request by its name and code, with its date."""
    rows: list[list[Cell]] = [
        [
            line.quota_name,
            line.quota_code,
            line.model_id,
            line.region,
            _whole(line.held),
            _whole(line.asked),
            line.act_by,
        ]
        for line in lines
        if line.line == "quota"
    ]
    if not rows:
        return []
    columns = ("Quota", "Code", "Model or profile", "Region", "Held", "Ask for", "Ask by")
    table = Table("At the service level", columns, rows, text_columns=(0, 1, 2, 3, 6))
    return [Panel("Quota to ask for", "An increase takes days: ask weeks before the event.", table)]


def _whole(value: float | None) -> str:
    return "not known" if value is None else f"{value:,.0f}"


def _rests_on(plan: Plan) -> list[Prose]:
    return [
        Paragraph(plan.first_limit_exceeded, lead="First limit exceeded:"),
        Bullets([*plan.assumptions_with_most_effect[:3], *plan.warnings[:3]]),
        Paragraph("Planned by ____________________    Approved by ____________________    Date __________"),
    ]
