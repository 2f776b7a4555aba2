"""What a plan knows beyond its own choice stands where its readers are: terminal, page and workbook."""

from __future__ import annotations

import html
from dataclasses import replace

import openpyxl
import pytest

from capacity.rows.doubt import InformationValue
from capacity.rows.fleet import HeadroomOption, HitStability, Schedule
from capacity.rows.money import CacheAdvice, RoutingOption, SpillOption
from capacity.rows.needs import CacheStampede, MaxTokensAdvice, Throttled, Throttling
from dashboards.numbers.decisions import better_policies, bought_chips, decisions, headroom_totals
from dashboards.report import write_report
from dashboards.terminal import plan_summary
from dashboards.workbook.book import write_xlsx
from tests.dashboards.plans import make_plan


def policy(name, usd, acceptable):
    return RoutingOption(name, usd, acceptable, None, "assumed")


PLANNED = policy("as planned", 0.0207, 0.887)
CHEAPEST = policy("all nova-2-lite", 0.0031, 0.864)
AS_GOOD = policy("all nova-pro", 0.0053, 0.896)
DEARER = policy("all claude-sonnet", 0.03, 0.943)


def full_plan():
    """A plan that holds every kind of finding, each of which changes a decision."""
    plan = make_plan(simulated=False)
    limits = Throttling(
        settlement={"p90": Throttled(0.944, {"rpm": 0.944}, {"rpm": 4.0})},
        reservation={"p90": Throttled(0.947, {"tpm": 0.947}, {"tpm": 2.0})},
        max_tokens_advice=MaxTokensAdvice(832, 4053.0, 4245.0),
    )
    first = plan.supplies[0]
    return replace(
        plan,
        supplies=(replace(first, throttling=limits), *plan.supplies[1:]),
        routing=(PLANNED, CHEAPEST, AS_GOOD, DEARER),
        headroom=(
            HeadroomOption("p90 of the draws", "us-east-1", "custom-8b", 900, 9_000, 1e6),
            HeadroomOption("minimax regret at 0.1 USD an interaction", "us-east-1", "custom-8b", 1, 16, 5e5),
        ),
        cache_advice=(CacheAdvice("nova-pro", "customer", "1h", {"none": 0.8, "1h": 0.3}, {"none": 0.0, "1h": 0.7}),),
        schedules=(Schedule("us-east-1", "custom-8b", "trn2.48xlarge", "on demand", {}, (3, 5), 740.0, 1480.0),),
        spill=(
            SpillOption("us-east-1", "custom-8b", "nova-pro", "inf2.48xlarge", 3, 9.0, 5e3, 24.0, 99.0, 2.0, 120, 4e5),
        ),
        cache_stampede=(CacheStampede("nova-pro", "us-east-1", 0.0, 208.0, 1.0, 1.72, 0.998),),
        hit_stability=(HitStability("us-east-1", "custom-8b", "trainium2", 2.0, (0.2, 1.0), "stays cold"),),
        expected_value_of_information=(InformationValue("demand", 2444.0, 1.25e6, "`peakday scenario fit`"),),
    )


SENTENCES = {
    "routing": "all turns on nova-pro would cost $0.00530 an interaction instead of $0.0207 at 0.896 against 0.887 "
    "acceptable [assumed]",
    "headroom": "minimax regret at 0.1 USD an interaction buys 16 chips for $500,000; the plan buys ",
    "information": "knowing demand would spare $1,250,000 and 2,444 chips in nine futures of ten: peakday scenario fit",
    "schedule": "fleets would cost $740 by the hour instead of $1,480",
    "spill": "custom-8b: 3 x inf2.48xlarge with what is beyond them on nova-pro would cost $24.0 instead of $99.0, and "
    "ask for 120 requests and 400,000 tokens a minute more of it",
    "throttling": "calls in us-east-1 would be throttled at p90 of demand as granted",
    "max_tokens": "reserves 4,053 tokens a call instead of 4,245, and cuts 1 answer in 1,000",
    "cache": "cache for 1h: nova-pro, customer part; per million prompt tokens none $0.800, 1h $0.300",
    "stampede": "an empty cache of nova-pro in us-east-1 at 0:00:00 is refilled by 208 calls, $1.72 and 99.8% of a "
    "minute's tokens",
    "stability": "custom-8b in us-east-1: stays cold",
}


def test_every_kind_of_finding_is_one_sentence_with_its_figures():
    found = {item.kind: item for item in reversed(decisions(full_plan()))}
    assert set(found) == set(SENTENCES)
    for kind, words in SENTENCES.items():
        assert words in found[kind].sentence, kind
        assert found[kind].changes, kind


def test_the_terminal_has_one_line_for_each_kind_that_changes_a_decision():
    text = plan_summary(full_plan())
    for kind, words in SENTENCES.items():
        assert text.count(words) == 1, kind


def test_a_plan_that_nothing_would_change_has_no_such_line():
    """A policy that is dearer, a lifetime that is the default, a schedule that saves nothing decide nothing."""
    plan = replace(
        make_plan(),
        routing=(PLANNED, DEARER),
        cache_advice=(CacheAdvice("nova-pro", "customer", "5m", {"5m": 0.3}, {"5m": 0.7}),),
        schedules=(Schedule("us-east-1", "custom-8b", "trn2.48xlarge", "on demand", {}, (3, 5), 1480.0, 1480.0),),
    )
    assert not any(item.changes for item in decisions(plan))
    assert "decide" not in plan_summary(plan)


def test_page_and_workbook_hold_every_finding(tmp_path):
    plan = full_plan()
    page = html.unescape(write_report(tmp_path / "plan.html", plan=plan).read_text())
    sheet = openpyxl.load_workbook(write_xlsx(plan, tmp_path / "plan.xlsx"))["Decisions"]
    cells = {str(cell.value) for row in sheet.iter_rows() for cell in row}
    for item in decisions(plan):
        assert item.sentence in page
        assert item.sentence in cells


def test_a_cheaper_policy_that_is_as_good_stands_before_the_cheapest():
    assert better_policies(PLANNED, [DEARER, CHEAPEST, AS_GOOD]) == [AS_GOOD, CHEAPEST]


@pytest.mark.parametrize("others", [[DEARER], []])
def test_a_planned_mix_that_nothing_undercuts_has_no_better_policy(others):
    assert better_policies(PLANNED, others) == []


def test_headroom_is_summed_over_models_and_regions():
    rows = tuple(HeadroomOption("p90 of the draws", region, "custom-8b", 1, 10, 5.0) for region in ("a", "b", "c"))
    (total,) = headroom_totals(replace(make_plan(), headroom=rows))
    assert (total.chips, total.usd) == (30, 15.0)


def test_fewer_chips_than_the_draws_need_is_a_finding_with_both_figures():
    plan = make_plan()
    bought = bought_chips(plan)
    row = HeadroomOption("p90 of the draws", "us-east-1", "custom-8b", 1, int(bought) + 1, 1.0)
    (finding,) = decisions(replace(plan, headroom=(row,)))
    assert finding.sentence.startswith(f"the {bought:,.0f} chips bought are fewer than p90 of the draws need: ")
