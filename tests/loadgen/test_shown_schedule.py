"""The schedule is the generator's own: a frozen server delays no turn, and no server makes one disappear."""

from __future__ import annotations

import itertools
import json
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

import gevent
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.job import TargetSpec
from loadgen.schedule.sessions import make_schedule
from tests.loadgen.conftest import make_job_in
from tests.loadgen.server import assistant, assistant_events, response, serving, streamed
from tests.loadgen.worker_runs import ENDS, play

ONE_TURN = {"mean": 1.0, "max": 1}
SINGLE_TURNS = {"turns_per_interaction": ONE_TURN, "interactions_per_session": ONE_TURN}
FREEZES_AT = 20
BEHAVIOURS = {
    "answer": lambda: streamed(assistant_events()),
    "500": lambda: [(0.0, response(b'{"error":"x"}', "500 Internal Server Error"))],
    "close": lambda: [(0.0, b"")],
    "cut": lambda: [*streamed(assistant_events())[:3], (0.0, b"")],
    "stall": lambda: [(30.0, b"late")],
    "slow": lambda: streamed(assistant_events(), first_s=0.15, gap_s=0.02),
    "garbage": lambda: [(0.0, b"\x00\xff garbage\r\n\r\n"), (0.0, b"")],
    "garbled": lambda: streamed([b"event: meta\ndata: {broken\n\n", b"event: done\n\n"]),
}


def planned(job) -> int:
    """How many single-turn sessions the plan holds, whatever the server does."""
    messages = json.loads(Path(job.messages).read_text())["messages"]
    return int((make_schedule(job, messages).offset_s < job.length_s).sum())


def asked_and_ended(counters) -> tuple[float, float]:
    return counters["asked"], sum(counters[name] for name in ENDS)


def freezing(thaw: threading.Event):
    """An assistant whose whole process stands still from one turn on: it accepts nothing and reads nothing."""
    asked = itertools.count()

    def answer():
        if next(asked) == FREEZES_AT:
            thaw.wait(300)
        return streamed(assistant_events())

    return assistant(answer)


@pytest.fixture(scope="module")
def plays(tmp_path_factory):
    """The same job on a server that answers and on one that freezes: its plan, its turns and its counters."""
    found = {}
    loads = {"answering": {}, "frozen": {"drain_s": 0.2, "in_flight_max": 60}}
    for name, load in loads.items():
        folder = tmp_path_factory.mktemp(name)
        thaw = threading.Event()
        with serving(freezing(thaw) if name == "frozen" else assistant(BEHAVIOURS["answer"])) as server:
            job = make_job_in(folder)(
                TargetSpec("assistant", server.url),
                scenario={"mix": SINGLE_TURNS, "load": load},
                rate_per_s=80.0,
                for_s=1.5,
            )
            run, final = play(job)
            thaw.set()
            urllib.request.urlopen(server.url, timeout=120).close()  # whoever came before is accepted by then
        found[name] = (planned(job), run.turns, final["counters"])
    return found


def test_a_frozen_server_delays_no_turn_and_loses_none(plays):
    """Every planned turn is asked for at its time, as beside a server that answers, and ends in one of five ways."""
    plan, turns, counters = plays["frozen"]
    twin_plan, twin, _ = plays["answering"]
    assert plan == twin_plan > 80
    assert asked_and_ended(counters) == (plan, plan)
    assert len(turns) == plan
    assert counters["completed"] <= FREEZES_AT
    assert counters["censored"] <= 60 <= counters["sent"], "as many at once as the scenario allows"
    assert counters["completed"] + counters["censored"] + counters["dropped"] == plan > counters["sent"]
    assert set(twin["status"]) == {"ok"}


def test_it_is_the_server_that_was_frozen_not_the_test(plays):
    """Beside it, the server that answers completes every turn."""
    plan, turns, counters = plays["answering"]
    assert counters["completed"] == len(turns) == plan


def away(one):
    """Keep the loop from running over the end of the window: two tenths of a second, from a tenth before it on."""

    def stand_still():
        gevent.sleep(max(0.0, (one.driver.asking_ends_ns - time.monotonic_ns()) * 1e-9 - 0.1))
        time.sleep(0.2)

    gevent.spawn_later(0.1, stand_still)


def test_what_fell_due_while_the_generator_was_away_is_asked_for_before_the_end(make_job):
    """A machine that stands still over the end of the window: late turns are late, and none is left without an end."""
    with serving(assistant(BEHAVIOURS["answer"])) as server:
        target = TargetSpec("assistant", server.url)
        job = make_job(target, scenario={"mix": SINGLE_TURNS}, rate_per_s=100.0, for_s=0.6)
        run, final = play(job, away)
    assert asked_and_ended(final["counters"]) == (planned(job), planned(job))
    assert len(run.turns) == planned(job)


@settings(max_examples=8, deadline=None)
@given(
    behaviours=st.lists(st.sampled_from(sorted(BEHAVIOURS)), min_size=1, max_size=6),
    patience=st.sampled_from([None, {"median": 0.1, "cv": 0.5}]),
    in_flight_max=st.sampled_from([3, 10_000]),
)
def test_whatever_a_server_does_every_planned_turn_is_asked_for_and_ends_once(behaviours, patience, in_flight_max):
    """asked = completed + failed + abandoned + censored + dropped = the plan's number = rows, and nothing is ours."""
    turn = itertools.cycle(behaviours)
    scenario = {
        "mix": {**SINGLE_TURNS, "patience_s": patience},
        "load": {"drain_s": 0.2, "turn_timeout_s": 0.3, "in_flight_max": in_flight_max},
    }
    with tempfile.TemporaryDirectory() as folder, serving(assistant(lambda: BEHAVIOURS[next(turn)]())) as server:
        make_job = make_job_in(Path(folder))
        job = make_job(TargetSpec("assistant", server.url), scenario=scenario, rate_per_s=100.0, for_s=0.3)
        run, final = play(job)
        plan = planned(job)
    assert asked_and_ended(final["counters"]) == (plan, plan)
    assert len(run.turns) == plan > 0
    assert not run.turns.duplicated(["session_id", "interaction_id", "turn_index"]).any()
    assert final["faults"] == []
