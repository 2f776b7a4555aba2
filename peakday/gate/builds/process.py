"""A command in a process group of its own: started, and stopped with everything that it started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

STOP_WITHIN_S = 20.0
"""Between asking a group to end and ending it."""
_LOOK_EVERY_S = 0.02


@dataclass
class Started:
    """A process that leads a group. `cpu_s`: of it and what it started, known once stopped."""

    process: subprocess.Popen[bytes]
    log: IO[bytes]
    cpu_s: float | None = None

    def last_words(self) -> str:
        """The last line it wrote, or nothing."""
        self.log.seek(0)
        lines = self.log.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else ""


@contextlib.contextmanager
def started(
    command: list[str], folder: Path, environment: Mapping[str, str], *, piped: bool = False
) -> Iterator[Started]:
    """Keep a command running inside the block; at its end the whole group ends, however the command is wrapped.

    Args:
        piped: its standard output is for us to read; else it goes to the log, where no amount of it can block.
    """
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command, cwd=folder, env={**os.environ, **environment}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if piped else log, stderr=log, start_new_session=True,
        )  # fmt: skip
        one = Started(process, log)
        try:
            yield one
        finally:
            one.cpu_s = stop_group(process)
            if process.stdout is not None:
                process.stdout.close()


def stop_group(process: subprocess.Popen[bytes], within_s: float = STOP_WITHIN_S) -> float | None:
    """Ask a group to end, wait for all of it, end what stays; CPU seconds of it and what it started.

    A shell that is asked ends before the server it started, which is then nobody's child: so the time used is read
    before asking too, where the system tells it, and the larger figure is right.
    """
    group = process.pid
    used_s = sum(members(group).values())
    _signal(group, signal.SIGTERM)
    deadline = time.monotonic() + within_s
    waited_s: float | None = None
    while process.returncode is None or _is_alive(group):
        if process.returncode is None:
            waited_s = _reaped(process)
        late_s = time.monotonic() - deadline
        if late_s > 0:
            _signal(group, signal.SIGKILL)
        if late_s > within_s:  # not even that ends it
            break
        time.sleep(_LOOK_EVERY_S)
    known_s = max(used_s, waited_s or 0.0)
    return known_s or None


def _reaped(process: subprocess.Popen[bytes]) -> float | None:
    """CPU seconds of a process that has ended and of its ended children; None while it runs."""
    try:
        pid, status, used = os.wait4(process.pid, os.WNOHANG)
    except ChildProcessError:  # waited for already
        process.returncode = process.returncode or 0
        return None
    if not pid:
        return None
    process.returncode = os.waitstatus_to_exitcode(status)
    return used.ru_utime + used.ru_stime


def _signal(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _is_alive(group: int) -> bool:
    """Whether a process of a group runs; one that has ended and that nobody waits for does not."""
    if Path("/proc/self/stat").is_file():
        return bool(members(group))
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def members(group: int) -> dict[int, float]:
    """Running processes of a group, each with its CPU seconds and those of its ended children; empty without /proc.

    Source: proc_pid_stat(5): fields 3 state, 5 pgrp, 14 to 17 the times in clock ticks.
    """
    found = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = file.read_text(errors="replace").rpartition(")")[2].split()
        except OSError:  # ended meanwhile
            continue
        if int(fields[2]) == group and fields[0] not in "ZX":
            found[int(file.parent.name)] = sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    return found
