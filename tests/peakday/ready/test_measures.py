"""Recovery and headroom, worked out by hand."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from capacity.rows.figures import Levels
from capacity.rows.needs import QuotaNeed
from loadgen.run_info import FaultSpan
from peakday.ready.checklist import read_checklist
from peakday.ready.event import read_event
from peakday.ready.evidence import Evidence, Rehearsed
from peakday.ready.faults import command_for, failure_matrix
from peakday.ready.headroom import headroom_rows
from tests.dashboards.plans import make_plan
from tests.peakday.gate.making import run


def evidence(**changes):
    now = datetime(2026, 11, 1, tzinfo=UTC)
    return replace(Evidence(read_event("smoke"), read_checklist(None), (), (), None, None, "", now), **changes)


def faulty(statuses):
    """A turn each half second, and a fault from 5 s to 10 s."""
    made = run([0.5] * len(statuses), statuses, step_s=0.5)
    info = replace(made.info, faults=(FaultSpan("throttle", None, None, 1.0, 5.0, 10.0),), run_id="r1")
    return Rehearsed(replace(made, info=info), ())


def test_recovery_is_when_the_last_failing_turn_began_after_the_faults_end():
    """Turns 10 to 24 begin at 5.0 s to 12.0 s; the fault ends at 10.0 s."""
    statuses = ["ok"] * 10 + ["throttled"] * 15 + ["ok"] * 30
    (row,) = [row for row in failure_matrix(evidence(faulty=(faulty(statuses),))) if row.tried]
    assert (row.turns, row.failed_ratio, row.recovery_s) == (10, 1.0, pytest.approx(2.0))


def test_a_fault_at_the_very_end_shows_no_recovery():
    (row,) = [row for row in failure_matrix(evidence(faulty=(faulty(["ok"] * 30),))) if row.tried]
    assert (row.recovery_s, row.turns_after) == (None, 10)


def test_headroom_is_what_is_left_of_a_quota_and_shrinks_as_demand_grows():
    """Smoke's peak is 6/s in the middle and 8/s at its 95th percentile: 50 of 100 at the median leave a half."""
    plan = make_plan()
    need = QuotaNeed("rpm", Levels(50, 60, 70), Levels(0, 0, 0), 100.0, None, "a test")
    bedrock = next(supply for supply in plan.supplies if supply.supply == "bedrock")
    (row,) = headroom_rows(evidence(plan=replace(plan, supplies=(replace(bedrock, quotas=(need,)),))))
    # p90 = 6 x (8/6)^(1.2816/1.6449), p99 with 2.3263: the upper half of a log-normal through 6 and 8.
    grown = [50 * (8 / 6) ** (z / 1.6449) for z in (1.2816, 2.3263)]
    assert row[3:] == ["50.0%", f"{100 - grown[0]:.1f}%", f"{100 - grown[1]:.1f}%"]


@pytest.mark.parametrize("kind", read_checklist(None).faults)
def test_the_command_that_tries_a_fault_is_one_that_can_be_typed(kind):
    """The scenario takes the fault as it stands there, and it ends twenty seconds before the run does."""
    import shlex

    from scenarios.loading import load_scenario
    from tests.typed import parsed

    words = shlex.split(command_for(kind, read_event("smoke")))
    (fault,) = load_scenario("smoke", parsed(words).params["sets"]).faults
    assert (fault.kind, fault.at_s + fault.length_s) == (kind, 20)
