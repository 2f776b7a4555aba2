"""Child processes: each leads a group of its own, writes a log, and is stopped with everything that it started.

A group of its own means that Ctrl-C is the parent's to handle. The parent binds listening sockets and hands them down,
so a port is never lost between looking and taking. A child that ends by itself is named with its exit and its time.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from host.errors import Exit, PeakdayError

PARENT_VARIABLE = "PEAKDAY_PARENT"
READY_WITHIN_S = 120.0
"""For one that hangs: one that ends is known at once, and a machine that is busy or reads its disk is slow to start."""
STOP_WITHIN_S = 5.0
"""Between asking a group to end and killing it."""
_POLL_S = 0.02
_LOG_TAIL_BYTES = 16_384
_LOG_LINE_CHARACTERS = 400
"""Of a last log line in a message: a build may print megabytes without a line end."""


class ProcessError(PeakdayError):
    """A child that ended at start or did not become ready; the message holds its last log line."""

    exit_code = Exit.ENVIRONMENT


@dataclass(frozen=True)
class End:
    """How and when a child ended. `exit_code` is negative for a signal, as in `subprocess`."""

    name: str
    exit_code: int
    at: datetime

    @property
    def signal_name(self) -> str | None:
        """`SIGKILL`; None when no signal ended it."""
        if self.exit_code >= 0:
            return None
        try:
            return signal.Signals(-self.exit_code).name
        except ValueError:
            return f"signal {-self.exit_code}"

    @property
    def how(self) -> str:
        """`killed by SIGKILL at 01:02:03 UTC`, or `exit code 1 at 01:02:03 UTC`."""
        cause = f"killed by {self.signal_name}" if self.signal_name else f"exit code {self.exit_code}"
        return f"{cause} at {self.at:%H:%M:%S} UTC"

    def __str__(self) -> str:
        return f"the {self.name} ended: {self.how}"


class Child:
    """A process that leads a group. `cpu_s`: CPU seconds of it and what it started, known once stopped."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], log: IO[bytes] | None) -> None:
        self.name = name
        self.process = process
        self.cpu_s: float | None = None
        self.end: End | None = None
        self._log = log

    @property
    def pid(self) -> int:
        """Its process id, which is its group's too."""
        return self.process.pid

    def poll(self) -> End | None:
        """How it ended; None while it runs."""
        if self.end is None:
            try:
                pid, status, used = os.wait4(self.pid, os.WNOHANG)
            except ChildProcessError:  # somebody else waited for it
                return self._ended(self.process.returncode or 0)
            if pid:
                self.cpu_s = used.ru_utime + used.ru_stime
                return self._ended(os.waitstatus_to_exitcode(status))
        return self.end

    def _ended(self, exit_code: int) -> End:
        self.process.returncode = exit_code
        self.end = End(self.name, exit_code, datetime.now(UTC))
        return self.end

    def wait(self, within_s: float) -> End | None:
        """Block until it has ended, at most so long; None when it has not."""
        deadline_s = time.monotonic() + within_s
        while self.poll() is None and time.monotonic() < deadline_s:
            time.sleep(_POLL_S)
        return self.end

    def last_log_line(self) -> str:
        """The last line it wrote to its log, or nothing."""
        if self._log is None or self._log.closed:
            return ""
        descriptor = self._log.fileno()
        size = os.fstat(descriptor).st_size
        tail = os.pread(descriptor, _LOG_TAIL_BYTES, max(0, size - _LOG_TAIL_BYTES))  # moves nobody's position
        lines = tail.decode("utf-8", "replace").strip().splitlines()
        return lines[-1].strip()[:_LOG_LINE_CHARACTERS] if lines else ""

    def explain(self, problem: str) -> str:
        """A problem, with the last log line where there is one."""
        line = self.last_log_line()
        return f"{problem}: {line}" if line else problem

    def ready(self, within_s: float = READY_WITHIN_S) -> dict[str, Any]:
        """The JSON line that it prints on standard output once it serves.

        Raises:
            ProcessError: it ended, printed nothing in time, or printed something else.
        """
        line = self._first_line(within_s)
        try:
            message = json.loads(line)
        except ValueError:
            message = None
        if not isinstance(message, dict):
            raise ProcessError(f"the {self.name} printed {line[:200]!r} and not that it is ready")
        return message

    def _first_line(self, within_s: float) -> bytes:
        assert self.process.stdout is not None
        deadline_s = time.monotonic() + within_s
        line = b""
        while b"\n" not in line:
            wait_s = max(0.0, deadline_s - time.monotonic())
            readable, _, _ = select.select([self.process.stdout], [], [], wait_s)
            chunk = os.read(self.process.stdout.fileno(), 65_536) if readable else b""
            if not chunk:
                why = "ended at start" if readable else f"was not ready within {within_s:g} s"
                raise ProcessError(self.explain(f"the {self.name} {why}"))
            line += chunk
        return line.split(b"\n")[0]

    def stop(self, within_s: float = STOP_WITHIN_S) -> None:
        """Ask its group to end, wait for all of it, kill what stays."""
        stop([self], within_s)

    def is_alive(self) -> bool:
        """Whether it, or a process that it started, runs."""
        return self.poll() is None or _group_is_alive(self.pid)

    def send(self, number: signal.Signals) -> None:
        """A signal to the whole group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def close(self) -> None:
        """Close our ends of its pipes and its log."""
        for stream in (self.process.stdin, self.process.stdout, self._log):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()


def start(
    name: str,
    command: Sequence[str],
    *,
    log: Path | None = None,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    descriptors: Sequence[int] = (),
    inherited: bool = False,
    watched: bool = False,
    stdin: bool = False,
    stdout: bool = False,
) -> Child:
    """Start a child.

    Args:
        name: what messages call it, such as "assistant".
        log: file for its standard error, and its output where that is not piped; None: one without a name.
        environment: all of its variables; None: ours.
        descriptors: handed down under their own numbers: listening sockets, pipes.
        inherited: no log; what it writes goes where ours goes.
        watched: it ends when we are gone, by `ParentWatch`.
        stdin, stdout: a pipe for us to write to, to read from.
    """
    variables = dict(os.environ if environment is None else environment)
    variables.pop(PARENT_VARIABLE, None)  # of our own parent: no grandchild's business
    if watched:
        variables[PARENT_VARIABLE] = str(os.getpid())
    log_stream = None if inherited else _log_stream(log)
    try:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=variables,
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE if stdout else log_stream,
            stderr=log_stream,
            pass_fds=descriptors,
            start_new_session=True,
        )
    except OSError:
        if log_stream is not None:
            log_stream.close()
        raise
    return Child(name, process, log_stream)


def _log_stream(log: Path | None) -> IO[bytes]:
    return tempfile.TemporaryFile() if log is None else log.open("w+b")


@contextlib.contextmanager
def running(child: Child, within_s: float = STOP_WITHIN_S) -> Iterator[Child]:
    """Keep a child up inside the block, and stop it whatever happens."""
    try:
        yield child
    finally:
        child.stop(within_s)


def stop(children: Sequence[Child], within_s: float = STOP_WITHIN_S) -> None:
    """Ask every group to end, wait for all of them, kill what stays; then `cpu_s` of each is known.

    A shell that is asked ends before the server it started, which is then nobody's child: so the time used is read
    before asking too, where the system shows it, and the larger figure is right.
    """
    used_s = [sum(group_members(child.pid).values()) for child in children]
    for child in children:
        if child.is_alive():
            child.send(signal.SIGTERM)
    deadline_s = time.monotonic() + within_s
    while alive := [child for child in children if child.is_alive()]:
        late_s = time.monotonic() - deadline_s
        if late_s > 0:
            for child in alive:
                child.send(signal.SIGKILL)
        if late_s > STOP_WITHIN_S:  # not even that ends it
            break
        time.sleep(_POLL_S)
    for child, before_s in zip(children, used_s, strict=True):
        child.cpu_s = max(before_s, child.cpu_s or 0.0) or None
        child.close()


def _group_is_alive(group: int) -> bool:
    """Whether a process of a group runs; one that has ended and that nobody waits for does not."""
    if Path("/proc/self/stat").is_file():
        return bool(group_members(group))
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def group_members(group: int) -> dict[int, float]:
    """Running processes of a group, each with its CPU seconds and those of its ended children; empty without /proc.

    Source: proc_pid_stat(5): fields 3 state, 5 pgrp, 14 to 17 the times in clock ticks.
    """
    seconds_by_pid = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = file.read_text(errors="replace").rpartition(")")[2].split()
        except OSError:  # ended meanwhile
            continue
        if int(fields[2]) == group and fields[0] not in "ZX":
            seconds_by_pid[int(file.parent.name)] = sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    return seconds_by_pid


class ParentWatch:
    """The child's side: is the process that started us still there? A parent that was killed leaves nothing behind.

    The parent's id comes from the environment where it was given, so that one that is gone before we look is noticed.
    """

    def __init__(self) -> None:
        self._parent = int(os.environ.pop(PARENT_VARIABLE, "0")) or os.getppid()

    def gone(self) -> bool:
        """Whether we were adopted by another process."""
        return os.getppid() != self._parent


# --- before other programs --------------------------------------------------------------------------------------------


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_first() -> None:
    """Ask the system to run this process before ordinary ones whenever it has something to do, where it is permitted.

    For what stands for a machine elsewhere: that machine would not wait for our neighbours. Needs Linux, two cores, and
    root or CAP_SYS_NICE; not where somebody asked for less than the ordinary priority (`nice`). `scheduling` says what
    came of it.
    """
    if hasattr(os, "sched_setscheduler") and processors() > 1 and os.nice(0) <= 0:
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(os.sched_get_priority_min(os.SCHED_RR)))


def scheduling() -> str:
    """How the system schedules this process: `real time`, or `ordinary`."""
    real_time = hasattr(os, "sched_getscheduler") and os.sched_getscheduler(0) in (os.SCHED_RR, os.SCHED_FIFO)
    return "real time" if real_time else "ordinary"
