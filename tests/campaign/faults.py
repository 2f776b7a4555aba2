"""What goes wrong with a run: one fault each, drawn from a seed, so that the same seed brings the same bad day."""

from __future__ import annotations

import random
import resource
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

PROCESSES = {
    "worker": ("locust", "--worker"),
    "master": ("locust", "--master"),
    "assistant": ("assistant.server",),
    "emulator": ("-m", "emulator"),
    "command": ("peakday", "run"),
}
"""Process of a run -> what its command line holds."""
KINDS = ("kill", "kill", "kill", "stop", "stop", "interrupt", "terminate", "disk", "files", "memory", "twins")
SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP, "interrupt": signal.SIGINT, "terminate": signal.SIGTERM}


@dataclass(frozen=True)
class Fault:
    """`kind` to `process`, where it concerns one, `at_s` seconds after that began."""

    kind: str
    process: str = ""
    at_s: float = 0.0
    twice: bool = False

    def __str__(self) -> str:
        return " ".join(filter(None, (self.kind, self.process, f"at {self.at_s:.1f} s", "twice" if self.twice else "")))


def draw(rng: random.Random, length_s: float) -> Fault:
    """A fault at a random moment from the start of its process to a while after the window's end."""
    at_s = rng.uniform(0.0, length_s + 12.0)
    kind = rng.choice(KINDS)
    if kind in ("kill", "stop"):
        return Fault(kind, rng.choice(list(PROCESSES)), at_s)
    if kind in ("interrupt", "terminate"):
        return Fault(kind, "command", at_s, twice=rng.random() < 0.5)
    if kind == "memory":
        return Fault(kind, "worker", at_s)
    return Fault(kind)


def family(marker: str) -> list[psutil.Process]:
    """Living processes whose environment carries the marker of a run."""
    members = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("PEAKDAY_TEST_MARKER") == marker and process.status() != psutil.STATUS_ZOMBIE:
                members.append(process)
        except (psutil.Error, OSError):
            continue
    return members


def named(marker: str, name: str) -> psutil.Process | None:
    """The process of a run by its name; None where it is not there (yet, or any more)."""
    for process in family(marker):
        try:
            words = process.cmdline()
        except (psutil.Error, OSError):
            continue
        if all(any(part in word for word in words) for part in PROCESSES[name]):
            return process
    return None


def inject(fault: Fault, marker: str) -> bool:
    """Bring the fault about now; say whether there was something to strike."""
    process = named(marker, fault.process) if fault.process else None
    if process is None:
        return False
    try:
        if fault.kind == "memory":  # what it holds and 32 MiB more: the next large allocation fails
            limit = process.memory_info().vms + (32 << 20)
            process.rlimit(psutil.RLIMIT_AS, (limit, limit))
        else:
            process.send_signal(SIGNALS[fault.kind])
    except psutil.Error:
        return False
    return True


@contextmanager
def surroundings(fault: Fault, folder: Path) -> Iterator[tuple[Path, Callable[[], None] | None]]:
    """The working directory of a run under a fault of its surroundings, and what its process does before it begins."""
    if fault.kind == "disk":
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(folder)], check=True)
        try:
            (folder / "ballast").write_bytes(b"\0" * (5 << 20))
            yield folder, None
        finally:
            subprocess.run(["umount", "-l", str(folder)], check=True)
    elif fault.kind == "files":
        yield folder, lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    else:
        yield folder, None
