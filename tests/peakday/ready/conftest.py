"""A folder with records of an event, and the verb as it is typed there."""

import json
from dataclasses import replace

import pytest

from capacity.plan import ScenarioRef, write_plan
from scenarios.loading import load_scenario, scenario_hash
from tests.dashboards.plans import make_plan
from tests.dashboards.records import make_run

HASH = scenario_hash(load_scenario("smoke"))
RUN_ID = "20261123-094000-smoke"


@pytest.fixture(scope="session")
def fault_run(tmp_path_factory):
    """A valid run of 2,400 turns with a throttling fault, whose answers were emulated."""
    folder = tmp_path_factory.mktemp("ready") / "runs" / RUN_ID
    make_run(folder)
    return folder


@pytest.fixture
def with_plan(tmp_path):
    """Keep a plan of the scenario as it stands; what it is changed to."""

    def keep(**changes):
        plan = replace(make_plan(simulated=False), scenario=ScenarioRef("smoke", HASH, 1), **changes)
        (tmp_path / "plans" / plan.plan_id).mkdir(parents=True)
        write_plan(plan, tmp_path / "plans" / plan.plan_id)
        return plan

    return keep


@pytest.fixture
def ready(refused, tmp_path):
    """`peakday ready` on an event file of these lines: the exit code, and its result as data."""

    def run(text: str = "") -> tuple[int, dict]:
        (tmp_path / "event.yaml").write_text(f"schema: peakday.event/1\nscenario: smoke\n{text}\n")
        ended = refused("ready", "event.yaml", "--json", "--out", "out")
        return ended.returncode, json.loads(ended.stdout) if ended.stdout else {"error": ended.stderr}

    return run
