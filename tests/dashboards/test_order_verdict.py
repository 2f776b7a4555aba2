"""The first line of an order is its verdict, and no view is green over a line that cannot be booked."""

from __future__ import annotations

import csv
import html
from dataclasses import replace
from datetime import UTC, datetime

import openpyxl
import pytest

from capacity.rows.figures import Levels
from dashboards.order.page import order_page, write_order
from dashboards.order.sheet import Occasion, write_order_sheet
from dashboards.order.verdict import BUYABLE, NOT_AN_ORDER, NOT_BUYABLE, order_verdict
from dashboards.terminal import plan_summary
from dashboards.workbook.book import write_xlsx
from tests.dashboards.plans import make_plan

EVENT = Occasion(datetime(2027, 7, 6, 7, 0, tzinfo=UTC), 24 * 3600.0)
LATE = Occasion(datetime(2020, 1, 1, tzinfo=UTC), 3600.0)


def with_options(plan, **changes):
    """The plan with every chosen option changed."""
    return replace(
        plan,
        supplies=tuple(
            replace(s, options=tuple(replace(o, **changes) if o.rejected is None else o for o in s.options))
            for s in plan.supplies
        ),
    )


PLAN = make_plan(simulated=False)
BLOCKS = {"price_kind": "capacity block", "instance_type": "trn2.3xlarge"}
MANY, LONG = {"instances": Levels(300, 300, 300)}, {"instances": Levels(3, 3, 3), "billed_hours": 9_600.0}
CASES = {
    "on demand": (PLAN, BUYABLE, ""),
    "simulated": (make_plan(simulated=True), NOT_AN_ORDER, "a simulated input touched this plan"),
    "too many in blocks": (with_options(PLAN, **MANY, **BLOCKS), NOT_BUYABLE, "at most 256 at one time"),
    "too long in blocks": (with_options(PLAN, **LONG, **BLOCKS), NOT_BUYABLE, "400 days of trn2.3xlarge"),
    "no chip serves": (with_options(PLAN, rejected="meets no SLO"), NOT_BUYABLE, "no chip meets its SLO in"),
}


@pytest.mark.parametrize("case", CASES)
def test_the_verdict_names_what_stands_in_the_way(case):
    plan, word, reason = CASES[case]
    verdict = order_verdict(plan)
    assert verdict.word == word
    assert reason in verdict.sentence
    assert verdict.buyable == (word == BUYABLE)


@pytest.mark.parametrize("case", CASES)
def test_every_view_begins_with_the_same_verdict(case, tmp_path):
    """Page, CSV, workbook and terminal: one sentence, and green only where all can be booked."""
    plan, word, _ = CASES[case]
    sentence = order_verdict(plan).sentence
    first = order_page(plan, EVENT).banners[0]
    assert (first.kind, first.word) == ("good" if word == BUYABLE else "bad", word)
    page = html.unescape(write_order(plan, tmp_path / "order.html", EVENT).read_text())
    assert page.index(f"<strong>{word}</strong>") < page.index("<h2>")
    with write_order_sheet(plan, tmp_path / "order.csv", EVENT).open() as file:
        row = next(csv.DictReader(file))
    assert row["line"] == "verdict"
    assert row["remark"].startswith(sentence)
    if any(s.chosen for s in plan.supplies):
        order = openpyxl.load_workbook(write_xlsx(plan, tmp_path / "plan.xlsx"))["Order"]
        assert order["A2"].value == sentence
    assert sentence in plan_summary(plan)


def test_an_order_on_demand_says_that_it_hangs_on_the_accounts_limits():
    sentence = order_verdict(with_options(PLAN, price_kind="on demand", instance_type="trn1.32xlarge")).sentence
    assert "where the account's on-demand limits allow trn1.32xlarge" in sentence
    assert "on-demand limits" not in order_verdict(with_options(PLAN, **BLOCKS)).sentence


def test_an_order_whose_dates_are_past_is_not_buyable():
    (banner, *_) = order_page(PLAN, LATE).banners
    assert (banner.kind, banner.word) == ("bad", NOT_BUYABLE)
    assert any("was to be booked by 2019-12" in reason for reason in banner.reasons)


def test_a_green_order_has_no_line_that_says_it_cannot_be_booked():
    """Over all cases: a remark of `cannot be booked` and a green page never meet."""
    for plan, *_ in CASES.values():
        page = order_page(plan, EVENT)
        remarks = [str(row[-1]) for part in page.parts for p in part.panels if p.table for row in p.table.rows]
        if page.banners[0].kind == "good":
            assert not any("cannot be booked" in text for text in remarks)


def test_a_model_that_cannot_be_called_from_a_region_stands_in_the_way():
    abroad = tuple(replace(supply, region="eu-central-1") for supply in PLAN.supplies)
    verdict = order_verdict(replace(PLAN, supplies=abroad))
    assert verdict.word == NOT_BUYABLE
    assert "us.amazon.nova-pro-v1:0 is a profile of another geography than eu-central-1" in verdict.sentence
