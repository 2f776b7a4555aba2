"""Work of a plan and of a run, as rows that a ticket system imports."""

from __future__ import annotations

import csv
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from capacity.plan import PlanError
from dashboards.focus.plan_charges import plan_charges
from dashboards.order.quotas import quota_asks
from dashboards.order.tickets import export_tickets
from loadgen.run_info import SloResult, Verdict
from tests.dashboards.plans import make_plan
from tests.dashboards.records import make_run


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_plan_becomes_its_bookings_and_quota_requests_with_the_day_to_act_by(tmp_path):
    """Three weeks before the event for chips, six for quotas; what stands in the way comes first."""
    plan = make_plan(simulated=False)
    found = rows(export_tickets(plan, tmp_path / "tickets.csv"))
    booked = [row for row in found if row["Summary"].startswith("Book ")]
    asked = [row for row in found if row["Summary"].startswith("Request ")]
    assert sum(int(row["Summary"].split()[1]) for row in booked) == sum(one.instances for one in plan.purchase)
    assert len(asked) == len(list(quota_asks(plan, None))) + sum(one.ask > one.granted for one in plan.account_needs)
    assert {row["Due Date"] for row in asked} == {"2026-10-17"}
    assert all(row["Due Date"] < "2026-11-28" for row in booked)
    assert {row["Labels"] for row in (*booked, *asked)} == {"peakday chips", "peakday quota"}


def test_bookings_and_charges_begin_before_the_event_by_the_warm_up_and_end_with_it(tmp_path):
    """As the order's own lines do; a record of before, which does not say how long the event is, ends them later."""
    plan = make_plan(simulated=False)
    hours = plan.rules.hours
    plan = replace(
        plan, scenario=replace(plan.scenario, start="2026-11-27T05:00:00+00:00", length_s=(hours - 0.25) * 3600)
    )
    end = datetime(2026, 11, 27, 4, 45, tzinfo=UTC) + timedelta(hours=hours)
    assert plan.paid_period == (datetime(2026, 11, 27, 4, 45, tzinfo=UTC), end)
    hourly = [row for row in rows(export_tickets(plan, tmp_path / "t.csv")) if "(on demand)" in row["Summary"]]
    assert all(f"2026-11-27T04:45Z to {end:%Y-%m-%dT%H:%MZ}" in row["Description"] for row in hourly)
    charge = plan_charges(plan)[0]
    assert (charge.ChargePeriodStart, charge.ChargePeriodEnd) == ("2026-11-27T04:45:00Z", f"{end:%Y-%m-%dT%H:%M:%SZ}")
    before = replace(plan, scenario=replace(plan.scenario, length_s=None))
    assert (
        before.event_period == before.paid_period == (end - timedelta(hours=hours - 0.25), end + timedelta(hours=0.25))
    )


def test_a_run_becomes_what_it_missed_and_why_it_does_not_count(tmp_path):
    run = make_run(tmp_path / "run", 200)
    slo = SloResult("ttft_s_p95", 1.0, "missed", 40, 200, 0.05, 0.2, 0.15, 0.26)
    info = replace(run.info, slo=(slo, replace(slo, result="met")), verdict=Verdict(False, ("lost worker 1",)))
    found = rows(export_tickets(replace(run, info=info), tmp_path / "tickets.csv"))
    assert [row["Summary"] for row in found[:2]] == ["Repeat run: lost worker 1", "SLO ttft_s_p95 missed: limit 1"]
    assert {row["Summary"] for row in found[2:]} == {one.sentence for one in info.what_broke_first}


def test_a_plan_without_a_date_has_no_tickets(tmp_path):
    plan = make_plan()
    with pytest.raises(PlanError, match="does not say when its event starts"):
        export_tickets(replace(plan, scenario=replace(plan.scenario, start=None)), tmp_path / "t.csv")
