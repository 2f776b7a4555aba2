"""order.csv: the plan's purchase and its quota needs, line by line."""

from __future__ import annotations

import csv
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from capacity.plan import InputNote
from dashboards.order.page import write_order
from dashboards.order.quotas import quota_asks
from dashboards.order.sheet import Occasion, order_lines, write_order_sheet
from dashboards.terminal import plan_summary
from facts.account import Held, QuotaRow
from tests.dashboards.plans import make_plan

START = datetime(2027, 7, 6, 7, 0, tzinfo=UTC)
EVENT = Occasion(START, 24 * 3600.0)


@pytest.fixture(scope="module")
def plan():
    return make_plan()


def chips(plan, occasion=EVENT):
    return [line for line in order_lines(plan, occasion) if line.line == "chips"]


def test_sums_are_the_plans(plan):
    """Instances and dollars of all lines are those of what the plan bought."""
    bought = [supply.chosen for supply in plan.supplies if supply.chosen]
    lines = chips(plan)
    assert sum(line.count for line in lines) == sum(option.bought_instances for option in bought)
    assert sum(line.usd_net for line in lines) == pytest.approx(sum(option.event_usd for option in bought))
    assert sum(line.count_p95 for line in lines) == pytest.approx(sum(option.instances.p95 for option in bought))


def test_each_zone_has_its_line(plan):
    """Zones share the instances as evenly as whole ones can be."""
    zones = round(plan.rules.zones)
    first = [line for line in chips(plan) if line.region == plan.supplies[0].region]
    counts = [line.count for line in first if line.model == first[0].model]
    assert len(counts) == zones
    assert max(counts) - min(counts) <= 1


def test_list_and_net_stand_beside_each_other(plan):
    """A discounted fleet shows both; without a public price the net one is the list."""
    supply = next(s for s in plan.supplies if s.chosen)
    option = replace(supply.chosen, list_usd_per_hour=supply.chosen.usd_per_hour.mid)
    cheaper = replace(plan, supplies=(replace(supply, options=(option,)),))
    line = chips(cheaper)[0]
    assert line.usd_per_hour_list == option.list_usd_per_hour
    assert line.usd_per_hour_net == pytest.approx(option.usd_per_hour.mid / option.bought_instances)
    assert line.usd_list == pytest.approx(option.list_usd_per_hour * line.count * option.billed_hours)


def test_a_block_is_whole_days_to_half_past_eleven(plan):
    """Capacity Blocks end at 11:30 UTC and hold the event; what they cannot is said."""
    supply = next(s for s in plan.supplies if s.chosen)
    block = replace(supply.chosen, price_kind="capacity block", billed_hours=48.0, instance_type="trn2.48xlarge")
    short = replace(block, billed_hours=24.0)
    long_line, short_line = (
        chips(replace(plan, supplies=(replace(supply, options=(option,)),)))[0] for option in (block, short)
    )
    assert (long_line.from_utc, long_line.to_utc) == ("2027-07-05T11:30Z", "2027-07-07T11:30Z")
    assert long_line.act_by == "2027-06-14"
    assert "can be booked from 2027-05-10" in long_line.remark
    assert "begin after the event does" not in long_line.remark
    assert "1 days begin after the event does" not in long_line.remark
    assert short_line.from_utc == "2027-07-06T11:30Z"
    assert "book 2 or two blocks" in short_line.remark


def test_one_step_fewer_is_a_share_of_events(plan):
    """One instance fewer in each zone carries less than the p90 peak, and the line says how much less."""
    assert all("of events, not 90%" in line.one_step_fewer or "median" in line.one_step_fewer for line in chips(plan))


def test_evidence_is_the_run_where_there_is_one(plan):
    """Run, bench and price row stand in every line of chips."""
    note = InputNote("run", "custom-8b", "run r1", "measured", "r1")
    bench = InputNote("bench", "b1", "benches/b1", "measured", "bench record")
    measured = replace(plan, inputs=(note, bench))
    line = next(line for line in chips(measured) if line.model == "custom-8b")
    assert line.run == "run r1 (measured)"
    assert "bench b1" in line.bench
    assert f"facts/data/instances.csv {line.instance}" in line.price_row


def test_a_discount_stands_in_the_price_row(plan):
    """The list's row with its date, and the contract that makes the net price."""
    notes = [InputNote("prices", f"{name} discount", "10.0% off the list", "measured", "own contract")
             for name in ("amazon", "inf2", "trn2")]  # fmt: skip
    lines = order_lines(replace(plan, inputs=tuple(notes)), EVENT)
    pro = next(line for line in lines if line.line == "quota" and line.model == "nova-pro")
    assert "facts/data/bedrock_prices.csv us.amazon.nova-pro-v1:0" in pro.price_row
    assert pro.price_row.endswith("; net: 10.0% off the list (own contract)")
    assert all("own contract" in line.price_row for line in lines if line.line == "chips")


def test_what_is_past_is_said(plan):
    """A date before the plan's own is no date to meet."""
    late = Occasion(datetime(2020, 1, 1, tzinfo=UTC), 3600.0)
    assert all("its date is past" in line.remark for line in order_lines(plan, late))
    assert not any("its date is past" in line.remark for line in order_lines(plan, EVENT))


def test_only_quotas_that_are_short_or_unknown_are_asked_for(plan):
    """A kind that is held with room is no line."""
    asks = list(quota_asks(plan, None))
    short = {
        (s.model, s.region, need.kind)
        for s in plan.supplies
        for need in s.quotas
        if need.granted is None or max(need.needed_settlement.p90, need.needed_reservation.p90) > need.granted
    }
    assert {(ask.supply.model, ask.supply.region, ask.kind) for ask in asks if ask.kind != "vcpu"} == short
    assert all(ask.asked > (ask.held or 0) for ask in asks)


def test_held_quotas_give_name_and_code(plan):
    """The row of Service Quotas stands in the line; without it the usual name does, and no code."""
    name = "Cross-region model inference tokens per minute for Amazon Nova Pro"
    row = QuotaRow("bedrock", "us-east-1", "L-C0326783", name, 800_000.0, 800_000.0, True)
    found = {
        (ask.supply.region, ask.kind): ask
        for ask in quota_asks(plan, Held("quotas.yaml", (row,)))
        if ask.supply.model == "nova-pro"
    }
    assert found["us-east-1", "tpm"].code == "L-C0326783"
    other = found["us-west-2", "tpm"]
    assert (other.code, other.name) == ("", name)
    assert "peakday aws pull" in other.remark


def test_vcpus_of_instances_by_the_hour_are_asked_for(plan):
    """EC2 grants on-demand instances by vCPUs of a family; a Capacity Block needs none."""
    supply = next(s for s in plan.supplies if s.chosen)
    option = replace(supply.chosen, price_kind="on demand", instance_type="inf2.48xlarge")
    only = replace(plan, supplies=(replace(supply, options=(option,), quotas=()),))
    [ask] = quota_asks(only, None)
    assert (ask.name, ask.asked) == ("Running On-Demand Inf instances", option.bought_instances * 192.0)
    enough = QuotaRow("ec2", supply.region, "L-1", ask.name, ask.asked, 0.0, True)
    assert not list(quota_asks(only, Held("quotas.yaml", (enough,))))
    block = replace(
        only, supplies=(replace(only.supplies[0], options=(replace(option, price_kind="capacity block"),)),)
    )
    assert not list(quota_asks(block, None))


def test_the_file_reads_back(plan, tmp_path):
    """One header, one row a line, blanks where nothing is known."""
    path = write_order_sheet(plan, tmp_path / "order.csv", EVENT)
    with path.open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 1 + len(order_lines(plan, EVENT))
    assert rows[0]["line"] == "verdict"
    assert {row["line"] for row in rows[1:]} == {"chips", "quota"}
    assert {row["long_request_ratio"] for row in rows} == {""}


def test_the_screen_shows_list_beside_net(plan):
    """Where something is discounted the terminal says both; where nothing is, one figure is enough."""
    net = plan.event_cost_usd.mid
    dearer = replace(plan, event_cost_parts_list_usd={"Bedrock tokens": 2 * net})
    same = replace(plan, event_cost_parts_list_usd={"Bedrock tokens": net})
    assert "at list prices" in plan_summary(dearer)
    assert "at list prices" not in plan_summary(same)


def test_the_page_has_the_dates_of_the_sheet(plan, tmp_path):
    """What is signed is what is in the file: codes, counts and dates to act by."""
    text = write_order(plan, tmp_path / "order.html", EVENT).read_text()
    lines = order_lines(plan, EVENT)
    assert all(line.act_by in text for line in lines)
    assert all(line.quota_name in text for line in lines if line.quota_name)
    assert "Book by" in text
