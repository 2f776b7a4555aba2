"""Work to be done as a CSV that ticket systems import: bookings and quota requests of a plan, exceeded limits of a run.

Columns are those that Jira's and GitLab's importers map by name: Summary, Description, Due Date, Labels, Priority. A
due date is empty where nothing has one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

from capacity.plan import Plan, PlanError
from dashboards.order.sheet import Line, Occasion, late_steps, order_lines
from dashboards.order.verdict import order_verdict
from facts.reader import models
from host.atomic import write_text
from host.tables import csv_text
from loadgen.record import Run
from wire.text import Untrusted

HEAD = {name: name.capitalize() for name in ("summary", "description", "due", "labels", "priority")} | {
    "due": "Due Date"
}
MISSED = "missed"


@dataclass(frozen=True)
class Ticket:
    """One piece of work."""

    summary: str
    description: str
    due: str = ""
    labels: str = "peakday"
    priority: str = "Medium"


def export_tickets(source: Run | Plan, out: Path) -> Path:
    """Write the tickets of a plan or a run.

    Raises:
        PlanError: a plan that does not say when its event starts, or with models that are not known here.
    """
    tickets = plan_tickets(source) if isinstance(source, Plan) else run_tickets(source)
    rows = ([Untrusted(getattr(one, item.name)).cell for item in fields(Ticket)] for one in tickets)
    write_text(out, csv_text((HEAD[item.name] for item in fields(Ticket)), rows))
    return out


def plan_tickets(plan: Plan) -> Iterator[Ticket]:
    """What stands in the way of the order, then each booking and each quota request with the day to act by."""
    start, end = plan.event_period
    unknown = [supply.model for supply in plan.supplies if supply.model not in models()]
    if unknown:
        shown = Untrusted(unknown[0]).label
        raise PlanError(
            f"{plan.plan_id}: model {shown!r} is not in models.yaml, so what to book or ask for is not known"
        )
    lines = order_lines(plan, Occasion(start, (end - start).total_seconds()))
    verdict = order_verdict(plan, late_steps(lines))
    for obstacle in verdict.obstacles:
        yield Ticket(f"Clear the way for {plan.scenario.name}: {obstacle}", _about(plan), priority="High")
    for line in lines:
        yield _line_ticket(plan, line)


def _line_ticket(plan: Plan, line: Line) -> Ticket:
    if line.line == "quota":
        asked = "what is needed" if line.asked is None else f"{line.asked:,.0f}"
        summary = f"Request {asked} of quota {line.quota_name} for {line.model or 'the account'} in {line.region}"
        known = {"held": line.held, "peak, p90 of demand, rpm": line.rpm_peak_p90, "tpm": line.tpm_peak_p90}
    else:
        summary = f"Book {line.count} x {line.instance} ({line.purchase}) in {line.region}, zone {line.zone}"
        known = {"USD net": line.usd_net, "USD list": line.usd_list, "hours": line.billed_hours}
    figures = "; ".join(f"{name}: {value:,.2f}" for name, value in known.items() if value is not None)
    when = f"{line.from_utc} to {line.to_utc}" if line.from_utc else ""
    parts = (_about(plan), when, figures, line.one_step_fewer, line.run, line.bench, line.price_row, line.remark)
    return Ticket(summary, ". ".join(part for part in parts if part), line.act_by, f"peakday {line.line}")


def run_tickets(run: Run) -> Iterator[Ticket]:
    """Why a run does not count, each SLO that was surely missed, and each limit that was exceeded."""
    about = f"Run {run.run_id} of {run.info.scenario_name}"
    for reason in run.info.reasons:
        yield Ticket(f"Repeat {run.run_id}: {reason}", f"{about} is not valid", priority="High")
    for slo in run.info.slo or ():
        if slo.result == MISSED:
            summary = f"SLO {slo.name} missed: limit {slo.limit:g}"
            yield Ticket(summary, f"{about}: {slo.missed} of {slo.turns} turns missed it", priority="High")
    for crossing in run.info.what_broke_first or ():
        yield Ticket(crossing.sentence, f"{about}: {crossing.what}, {crossing.at_s:.0f} s after the start")


def _about(plan: Plan) -> str:
    return f"Plan {plan.plan_id} of {plan.scenario.name}"
