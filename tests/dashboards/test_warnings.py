"""Warnings stand by weight: what is missing, what cannot be had, what is too small, what is a guess."""

from __future__ import annotations

import html
from dataclasses import replace

from dashboards.numbers.warnings import by_weight
from dashboards.report import write_report
from dashboards.terminal import plan_summary
from tests.dashboards.plans import make_plan

GUESS = "tokens, turns and routes are assumed: no run was given"
SMALL = "nova-pro: quotas bind at p95 demand"
BEYOND = "supply: 3,894 x trn2.3xlarge in Capacity Blocks at one time, at most 256 can be booked"
MISSING = "planner: no chip meets its SLOs, so it is not sized and its cost is missing"
OTHER = "trn2.3xlarge: price of 2026-05-21 is 192 days old"
ALL = (GUESS, OTHER, SMALL, BEYOND, MISSING)


def test_the_decisive_warning_is_first_and_an_old_price_last():
    assert by_weight(ALL) == [MISSING, BEYOND, SMALL, GUESS, OTHER]


def test_a_terminal_shows_three_and_says_how_many_are_left():
    text = plan_summary(replace(make_plan(), warnings=ALL))
    assert all(words in text for words in (MISSING, BEYOND, SMALL, "and 2 more in the report"))
    assert GUESS not in text


def test_a_page_shows_three_above_its_numbers_and_all_in_their_part(out):
    page = html.unescape(write_report(out, plan=replace(make_plan(), warnings=ALL)).read_text())
    head, body = page.split('id="main"')
    assert "and 2 more under Warnings" in head
    assert GUESS not in head
    assert all(body.count(words) == 1 for words in ALL)
