"""A run that cannot begin says why in one line, at once, and leaves nothing that looks begun."""

from __future__ import annotations

import os
import resource
import signal
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import orjson
import pytest

from host.errors import Exit
from host.ports import free_port
from loadgen.coordinator.coordinator import Coordinator
from loadgen.job import LoadError, TargetSpec
from loadgen.record import load_run
from loadgen.remote_workers import raise_open_file_limit
from loadgen.run import _check_started, _watch, begin_record, run_load
from loadgen.transport.request import fetch
from loadgen.worker.driver import Driver
from tests.loadgen.server import assistant_events, response, serving, streamed
from tests.loadgen.worker_runs import play, stop_after

NOWHERE = TargetSpec("openai", "http://127.0.0.1:1/v1", model="m")


def test_an_exception_in_a_worker_ends_the_run_with_its_reason(make_job):
    """The worker ends once, its reason is the one line, and no folder looks like a run."""
    job = make_job(NOWHERE)
    Path(job.messages).write_text("{}")
    with pytest.raises(LoadError, match=r"^load worker 0: KeyError: 'messages'$"):
        run_load(job)
    assert not (job.folder / "run.json").exists()
    log = (job.folder / "logs" / "worker-0.log").read_text()
    assert log.count("Traceback") == 1


@pytest.mark.parametrize("body", [b"nope", b"[]", b'{"sessions": []}', b'{"sessions": [{"session_token": 7}]}'])
def test_a_sign_in_that_answers_nonsense_fails_its_turns_and_not_the_run(make_job, body):
    """No JSON, another shape, too few sessions, a token that is none: the turns say so, and the run is valid."""
    with serving(lambda *_: [(0.0, response(body))]) as server:
        run, final = play(make_job(TargetSpec("assistant", server.url)))
    assert final["faults"] == []
    assert set(run.turns["status"]) == {"http_error"}
    assert run.turns["error_code"].str.startswith("sign_in_").all()


@pytest.mark.parametrize("window", [(9000.0, 9010.0), (-1.0, 5.0), (50.0, 70.0)])
def test_a_window_outside_the_event_is_refused_before_anything_is_written(make_job, window):
    """One line with the window that exists; no folder."""
    job = make_job(NOWHERE, window=window)
    with pytest.raises(LoadError, match="outside the event; choose one inside 0s:60s"):
        run_load(job)
    assert not job.folder.exists()


def test_a_file_that_is_not_there_is_refused_before_anything_is_written(make_job):
    """The workers would all choke on it."""
    job = make_job(NOWHERE, window=(0.0, 2.0), arrivals_file="/nowhere.csv")
    with pytest.raises(LoadError, match=r"/nowhere\.csv: cannot be read"):
        run_load(job)
    assert not job.folder.exists()


@pytest.mark.usefixtures("secret")
def test_an_interrupt_before_the_start_leaves_nothing(make_job):
    """Ctrl-C while a worker is still missing: interrupted, and no folder."""
    job = make_job(NOWHERE, remote_workers=1, bind_port=free_port())

    def interrupt():
        while not (job.folder / "logs" / "master.log").exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        run_load(job)
    assert not job.folder.exists()


def test_a_closed_loop_may_have_a_length_alone(make_job):
    """Its users make the rate; the open loop still needs both."""
    assert make_job(NOWHERE, rate_per_s=None, for_s=3.0, closed_loop_users=2).length_s == 3.0
    with pytest.raises(LoadError, match="go together"):
        make_job(NOWHERE, rate_per_s=None, for_s=3.0)


def test_a_closed_loop_that_is_refused_throughout_ends(make_job):
    """Every sign-in refused, thousands of sessions: each is a failed turn, and none is a fault of ours."""
    with serving(lambda *_: [(0.0, response(b"{}", "403 Forbidden"))]) as server:
        job = make_job(TargetSpec("assistant", server.url), closed_loop_users=30, for_s=300.0)
        run, final = play(job, stop_after(1000))
    assert final["faults"] == []
    assert len(run.turns) >= 1000
    assert set(run.turns["error_code"]) == {"sign_in_403"}


def test_a_stop_that_comes_before_the_start_holds():
    """The master said stop while this worker was on its way to t0: it asks for nothing and is done."""
    done = []
    timer = SimpleNamespace(at=lambda due_ns: None)
    one = Driver(timer, {}, None, in_flight_max=9, timeout_s=9.0, on_done=lambda: done.append(True))
    one.stop(5.0)
    one.begin(0, time.monotonic_ns() + 10**12, 5.0)
    one.add([(time.monotonic_ns(), None)])
    one.tick()
    assert done == [True]
    assert not one.arrivals


def test_a_worker_that_fails_after_the_start_voids_the_run(make_job):
    """Its reason is the first of the errors inside the generator, and nobody waits for its final message."""
    job = make_job(NOWHERE)
    begin_record(job, datetime.now(UTC))
    coordinator = Coordinator(job, SimpleNamespace(), None)
    coordinator._state = "running"
    coordinator._on_failed(None, SimpleNamespace(node_id="a", data={"worker": 0, "reason": "KeyError: 'x'", "code": 2}))
    live = coordinator._live()
    assert live["faults"] == ["load worker 0: KeyError: 'x'"]
    assert live["lost"] == ["worker 0 failed"]
    assert live["refused"] is None


def test_a_worker_that_fails_before_the_start_refuses_the_run_with_its_own_exit_code(make_job):
    """Out of memory is the machine's, a job that cannot be run its writer's."""
    job = make_job(NOWHERE)
    begin_record(job, datetime.now(UTC))
    coordinator = Coordinator(job, SimpleNamespace(), None)
    failed = {"worker": 0, "reason": "out of memory", "code": int(Exit.ENVIRONMENT)}
    coordinator._on_failed(None, SimpleNamespace(node_id="a", data=failed))
    with pytest.raises(LoadError, match="load worker 0: out of memory") as caught:
        _check_started(job, SimpleNamespace(killed={}), coordinator._live(), 1.0)
    assert caught.value.exit_code == Exit.ENVIRONMENT


def test_runs_that_begin_in_one_second_each_have_a_folder_of_their_own(make_job):
    job = make_job(NOWHERE)
    timed = replace(job, run_dir=str(job.folder.with_name("20261129-120000-smoke")), run_id="20261129-120000-smoke")
    names = [begin_record(timed, datetime.now(UTC)).folder.name for _ in range(3)]
    assert names == ["20261129-120000-smoke", "20261129-120000-smoke-2", "20261129-120000-smoke-3"]
    assert load_run(timed.folder.with_name(names[1])).run_id == names[1]


def test_a_folder_that_was_named_and_holds_a_run_is_refused(make_job):
    job = make_job(NOWHERE)
    begin_record(job, datetime.now(UTC))
    with pytest.raises(LoadError, match="already holds a run"):
        begin_record(job, datetime.now(UTC))


def test_a_run_that_waited_long_for_its_workers_is_not_overdue(make_job, monkeypatch):
    """Workers of other machines may take ten minutes: a master is stuck by the time since its run began."""
    moments = iter([(0.0, "waiting"), (550.0, "waiting"), (551.0, "running"), (620.0, "running"), (640.0, "running")])
    now, killed = [0.0, "waiting"], []

    def sleep(_):
        now[:] = next(moments, now)

    monkeypatch.setattr("loadgen.run.time", SimpleNamespace(monotonic=lambda: now[0], sleep=sleep))
    live = {"refused": None, "elapsed_s": None}
    monkeypatch.setattr("loadgen.run.read_live", lambda folder: live | {"state": now[1]})
    brief = {"load": {"drain_s": 1.0}}
    job = make_job(NOWHERE, scenario=brief, processes=0, remote_workers=1, bind_port=1)
    master = SimpleNamespace(poll=lambda: 0 if killed else None, send=lambda _: killed.append(now[0]))
    children = SimpleNamespace(master=master, workers=[], killed={}, control_fd=0, system_end=None)
    chunks, scraper = SimpleNamespace(pump=lambda *_: 0.0), SimpleNamespace(set_t0=lambda: None)
    _watch(job, children, chunks, [], scraper, lambda _: None, lambda: None)
    assert killed == [640.0]


def refusing_one(code, refused):
    """An assistant that signs in no request that holds the customer `refused`; code None: it never answers."""

    def handle(path, headers, body):
        if path != "/v1/sessions":
            return streamed(assistant_events())
        ids = orjson.loads(body)["customer_ids"]
        if refused[0] in ids:
            return [(0.0, response(b"{}", code))] if code else [(30.0, b"")]
        sessions = [{"customer_id": one, "session_token": f"token-{one}"} for one in ids]
        return [(0.0, response(orjson.dumps({"sessions": sessions})))]

    return handle


@pytest.mark.parametrize(("code", "error"), [("404 Not Found", "sign_in_404"), (None, "sign_in_timeout")])
def test_one_customer_who_cannot_sign_in_spoils_no_other_s_sessions(make_job, monkeypatch, code, error):
    """The batch is tried again in parts; the turns of that customer alone are not sent, and say why."""
    first = []

    def briefly(pool, request, wait_s=None):
        """Wait long where there will be an answer, so that no other request is given up."""
        ids = orjson.loads(request.partition(b"\r\n\r\n")[2])["customer_ids"]
        first[:] = first or ids[:1]
        return fetch(pool, request, 0.3 if first[0] in ids else 60.0)

    monkeypatch.setattr("loadgen.worker.worker_run.fetch", briefly)
    with serving(refusing_one(code, first)) as server:
        run, final = play(make_job(TargetSpec("assistant", server.url), rate_per_s=80.0))
    refused = run.turns["error_code"] == error
    assert final["faults"] == []
    assert run.turns["customer_id"][refused].nunique() == 1
    assert run.turns["error_code"][~refused].isna().all()
    assert run.turns["customer_id"].nunique() > 10


@pytest.mark.parametrize(
    ("soft", "hard", "asked"),
    [
        (256, resource.RLIM_INFINITY, [(10_240, resource.RLIM_INFINITY)]),
        (1_024, 4_096, [(4_096, 4_096)]),
        (4_096, 4_096, []),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, []),
    ],
    ids=["macOS", "Linux", "all it may have", "no limit"],
)
def test_a_process_takes_as_many_open_files_as_it_may_have(monkeypatch, soft, hard, asked):
    """macOS begins with 256, has no hard limit, and refuses to give no limit."""
    given = []
    monkeypatch.setattr("resource.getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr("resource.setrlimit", lambda _, limits: given.append(limits))
    raise_open_file_limit()
    assert given == asked
