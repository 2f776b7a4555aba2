"""`write_xlsx`: a plan as a workbook that recalculates. Change an input and calls, chips, quota and dollars follow.

What was simulated (rates per replica, hit rates) enters as labelled tables; what is arithmetic is a live formula with
its value cached, so any reader shows the plan's own numbers before it recalculates.
"""

from __future__ import annotations

from pathlib import Path

from capacity.plan import Plan
from dashboards.workbook.checks import write_checks, write_provenance
from dashboards.workbook.decisions import write_decisions
from dashboards.workbook.demand import write_demand
from dashboards.workbook.inputs import write_inputs
from dashboards.workbook.money import write_cost, write_purchase
from dashboards.workbook.sheets import Book
from dashboards.workbook.supply import write_chips, write_quota
from host.atomic import written_aside
from host.errors import PeakdayError


class SpreadsheetError(PeakdayError, ValueError):
    """A plan that holds too little for formulas; the message says what to do."""


def write_xlsx(plan: Plan, out: Path) -> Path:
    """Write plan.xlsx, aside and renamed.

    Raises:
        SpreadsheetError: the plan has chips but not the rules they were counted by.
    """
    sized = [supply for supply in plan.supplies if supply.chosen is not None]
    if sized and (plan.rules is None or any(s.chosen and s.chosen.chips_per_replica is None for s in sized)):
        raise SpreadsheetError(
            f"plan {plan.plan_id}: holds no rules for its chips (an older peakday made it); plan again"
        )
    with written_aside(out) as aside, Book(aside, f"Plan {plan.plan_id}") as book:
        inputs = write_inputs(book, plan)
        demand = write_demand(book, plan, inputs)
        pools = write_chips(book, plan, inputs, demand)
        write_quota(book, plan, inputs, demand)
        money = write_cost(book, plan, inputs, pools)
        ordered = write_purchase(book, plan, inputs, pools)
        write_checks(book, plan, inputs, demand, pools, money, ordered)
        write_decisions(book, plan)
        write_provenance(book, plan)
    return out
