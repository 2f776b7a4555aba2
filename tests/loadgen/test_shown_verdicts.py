"""Whole runs judged: what is the generator's fault is INVALID, with reason and exit 3; what is the target's is not."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from loadgen.job import TargetSpec
from loadgen.record import load_run
from loadgen.run import run_load
from peakday.gate.slo import judge
from peakday.gate.verdicts import Verdict
from slo.slo import slos_of
from tests.loadgen.conftest import make_job_in
from tests.loadgen.server import assistant, assistant_events, response, serving, streamed

ATTEMPTS = 3
HOGS = 24
ONE_TURN = {"mean": 1.0, "max": 1}
SINGLE_TURNS = {"turns_per_interaction": ONE_TURN, "interactions_per_session": ONE_TURN}
SLOTS, SERVICE_S = 2, 0.1
SLO = {"ttft_s_p99": 0.3, "error_ratio": 0.01}


def without_metrics(handler):
    return lambda path, *rest: [(0.0, response(b"", "404 Not Found"))] if path == "/metrics" else handler(path, *rest)


HOG = """
import contextlib, os, sys
with contextlib.suppress(OSError):  # as the worker is, where that is permitted
    os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(os.sched_get_priority_min(os.SCHED_RR)))
os.sched_setaffinity(0, {int(sys.argv[1])})
for _ in range(int(sys.argv[2])):
    if os.fork() == 0:
        os.setsid()  # some systems share a core out by session
        parent = os.getppid()
        while os.getppid() == parent:
            pass
        os._exit(0)
sys.stdin.read()
"""


class Hogs:
    """Busy processes on the core of a run's worker, for as long as turns are asked for."""

    def __init__(self, for_s: float) -> None:
        self._for_s = for_s
        self._parent: subprocess.Popen[bytes] | None = None

    def starve(self, state) -> None:
        """Told of the run's progress: pin its worker to one core, and keep that core busy."""
        if state["state"] != "running":
            return
        if self._parent is None:
            worker = state["live"]["workers"]["0"]["pid"]
            core = min(os.sched_getaffinity(worker))
            for task in os.listdir(f"/proc/{worker}/task"):
                os.sched_setaffinity(int(task), {core})
            command = [sys.executable, "-c", HOG, str(core), str(HOGS)]
            self._parent = subprocess.Popen(command, stdin=subprocess.PIPE)
        elif state["live"]["elapsed_s"] > self._for_s:
            self.end()

    def end(self) -> None:
        """The last of them ends when their parent has."""
        if self._parent is not None:
            self._parent.communicate()


def told(outcome) -> str:
    """Why a run is void, which its record and its exit code say alike."""
    assert outcome.exit_code == 3
    assert load_run(outcome.run_dir).info.verdict == outcome.info.verdict
    assert not outcome.info.valid
    return " ".join(outcome.info.reasons)


def start_lag_s(outcome) -> float:
    return outcome.info.quantile("start_lag_s", "p99").value


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system pins no process to a core")
def test_a_worker_whose_core_is_kept_busy_voids_its_run(make_job, tmp_path):
    """Busy processes on the worker's core: start lag is the reason, and beside a twin without them it is plain why."""
    outcomes, hogs = {}, Hogs(for_s=2.0)
    for name, progress in (("left alone", None), ("starved", hogs.starve)):
        with serving(without_metrics(assistant(lambda: streamed(assistant_events())))) as server:
            target = TargetSpec("assistant", server.url)
            job = make_job(target, run_dir=str(tmp_path / name), rate_per_s=100.0, for_s=2.0)
            try:
                outcomes[name] = run_load(job, progress)
            finally:
                hogs.end()
    reasons = told(outcomes["starved"])
    assert "start lag p99 " in reasons
    assert "the generator fell behind; add workers (--processes) or lower the rate" in reasons
    if outcomes["left alone"].exit_code == 0:  # else this machine was busy enough by itself
        assert start_lag_s(outcomes["starved"]) > 1.5 * start_lag_s(outcomes["left alone"])


def test_a_rate_too_high_for_the_generator_voids_the_run(make_job):
    """Tens of thousands of turns a second asked of one worker: it says that it fell behind, not that the target did."""
    scenario = {"mix": SINGLE_TURNS, "load": {"in_flight_max": 4_000, "drain_s": 1.0}}
    with serving(without_metrics(assistant(lambda: streamed(assistant_events())))) as server:
        target = TargetSpec("assistant", server.url)
        outcome = run_load(make_job(target, scenario=scenario, rate_per_s=40_000.0, for_s=1.0))
    if outcome.exit_code == 0:
        ttft_s = outcome.info.quantile("ttft_s", "p50").value
        assert start_lag_s(outcome) <= 0.05 * ttft_s
        pytest.skip(f"this machine kept the target from answering for {ttft_s:.0f} s, beside which every lag is small")
    reasons = told(outcome)
    assert "start lag p99" in reasons or "turns due were not sent" in reasons
    assert "lower the rate" in reasons


def few_slots():
    """An assistant that serves two turns at once, and does not notice who has left."""
    free_s = [0.0] * SLOTS

    def answer():
        now_s = time.monotonic()
        slot = free_s.index(min(free_s))
        free_s[slot] = max(free_s[slot], now_s) + SERVICE_S
        return streamed(assistant_events(), first_s=free_s[slot] - now_s)

    return without_metrics(assistant(answer))


@pytest.fixture(scope="module")
def overloaded(tmp_path_factory):
    """A run at twice what the target can serve, with customers who lose patience.

    A machine that is busy for a moment makes the run INVALID, as it must; so it may be repeated.
    """
    scenario = {
        "mix": {**SINGLE_TURNS, "patience_s": {"median": 1.0, "cv": 0.4}},
        "slo": SLO,
        "load": {"drain_s": 3.0},
    }
    for _ in range(ATTEMPTS):
        with serving(few_slots()) as server:
            make_job = make_job_in(tmp_path_factory.mktemp("overloaded"))
            job = make_job(TargetSpec("assistant", server.url), scenario=scenario, rate_per_s=40.0, for_s=3.0)
            outcome = run_load(job)
        if outcome.exit_code == 0:
            break
    return outcome, job


def test_an_overloaded_target_is_a_valid_run(overloaded):
    """Exit code 0 and no reason against the numbers; if this machine gave none in a few tries, that is said."""
    outcome, _ = overloaded
    if outcome.exit_code != 0:
        pytest.skip(f"the generator does not vouch for its runs on this machine: {told(outcome)}")
    assert outcome.info.valid


def test_an_overloaded_target_misses_its_slo(overloaded):
    """By the very code that gates a build: TTFT fails, and what broke first is the promise, not the generator."""
    outcome, job = overloaded
    if outcome.exit_code != 0:
        pytest.skip(f"the generator does not vouch for its runs on this machine: {told(outcome)}")
    run = load_run(outcome.run_dir)
    assert run.turns["status"].eq("abandoned").sum() > 10
    (line,) = [judge(slo, [run], job.length_s) for slo in slos_of(SLO) if slo.name == "ttft_s_p99"]
    assert line.verdict == Verdict.FAIL
    assert "SLO missed: ttft_s_p99" in run.info.what_broke_first[0].sentence
