"""WorkerRun: one worker's part of a run, from the job file to its final message."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from random import Random

import gevent
from gevent import get_hub, monkey
from gevent.event import Event

from loadgen.coordinator.budget import first_grant_usd
from loadgen.job import LoadJob
from loadgen.live import Snapshot
from loadgen.schedule.session import SessionState
from loadgen.schedule.sessions import make_schedule
from loadgen.targets.base import Fetch, Shared, Target
from loadgen.targets.factory import make_target
from loadgen.targets.web_socket import SocketTarget
from loadgen.transport.answer import Answer
from loadgen.transport.connection import Connection, Endpoint, now_ns
from loadgen.transport.event_loop import Watcher
from loadgen.transport.pool import Pool
from loadgen.transport.request import fetch
from loadgen.transport.timer import Timer
from loadgen.transport.web_socket import SocketConnection
from loadgen.worker.abort_rules import Budget
from loadgen.worker.driver import Driver
from loadgen.worker.health import HEARTBEAT_S, Health
from loadgen.worker.preparer import AHEAD_S, Part, Preparer
from loadgen.worker.recorder import Recorder
from loadgen.worker.sample_buffer import RemoteSampleBuffer, SampleBuffer
from loadgen.worker.sign_in import keep_fresh
from loadgen.worker.streams import streams

WARM_CONNECTIONS_MAX = 256
CLOSED_LOOP_AHEAD = 2_048
"""Sessions kept ready for a closed loop beside two for each user: a tenth of a second of a core's most."""
_NS = 1_000_000_000


class WorkerRun:
    """Everything one worker has, and the order in which it is used: `prepare`, `start`, then `wait`.

    Args:
        worker, workers: this worker's number and how many there are.
        on_turn: called with every turn, for the load engine's own page.
        remote: this machine is not the master's: rows travel with the reports, and prices are left to others.
        request_budget: asks the master for more of the budget; without it the first grant is all there is.
    """

    def __init__(
        self,
        job: LoadJob,
        worker: int,
        workers: int,
        on_turn: Callable[[Answer], None] | None = None,
        *,
        remote: bool = False,
        request_budget: Callable[[float, bool], None] | None = None,
    ) -> None:
        self.job = job
        self.ended = Event()
        self._workers = workers
        users = job.closed_loop_users
        self._closed_loop_ahead = 0 if users is None else 2 * users + CLOSED_LOOP_AHEAD
        messages = json.loads(Path(job.messages).read_text())["messages"]
        shared = Shared(job, {message["id"]: message for message in messages}, Random(f"{job.run_id}/{worker}"))
        tables = ("turns", "calls", "tools", "events", "generator", *(("texts",) if job.keep_text else ()))
        buffer = RemoteSampleBuffer() if remote else SampleBuffer(job.folder, worker, tables)
        self.recorder = Recorder(worker, buffer, shared.gaps_ns, on_turn, shared.messages if job.keep_text else None)
        targets = {spec.region: make_target(spec, shared) for spec in job.targets}
        self._targets = list(targets.values())
        targets.setdefault(None, self._targets[0])
        self._pools = {id(target): self._pool(target.where, target) for target in targets.values()}
        self._timer = Timer(get_hub().loop, self._wake)
        limits = job.scenario["load"]
        self.budget = _budget(job, workers, request_budget)
        self.driver = Driver(
            self._timer,
            self._pools,
            self.recorder,
            in_flight_max=max(1, limits["in_flight_max"] // workers),
            timeout_s=limits["turn_timeout_s"],
            on_done=self._done,
            budget=self.budget,
            users=None if job.closed_loop_users is None else len(range(worker, job.closed_loop_users, workers)),
        )
        plan = make_schedule(job, messages)
        fetches: dict[int, Fetch] = {key: partial(fetch, pool) for key, pool in self._pools.items()}
        self._preparer = Preparer(
            plan, plan.mine(worker, workers), targets, fetches, salt=job.run_id, pause=gevent.sleep, spread=_at_once
        )
        self._streams = streams(job, worker, workers, get_hub().loop, self._pool, self.recorder)
        self._early: list[tuple[float, SessionState]] = []
        self._health: Health | None = None
        self._heart: Watcher | None = None
        self._refreshers: list[gevent.Greenlet] = []

    def _pool(self, where: Endpoint, target: Target | None = None) -> Pool:
        loop, socket_type = get_hub().loop, monkey.get_original("socket", "socket")
        kind = SocketConnection if isinstance(target, SocketTarget) else Connection
        return Pool(
            lambda stale: kind(loop, where, socket_type, self.recorder.fault, stale),
            resends=target is None or _resends(target),
            ahead=kind.reusable,
        )

    def _wake(self) -> None:
        self.driver.wake()

    def prepare(self) -> None:
        """Make the first sessions ready and connections warm; then keep the collector away until the run has ended."""
        enough = self._closed_loop_ahead
        while self._preparer.ready_until_s < AHEAD_S and not 0 < enough < len(self._early):
            self._early += self._preparer.batch()
        rate_per_s = sum(1 for offset_s, _ in self._early if offset_s < 1.0)
        for pool in self._pools.values():
            pool.warm(min(WARM_CONNECTIONS_MAX, 4 + 2 * rate_per_s))
        gevent.sleep(0.2)
        # A collection over prepared states would stop the clock for milliseconds, and turns leave it nothing to find.
        gc.collect()
        gc.disable()

    def start(self, delay_s: float) -> int:
        """t0 is `delay_s` from now. Returns it on this machine's monotonic clock, in nanoseconds."""
        t0_ns = now_ns() + int(delay_s * _NS)
        self.recorder.t0_ns = t0_ns
        self._health = Health(self.driver, self.recorder, t0_ns, [stream.tick for stream in self._streams])
        self._heart = get_hub().loop.timer(HEARTBEAT_S, HEARTBEAT_S)
        self._heart.start(self._health.beat)
        self.driver.begin(t0_ns, t0_ns + int(self.job.length_s * _NS), self.job.drain_s)
        self._add(self._early)
        for stream in self._streams:
            stream.begin(t0_ns)
        self._early = []
        gevent.spawn(self._keep_ahead, t0_ns)
        self._refreshers = keep_fresh(self._targets, self.recorder, self.ended.is_set)
        return t0_ns

    def _keep_ahead(self, t0_ns: int) -> None:
        while not self._preparer.finished and not self.driver.stopped:
            spare_s = self._spare_s(t0_ns)
            if spare_s > 0:
                gevent.sleep(min(1.0, spare_s))
                continue
            try:
                self._add(self._preparer.batch())
            except Exception as error:
                self.recorder.fault(error)
                return

    def _spare_s(self, t0_ns: int) -> float:
        """How long preparing may pause."""
        if self.job.closed_loop_users is not None:
            return 0.01 if len(self.driver.arrivals) > self._closed_loop_ahead else 0.0
        return self._preparer.ready_until_s - (now_ns() - t0_ns) / _NS - AHEAD_S

    def _add(self, states: list[tuple[float, SessionState]]) -> None:
        t0_ns = self.recorder.t0_ns
        self.driver.add([(t0_ns + int(offset_s * _NS), state) for offset_s, state in states])

    def _done(self) -> None:
        self.ended.set()

    def wait(self) -> Snapshot:
        """Wait for the end of the run; the final snapshot."""
        self.ended.wait()
        gc.enable()
        if self._heart is not None:
            self._heart.close()
        gevent.killall(self._refreshers, block=False)
        for stream in self._streams:
            stream.end()
        if self._health is not None:
            self._health.second_over()
        self._timer.close()
        for pool in self._pools.values():
            pool.close()
        if not self.driver.stopped and self.job.closed_loop_users is None:
            # The preparer fell behind: these were due in the window and never got ready.
            self.recorder.counters["unsent"] += len(self.driver.arrivals) + self._preparer.left
        self.recorder.counters["resent"] = sum(pool.resent for pool in self._pools.values())
        final = self.snapshot(last=True)
        self.recorder.close()
        return final

    def snapshot(self, *, last: bool = False) -> Snapshot:
        """The cumulative snapshot, with what only the worker knows."""
        snapshot = self.recorder.snapshot(last=last)
        if self._health is not None:
            snapshot["health"] = self._health.latest
        snapshot["out_of_budget"] = self.driver.out_of_budget
        if self._health is not None:
            asked_ns = max(0, self.driver.asking_ends_ns - self.recorder.t0_ns)
            snapshot["asked_s"] = min(self.job.length_s, asked_ns / _NS)
        snapshot["in_flight"] = self.driver.in_flight
        snapshot["cpu_s"] = time.process_time()
        return snapshot


def _budget(job: LoadJob, workers: int, request_budget: Callable[[float, bool], None] | None) -> Budget:
    if job.budget_usd is None:
        return Budget(None, 0.0)
    return Budget(first_grant_usd(job.budget_usd, job.turn_usd_max, workers), job.turn_usd_max, request_budget)


def _resends(target: Target) -> bool:
    """Whether a request of this target may be sent twice: a mapping can say that it must not."""
    mapping = target.spec.mapping
    return mapping is None or bool(mapping.get("resend", True))


def _at_once(work: Callable[[Part], None], parts: Sequence[Part]) -> None:
    """A greenlet for each part; whatever one raises is raised here."""
    gevent.joinall([gevent.spawn(work, part) for part in parts], raise_error=True)
