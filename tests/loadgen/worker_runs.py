"""WorkerRun a job in this process: the worker's own code on a real event loop, without Locust around it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent

from loadgen.chunks import ChunkWriter
from loadgen.job import LoadJob
from loadgen.record import Run, load_run
from loadgen.run import begin_record
from loadgen.worker.worker_run import WorkerRun

ENDS = ("completed", "failed", "abandoned", "censored", "dropped")


def play(job: LoadJob, meddle: Callable[[WorkerRun], None] | None = None) -> tuple[Run, dict[str, Any]]:
    """The record and the final snapshot of a one-worker run. `meddle` may change the play before it starts."""
    from datetime import UTC, datetime

    begin_record(job, datetime.now(UTC))
    one = WorkerRun(job, 0, 1)
    one.prepare()
    if meddle is not None:
        meddle(one)
    one.start(0.05)
    final = one.wait()
    ChunkWriter(job.folder).pump(0.0, 0.0, everything=True)
    return load_run(job.folder), final


def stop_when(enough: Callable[[WorkerRun], bool]) -> Callable[[WorkerRun], None]:
    """For `play`: ask for nothing more once there is enough, so that no window has to be of the right length."""

    def watch(one: WorkerRun) -> None:
        while not enough(one) and not one.ended.is_set():
            gevent.sleep(0.01)
        one.driver.stop(one.job.drain_s)

    def meddle(one: WorkerRun) -> None:
        gevent.spawn(watch, one)

    return meddle


def stop_after(turns: int) -> Callable[[WorkerRun], None]:
    """For `play`: ask for nothing more once so many turns have ended."""
    return stop_when(lambda one: sum(one.recorder.counters[name] for name in ENDS) >= turns)
