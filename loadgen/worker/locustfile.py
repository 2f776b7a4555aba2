"""What Locust runs: one driver user on each worker, the coordinator on the master. Started by `loadgen/run.py`."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import socket
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gevent
import locust.runners
from gevent.event import Event
from locust import User, events, task

from host.errors import Exit
from host.processes import PARENT_VARIABLE, ParentWatch, processors, run_first, scheduling
from loadgen.coordinator.coordinator import Coordinator
from loadgen.job import FOLDER_VARIABLE, Bundle, LoadError, LoadJob
from loadgen.live import Snapshot
from loadgen.load_engine import Environment, Message, Runner
from loadgen.seal import VARIABLE, Seal
from loadgen.worker import signed_sockets
from loadgen.worker.page_rows import page_rows
from loadgen.worker.waiting import Waiting, master_address
from loadgen.worker.worker_run import WorkerRun

REPORT_EVERY_S = 1.0
PINGS = 5
PARENT_CHECK_S = 0.5
FAILURE_SENT_WITHIN_S = 2.0
"""How long a worker that failed stays, so that the reason has left for the master before its connection closes."""
FINAL_REPEATS = 8
"""How often the final message is sent again while the master has not acknowledged every row; it waits ten seconds."""
locust.runners.WORKER_REPORT_INTERVAL = REPORT_EVERY_S
MASTER_LOST_AFTER_S = 4.5
"""Without a heartbeat of the master's, which comes every second, a worker stops sending and ends."""
locust.runners.MASTER_HEARTBEAT_TIMEOUT = math.inf  # type: ignore[assignment]
"""Locust's own check counts by the wall clock: one that is set forward by a minute ended every worker."""
HEARTBEAT_CHECK_S = 0.25

_runs: list[WorkerRun] = []  # at most one: Locust may spawn a second user here when another worker is lost
_messages: dict[str, Any] = {}
_job = Event()
_go = Event()
_pong = Event()
_seal = Seal(os.environ[VARIABLE])
signed_sockets.install(_seal)


def on_init(environment: Environment, **_: object) -> None:
    """Read the job, and take this process's part in it."""
    runner = environment.runner
    if isinstance(runner, locust.runners.MasterRunner):
        job = LoadJob.read(Path(os.environ["PEAKDAY_JOB"]))
        control_fd = os.environ.get("PEAKDAY_CONTROL_FD")
        Coordinator(job, runner, int(control_fd) if control_fd else None, lambda: _seal.strangers).listen()
        return
    runner.register_message("peakday_go", _on_go)
    runner.register_message("peakday_job", _on_job)
    runner.register_message("peakday_pong", _on_pong)
    runner.register_message("peakday_stop", _on_stop)
    runner.register_message("peakday_kept", _on_kept)
    runner.register_message("peakday_grant", _on_grant)
    runner.register_message("peakday_recall", _on_recall)
    runner.register_message("peakday_verdict", _on_verdict)
    _waiting.for_what = "a part of the run: its master has not begun yet, or has all the workers it needs"
    environment.events.report_to_master.add_listener(_on_report)
    environment.events.heartbeat_received.add_listener(_on_heartbeat)
    gevent.spawn(end_without_master, runner)


events.init.add_listener(on_init)  # type: ignore[no-untyped-call]


def exit_with_parent() -> None:
    """End this process when its supervisor is gone, from now on: while it still connects to a master too."""
    if PARENT_VARIABLE not in os.environ:
        return
    parent = ParentWatch()
    watcher = gevent.get_hub().loop.timer(PARENT_CHECK_S, PARENT_CHECK_S)
    watcher.start(lambda: os._exit(1) if parent.gone() else None)
    _messages["parent"] = watcher  # a watcher that is not referenced stops watching


exit_with_parent()
_waiting = Waiting(f"its master at {master_address(sys.argv)}")
if "--worker" in sys.argv and "PEAKDAY_JOB" not in os.environ:  # a worker of another machine, on somebody's terminal
    _waiting.begin()


def _on_go(environment: Environment, msg: Message, **_: object) -> None:
    _messages["go"] = msg.data
    _messages["go_ns"] = time.monotonic_ns()
    _go.set()


def _on_job(environment: Environment, msg: Message, **_: object) -> None:
    _messages["job"] = msg.data
    _job.set()


def _on_pong(environment: Environment, msg: Message, **_: object) -> None:
    _messages["pong"] = (msg.data["master_ns"], time.monotonic_ns())
    _pong.set()


def _on_stop(environment: Environment, msg: Message, **_: object) -> None:
    for worker_run in _runs:
        worker_run.driver.stop(0.0 if msg.data["now"] else worker_run.job.drain_s)


def _on_kept(environment: Environment, msg: Message, **_: object) -> None:
    for worker_run in _runs:
        worker_run.recorder.acknowledged(msg.data["through"])


def _on_grant(environment: Environment, msg: Message, **_: object) -> None:
    for worker_run in _runs:
        worker_run.budget.grant(msg.data["usd"], urgent=msg.data["urgent"])
        worker_run.driver.pay()


def _on_recall(environment: Environment, msg: Message, **_: object) -> None:
    for worker_run in _runs:
        environment.runner.send_message("peakday_returned", {"usd": worker_run.budget.give_back()})


def _on_verdict(environment: Environment, msg: Message, **_: object) -> None:
    """The run was INVALID: say why, and end with that code when the master lets this worker go."""
    if not msg.data["valid"]:
        print(f"the run is INVALID: {msg.data['reason']}", file=sys.stderr, flush=True)
        environment.process_exit_code = int(Exit.INVALID_RUN)


def _on_heartbeat(client_id: str, timestamp: float) -> None:
    _messages["heartbeat_s"] = time.monotonic()


def end_without_master(runner: Runner) -> None:
    """Stop sending and end with an error once the master has been silent for too long: nobody counts what is sent."""
    while True:
        gevent.sleep(HEARTBEAT_CHECK_S)
        if _is_silent():
            gevent.sleep(HEARTBEAT_CHECK_S)  # a worker that was itself frozen reads here what came meanwhile
            if _is_silent():
                break
    for run in _runs:
        if run.ended.is_set():
            return
        run.driver.stop(0.0)
    end_failed(
        runner, LoadError(f"the master has been silent for {MASTER_LOST_AFTER_S:g} s: this worker stops sending")
    )


def _is_silent() -> bool:
    heartbeat_s = _messages.get("heartbeat_s")
    return heartbeat_s is not None and time.monotonic() - heartbeat_s > MASTER_LOST_AFTER_S


def _on_report(client_id: str, data: dict[str, Snapshot]) -> None:
    for worker_run in _runs:
        if not worker_run.ended.is_set():
            data["peakday"] = worker_run.snapshot()


class Driver(User):
    """Holds the run of its worker; the turns themselves run in the hub."""

    @task
    def drive(self) -> None:
        """Prepare, wait for the common start, run, and send the final message."""
        if _runs or "failed" in _messages:
            gevent.sleep(3600)
            return
        runner = self.environment.runner
        try:
            self._run(runner)
        except Exception as error:  # Locust would begin the task again, for ever
            end_failed(runner, error)
        gevent.sleep(3600)

    def _run(self, runner: Runner) -> None:
        job, worker, remote = fetch_job(runner)
        on_turn = page_rows(self.environment) if job.web_port is not None else None
        worker_run = WorkerRun(
            job, worker, job.workers, on_turn, remote=remote, request_budget=_budget_requester(runner)
        )
        _runs.append(worker_run)
        _waiting.for_what = "its own customers and connections to be ready"
        worker_run.prepare()
        if job.processes < processors():  # one is left for what is driven here
            run_first()
        if remote:  # all of it is in memory; nobody's customers stay on this machine, however it ends
            shutil.rmtree(job.folder, ignore_errors=True)
        offset_s, half_width_s = clock_offset(runner)
        runner.send_message(
            "peakday_ready",
            {
                "worker": worker,
                "pid": os.getpid(),
                "host": socket.gethostname(),
                "clock_offset_s": offset_s,
                "clock_half_width_s": half_width_s,
                "scheduling": scheduling(),
            },
        )
        _waiting.for_what = "the other workers: the run starts when all are ready"
        _go.wait()
        _waiting.for_what = None
        worker_run.start(_messages["go"]["delay_s"] - (time.monotonic_ns() - _messages["go_ns"]) * 1e-9)
        runner.send_message("peakday_final", worker_run.wait())
        for _ in range(FINAL_REPEATS):
            gevent.sleep(REPORT_EVERY_S)
            if not worker_run.recorder.rows_wait:
                break
            runner.send_message("peakday_final", worker_run.snapshot(last=True))


def _budget_requester(runner: Runner) -> Callable[[float, bool], None]:
    """Ask the master for dollars. The budget asks from the hub, which must not block: a greenlet sends."""

    def request_budget(returned_usd: float, urgent: bool) -> None:
        gevent.spawn(runner.send_message, "peakday_request", {"returned_usd": returned_usd, "urgent": urgent})

    return request_budget


def end_failed(runner: Runner, error: Exception) -> None:
    """Tell the master why this worker cannot go on, then end it: once, and for good."""
    _messages["failed"] = error
    reason = one_line(error)
    if "PEAKDAY_JOB" in os.environ:  # stderr is a log here; elsewhere it is somebody's terminal
        traceback.print_exc()
    print(reason, file=sys.stderr, flush=True)  # the last log line, where no master listens any more
    with contextlib.suppress(Exception):
        code = int(getattr(error, "exit_code", Exit.ENVIRONMENT if isinstance(error, MemoryError) else Exit.USAGE))
        runner.send_message("peakday_failed", {"worker": _messages.get("worker", 0), "reason": reason, "code": code})
    gevent.sleep(FAILURE_SENT_WITHIN_S)
    os._exit(1)


def one_line(error: Exception) -> str:
    """What went wrong, in one line; an error of one of our packages already is its own sentence."""
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError):
        return "out of memory; give it more, or spread the rate over more workers (--processes)"
    ours = type(error).__module__.partition(".")[0] in ("loadgen", "scenarios", "facts")
    return text if ours and text else f"{type(error).__name__}: {text}"


def fetch_job(runner: Runner) -> tuple[LoadJob, int, bool]:
    """Job and number of this worker, from file and environment, or from a master elsewhere; and whether from there.

    Locust's own worker index is no such number: one that was given to a worker that has left is never given again.
    """
    file = os.environ.get("PEAKDAY_JOB")
    if file is not None:
        worker = _messages["worker"] = int(os.environ["PEAKDAY_WORKER"])
        return LoadJob.read(Path(file)), worker, False
    runner.send_message("peakday_hello", {"version": version("peakday")})
    _job.wait()
    bundle: Bundle = _messages["job"].copy()
    worker = _messages["worker"] = bundle.pop("worker")
    folder = tempfile.mkdtemp(prefix="job-", dir=os.environ.get(FOLDER_VARIABLE))
    return LoadJob.unpack(bundle, Path(folder)), worker, True


def clock_offset(runner: Runner) -> tuple[float, float]:
    """Master's monotonic clock minus ours, and half the round trip that bounds the error; the best of a few pings."""
    best = (0.0, float("inf"))
    for _ in range(PINGS):
        _pong.clear()
        sent_ns = time.monotonic_ns()
        runner.send_message("peakday_ping")
        if not _pong.wait(2.0):
            continue
        master_ns, received_ns = _messages["pong"]
        half_width_s = (received_ns - sent_ns) * 0.5e-9
        if half_width_s < best[1]:
            best = (master_ns * 1e-9 - (sent_ns + received_ns) * 0.5e-9, half_width_s)
    return best if best[1] != float("inf") else (0.0, -1.0)
