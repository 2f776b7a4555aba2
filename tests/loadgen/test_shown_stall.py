"""A server that stalls for a second: the open loop's p99 shows it, the closed loop's does not, and is labelled."""

from __future__ import annotations

import time

import pytest

from loadgen.job import TargetSpec
from loadgen.record import load_run
from loadgen.run import run_load
from tests.loadgen.conftest import make_job_in
from tests.loadgen.server import assistant, assistant_events, response, serving, streamed

pytestmark = pytest.mark.slow
ONE_TURN = {"mean": 1.0, "max": 1}
SINGLE_TURNS = {"mix": {"turns_per_interaction": ONE_TURN, "interactions_per_session": ONE_TURN}}
STALL_AFTER_S = 1.0
STALL_S = 1.0
SHOWN_S = 0.5
USERS = 2


def stalling():
    """An assistant that answers at once, but not in the second that begins a second after the first turn."""
    began_s: list[float] = []

    def answer():
        now_s = time.monotonic()
        began_s.append(now_s)
        since_s = now_s - began_s[0] - STALL_AFTER_S
        return streamed(assistant_events(), first_s=STALL_S - since_s if 0 <= since_s < STALL_S else 0.003)

    turns = assistant(answer)
    return lambda path, *rest: [(0.0, response(b"", "404 Not Found"))] if path == "/metrics" else turns(path, *rest)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The same stall met by an open and by a closed loop: run.json and the TTFT of every turn."""
    found = {}
    for name, how in (("open", {"rate_per_s": 60.0}), ("closed", {"rate_per_s": None, "closed_loop_users": USERS})):
        make_job = make_job_in(tmp_path_factory.mktemp(name))
        with serving(stalling()) as server:
            job = make_job(TargetSpec("assistant", server.url), scenario=SINGLE_TURNS, for_s=3.5, **how)
            info = run_load(job).info
        found[name] = (info, load_run(job.folder).turns["ttft_s"].dropna())
    return found


def p99_s(info):
    return info.quantile("ttft_s", "p99").value


def test_a_second_of_silence_shows_in_the_open_loops_p99(runs):
    """Everybody who arrives in that second waits, and is counted."""
    info, waits_s = runs["open"]
    assert p99_s(info) > SHOWN_S
    assert (waits_s > SHOWN_S).mean() > 0.05


def test_the_same_second_hides_in_the_closed_loop(runs):
    """It was met: the users who waited for it are few turns of very many, and p99 says nothing of them."""
    info, waits_s = runs["closed"]
    assert 1 <= (waits_s > SHOWN_S).sum() < len(waits_s) / 100
    assert p99_s(info) < p99_s(runs["open"][0]) / 3


def test_a_closed_loop_is_labelled_and_warns_of_what_it_omits(runs):
    """run.json says which loop it was, and only the closed one warns of coordinated omission."""
    warned = {name: any("coordinated omission" in one for one in info.warnings) for name, (info, _) in runs.items()}
    assert {name: info.open_loop for name, (info, _) in runs.items()} == {"open": True, "closed": False}
    assert warned == {"open": False, "closed": True}
