"""Only what is ours voids a run, and each reason says what to do."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import gevent
import pytest

from host.processes import End
from loadgen.analysis.finish import _warnings, emulator_lateness, marked_faults
from loadgen.analysis.totals import latency_quantiles
from loadgen.analysis.verdict import Evidence, verdict
from loadgen.job import TargetSpec
from slo.histogram import Histogram
from slo.quantiles import Quantile
from tests.loadgen.server import assistant, assistant_events, response, serving, streamed
from tests.loadgen.worker_runs import play


def at(value: float) -> dict[str, Quantile]:
    return {share: Quantile(value, value, value, 1000, 10) for share in ("p50", "p90", "p95", "p99")}


KILLED = End("worker 1", -9, datetime(2026, 11, 27, 1, 2, 3, tzinfo=UTC))
GOOD = Evidence(
    start_lag=at(0.001),
    ttft=at(0.5),
    killed={},
    lost=(),
    faults=(),
    counters={"asked": 1000, "dropped": 300},
    rows=1000,
    emulator=None,
    finished=True,
)


def test_drops_and_slowness_are_the_targets():
    """A run with a third of its turns over the cap is valid: the SLO was missed, not the schedule."""
    assert verdict(GOOD).valid


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"start_lag": at(0.03)}, "start lag p99 30.0 ms, limit 25.0 ms"),
        ({"ttft": at(0.05), "start_lag": at(0.006)}, "start lag p99 6.0 ms, limit 5.0 ms"),
        ({"killed": {1: KILLED}, "lost_ratio": 0.4}, "lost worker 1 (killed by SIGKILL at 01:02:03 UTC); 40.0% of the"),
        ({"lost": ("worker 0 was lost",)}, "worker 0 was lost"),
        ({"rows": 990}, "10 offered turns have no row"),
        ({"faults": ("KeyError: x",), "counters": {"asked": 1000, "faults": 3}}, "3 errors inside the generator"),
        ({"emulator": {"late": True, "reasons": ["stand-ins were late: 9 ms"]}}, "stand-ins were late: 9 ms"),
        ({"emulator": {"late": None, "reasons": [], "error": "refused"}}, "the emulator did not report"),
        ({"finished": False}, "the load engine's master ended"),
        ({"counters": {"asked": 1000, "unsent": 6}}, "6 of 1006 turns due were not sent (0.60%)"),
    ],
)
def test_what_is_ours_voids_the_run(change, reason):
    """Each cause has its own sentence."""
    found = verdict(replace(GOOD, **change))
    assert not found.valid
    assert any(reason in one for one in found.reasons), found.reasons


def test_a_starved_generator_knows_it(make_job):
    """Something keeps the worker's core busy: the start lag shows it, and the run is void."""

    def hog(one):
        def burn():
            while not one.ended.is_set():
                for _ in range(300_000):
                    pass
                gevent.sleep(0)

        gevent.spawn(burn)

    with serving(assistant(lambda: streamed(assistant_events(), first_s=0.01))) as server:
        run, final = play(make_job(TargetSpec("assistant", server.url), rate_per_s=100.0, for_s=1.0), hog)
    quantiles = latency_quantiles(run.turns, Histogram())
    found = verdict(
        replace(
            GOOD, start_lag=quantiles["start_lag_s"], ttft=at(0.01), counters=final["counters"], rows=len(run.turns)
        )
    )
    assert "start lag" in found.reasons[0]


def test_the_stand_ins_own_account_is_asked_for():
    """Their lateness comes from their control endpoint; silence is not taken for punctuality."""
    with serving(lambda *_: [(0.0, response(b'{"late": true, "reasons": ["stand-ins were late"]}'))]) as server:
        assert emulator_lateness(server.url)["reasons"] == ["stand-ins were late"]
    assert emulator_lateness("http://127.0.0.1:1")["error"]
    assert emulator_lateness(None) is None


def test_a_stall_shows_in_the_open_loop_and_hides_in_the_closed(make_job, tmp_path):
    """Half a second of silence: whoever comes in it waits in the open loop; the closed loop's two users meet it."""
    import time

    def stalling():
        came_s: list[float] = []

        def answer():
            came_s.append(time.monotonic())
            thaw_s = came_s[30] + 0.6 if len(came_s) > 30 else 0.0  # the thirty-first request begins it
            return streamed(assistant_events(), first_s=max(0.0, thaw_s - came_s[-1]))

        return answer

    slow = {}
    for name, users in (("open", None), ("closed", 2)):
        with serving(assistant(stalling())) as server:
            job = make_job(
                TargetSpec("assistant", server.url),
                run_dir=str(tmp_path / name),
                rate_per_s=100.0,
                for_s=1.5,
                closed_loop_users=users,
            )
            run, _ = play(job)
        slow[name] = int((run.turns["ttft_s"] > 0.25).sum())  # turns, since a slow machine ends few of a closed loop
    assert slow["open"] > 10
    assert slow["closed"] < slow["open"] / 2


def test_a_closed_loop_is_warned_of_in_its_record(make_job):
    """A flag in run.json is easily missed: the warning is printed, and stands on the page."""
    target = TargetSpec("assistant", "http://127.0.0.1:1")
    (warning,) = _warnings(make_job(target, closed_loop_users=3), {}, False)
    assert "coordinated omission" in warning
    assert _warnings(make_job(target), {}, False) == []


def fault(at_s: float, length_s: float) -> dict:
    return {"kind": "throttle", "model": "nova-pro", "region": None, "ratio": 0.5, "at_s": at_s, "length_s": length_s}


def test_faults_are_marked_on_the_runs_own_clock(make_job):
    """A window from 10 s on: what began before it is cut, what was over by then is left out."""
    faults = [fault(5.0, 10.0), fault(12.0, 2.0), fault(1.0, 5.0)]
    target = TargetSpec("assistant", "http://127.0.0.1:1")
    job = make_job(target, scenario={"faults": faults}, window=(10.0, 20.0), emulator_url="http://127.0.0.1:1")
    marks = [(mark.start_s, mark.end_s) for mark in marked_faults(job, {})]
    assert marks == [(0.0, 5.0), (2.0, 4.0)]
    assert marked_faults(job, {})[0].model == "nova-pro"


def test_faults_that_did_not_strike_are_not_marked(make_job):
    """Without stand-ins, or with stand-ins that were never told t0, nothing broke on purpose."""
    target, faults = TargetSpec("assistant", "http://127.0.0.1:1"), {"faults": [fault(0.0, 20.0)]}
    assert marked_faults(make_job(target, scenario=faults), {}) == ()
    job = make_job(target, scenario=faults, emulator_url="http://127.0.0.1:1")
    assert marked_faults(job, {"notes": ["stand-ins: t0 not set (refused); faults do not strike"]}) == ()
    assert len(marked_faults(job, {})) == 1
