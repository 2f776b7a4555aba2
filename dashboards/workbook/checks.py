"""The last sheets: checks that must all be TRUE, and where every input comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from capacity.plan import Plan
from dashboards.numbers.plan import LEVELS
from dashboards.workbook.demand import Demand, Key
from dashboards.workbook.formula import Expr, below, both, close, either
from dashboards.workbook.inputs import Inputs
from dashboards.workbook.money import Money
from dashboards.workbook.sheets import Book
from dashboards.workbook.supply import Pool
from facts.price_variants import CLASSES

Check = tuple[str, Expr]


def write_checks(
    book: Book, plan: Plan, inputs: Inputs, demand: Demand, pools: Mapping[Key, Pool], money: Money, ordered: Expr
) -> None:
    """Rows that are TRUE for any sensible inputs; those that repeat the plan hold while its inputs stand."""
    sheet = book.sheet(
        "Checks", "Every row must read TRUE. FALSE means a sheet was broken or inputs contradict each other.", (78, 10)
    )
    sheet.head(("Check", "Holds"))
    checks = [
        *_rules(inputs),
        *_traffic(inputs, demand),
        *_pools(plan, inputs, pools),
        *_money(plan, inputs, money),
        ("The order is the purchase", close(ordered, money.own_usd)),
    ]
    first = sheet.row + 1
    for words, holds in checks:
        sheet.write((words, holds), ("text", "check"))
    sheet.row += 1
    all_checks = Expr(f"AND($B${first}:$B${first + len(checks) - 1})", all(bool(holds.value) for _, holds in checks))
    cell = sheet.write(("All checks", all_checks), ("section", "check"))[1]
    book.define("all_checks", cell.text)
    red = book.file.add_format({"bg_color": "#F6D5DA", "font_color": "#A8283C"})
    for top, bottom in ((first - 1, first + len(checks) - 2), (sheet.row - 1, sheet.row - 1)):
        sheet.page.conditional_format(
            top, 1, bottom, 1, {"type": "cell", "criteria": "==", "value": "FALSE", "format": red}
        )
    sheet.page.set_portrait()
    sheet.page.fit_to_pages(1, 1)


def _rules(inputs: Inputs) -> Iterator[Check]:
    if inputs.has("zones"):
        yield "Some zone is left when zones are lost", below(inputs["zones_lost"], inputs["zones"])
        yield "Some replicas work: draining + broken < 1", below(inputs["drain_ratio"] + inputs["broken_ratio"], 1.0)


def _traffic(inputs: Inputs, demand: Demand) -> Iterator[Check]:
    for region, peak in demand.traffic_peak_per_s.items():
        limit = inputs.at("peak_p95", region) * inputs["demand_scale"] * (1 + 1e-9)
        yield f"Traffic of {region} never exceeds its p95 peak", below(peak, limit, or_equal=True)


def _pools(plan: Plan, inputs: Inputs, pools: Mapping[Key, Pool]) -> Iterator[Check]:
    for supply in plan.supplies:
        key, option = (supply.model, supply.region), supply.chosen
        if option is None or key not in pools:
            continue
        pool, title = pools[key], f"{supply.model} in {supply.region}"
        rising = both(
            below(pool.chips["p50"], pool.chips["p90"], or_equal=True),
            below(pool.chips["p90"], pool.chips["p95"], or_equal=True),
        )
        if inputs.at("peak_p50", supply.region).number <= inputs.at("peak_p90", supply.region).number:
            yield f"{title}: more demand never needs fewer chips", rising
        if option.overflow is None:
            most = below(pool.utilisation_ratio, 1 + 1e-9, or_equal=True)
            yield f"{title}: utilisation at the median peak is at most 100%", most
        for level in LEVELS:
            planned = getattr(option.chips, level)
            yield (
                f"{title}: {level} chips are the plan's while inputs stand",
                _as_planned(inputs, pool.chips[level], planned),
            )


def _money(plan: Plan, inputs: Inputs, money: Money) -> Iterator[Check]:
    if not money.parts_usd:
        return
    classes = [money.parts_usd[kind] for kind in CLASSES]
    added = classes[0] + classes[1] + classes[2] + classes[3] + classes[4]
    yield "Token classes add up to the tokens of an interaction", close(added, money.parts_usd["all"])
    overall = next((line for line in plan.cost if line.intent == "all"), None)
    if overall is not None and money.per_interaction_usd is not None:
        planned = overall.per_interaction_usd.mid
        yield (
            "Cost per interaction is the plan's while inputs stand",
            _as_planned(inputs, money.per_interaction_usd, planned),
        )
    if money.event_usd is not None:
        yield (
            "Cost of the event is the plan's while inputs stand",
            _as_planned(inputs, money.event_usd, plan.event_cost_usd.mid),
        )


def _as_planned(inputs: Inputs, live: Expr, planned: float) -> Expr:
    return either(below(0.0, inputs.changed), close(live, planned))


def write_provenance(book: Book, plan: Plan) -> None:
    """Every input of the plan with its provenance and source; what was rejected; warnings."""
    sheet = book.sheet(
        "Provenance",
        "Strongest first: measured, published, derived, simulated; assumed and expert_estimate are inputs.",
        (40, 14, 44, 14, 70),
    )
    sheet.head(("Input", "Kind", "Value", "Provenance", "Source"))
    for note in plan.inputs:
        sheet.write(
            (note.name, note.kind, note.value, note.provenance, note.source),
            ["text"] * 5,
            note.provenance == "simulated",
        )
    for title, lines in (
        ("Read before quoting", plan.warnings),
        ("Assumptions with most effect", plan.assumptions_with_most_effect),
    ):
        sheet.row += 1
        sheet.line(title, "section")
        for text in lines:
            sheet.paragraph(text)
    sheet.row += 1
    sheet.line("Rejected", "section")
    for item in plan.rejected:
        sheet.write((item.what, None, item.why), ("text", "text", "text"))
