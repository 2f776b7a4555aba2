"""Before a run and beside it: connections are warm at t0, and the generator's own error is measured on this machine."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from loadgen.job import TargetSpec
from loadgen.run import run_load
from tests.loadgen.server import assistant, assistant_events, chat_events, response, serving, streamed
from tests.loadgen.worker_runs import play

SHORT_TURNS = {"mix": {"turns_per_interaction": {"mean": 1.0, "max": 1}}}


def test_every_connection_of_a_calm_run_was_accepted_before_t0(make_job):
    """The server has accepted more than the first second's turns before the start, and none after it."""
    accepted = []
    with serving(lambda *_: streamed(chat_events(3))) as server:
        target = TargetSpec("openai", server.url + "/v1", model="m")
        job = make_job(target, scenario=SHORT_TURNS, rate_per_s=20.0, for_s=1.0)
        run, _ = play(job, lambda one: accepted.append(server.connections))
        accepted.append(server.connections)
    before, after = accepted
    assert before > len(run.turns) > 5
    assert after == before
    assert set(run.turns["status"]) == {"ok"}


def test_a_whole_run_has_its_connections_before_its_first_turn(make_job):
    """Locust and its workers around it: as the first turn reaches the server, those of the run are there already."""
    accepted = []

    def turn():
        accepted.append(server.connections)
        return streamed(assistant_events())

    turns = assistant(turn)

    def handle(path, *rest):
        return [(0.0, response(b"", "404 Not Found"))] if path == "/metrics" else turns(path, *rest)

    with serving(handle) as server:
        run_load(make_job(TargetSpec("assistant", server.url), scenario=SHORT_TURNS, rate_per_s=20.0, for_s=1.0))
    assert accepted[0] > 20
    assert accepted[-1] - accepted[0] <= 2  # the scraper's own


@pytest.mark.slow
def test_doctor_compares_its_rate_with_what_the_stand_ins_truly_sent(tmp_path):
    """Against the real /truth: every answered turn is matched by its trace, and our TTFT is later by little or not."""
    asked = ["doctor", "--rate", "5/s", "--for", "4s", "--json", "--quiet"]
    done = subprocess.run(
        [sys.executable, "-m", "peakday", *asked], cwd=tmp_path, capture_output=True, text=True, timeout=900
    )
    assert done.returncode in (0, 3), done.stderr
    found = json.loads(done.stdout)
    assert found["valid"] == (done.returncode == 0)
    assert found["sent_ratio"] == 1.0
    assert found["asked"] >= found["matched"] > 0.8 * found["asked"] > 8
    p50_s, p99_s = found["ttft_error_s"]
    assert -0.001 < p50_s <= p99_s  # the same kernel clock on both sides: nothing is seen before it was sent
    assert p50_s < 0.1 or not found["valid"]
    assert found["start_lag_s"][0] <= found["start_lag_s"][1]
