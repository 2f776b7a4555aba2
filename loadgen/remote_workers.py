"""Workers of a run whose master is elsewhere. Nothing is imported here that the image of a worker leaves out."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from host import processes
from host.errors import Exit
from loadgen.job import FOLDER_VARIABLE
from loadgen.seal import VARIABLE, shared_secret

LOCUST = (
    *(sys.executable, "-P", "-m", "loadgen.worker.locust_command"),
    *("-f", str(Path(__file__).with_name("worker") / "locustfile.py")),
)
"""The command that both ends of a run are."""
POLL_S = 0.1
STOP_WITHIN_S = 3.0
_MACOS_OPEN_MAX = 10_240
"""Where no hard limit is set, macOS refuses to be asked for more: setrlimit(2), COMPATIBILITY."""


def run_worker(master_host: str, master_port: int, number: int = 1) -> int:
    """Be workers of a run whose master is elsewhere: the run travels here, and its rows travel back.

    Returns the exit code: 0 when every worker ended as its master asked, 3 when the run was INVALID, 130 after Ctrl-C,
    else 5.

    Raises:
        LoadError: the run's secret is not in the environment.
    """
    secret = shared_secret()
    raise_open_file_limit()
    arguments = ("--worker", "--master-host", master_host, "--master-port", str(master_port))
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("LOCUST_", "PEAKDAY_JOB"))}
    command = [*LOCUST, *arguments, "--headless", "--only-summary"]
    command += ["--loglevel", "WARNING"]
    with tempfile.TemporaryDirectory(prefix="peakday-worker-") as folder, noted_signals() as interrupts:
        environment |= {FOLDER_VARIABLE: folder, VARIABLE: secret}
        workers = [
            processes.start(f"worker {k}", command, environment=environment, inherited=True, watched=True)
            for k in range(number)
        ]
        try:
            while any(worker.poll() is None for worker in workers) and not interrupts:
                time.sleep(POLL_S)
        finally:
            processes.stop(workers, STOP_WITHIN_S)
    if interrupts:
        return Exit.INTERRUPTED
    codes = {end.exit_code if (end := worker.poll()) is not None else None for worker in workers}
    if codes <= {0, Exit.INVALID_RUN}:
        return Exit.INVALID_RUN if Exit.INVALID_RUN in codes else 0
    return Exit.ENVIRONMENT


def raise_open_file_limit() -> None:
    """Every turn in flight is a socket: take as many as the machine allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MACOS_OPEN_MAX if hard == resource.RLIM_INFINITY else hard
    if soft not in (resource.RLIM_INFINITY, most):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))


@contextlib.contextmanager
def noted_signals() -> Iterator[list[float]]:
    """Times of interrupts, in place of their effect. Outside the main thread signals are left alone."""
    received: list[float] = []

    def note(_: int, __: FrameType | None) -> None:
        received.append(time.monotonic())

    try:
        before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:
        yield received
        return
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
