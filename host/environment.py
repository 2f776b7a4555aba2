"""The environment of a measurement: machine, interpreter, commit. Read from the system, never guessed."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path
from typing import Any

_GIT = (
    "git", "--no-pager", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "core.pager=cat",
    "-c", "diff.external=", "-c", "core.sshCommand=false", "-c", "core.editor=false", "-c", "gpg.program=false",
)  # fmt: skip
"""A checkout's own configuration may name programs to run; looking at it must not."""


SECRETS_VARIABLE = "PEAKDAY_SECRETS"
"""Names a folder whose files hold what the environment does not: where a secret is mounted, `ps` and logs show none."""


def secret(name: str) -> str | None:
    """A variable of the environment, else the text of the file of that name in $PEAKDAY_SECRETS; None without either.

    Args:
        name: letters, digits and underscores; anything else names no file.
    """
    folder = os.environ.get(SECRETS_VARIABLE)
    if name in os.environ or not folder or not name.isidentifier():
        return os.environ.get(name)
    try:
        return (Path(folder) / name).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError):
        return None


def peakday_version() -> str:
    """Version of the installed distribution."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("peakday")
    except PackageNotFoundError:
        return "unknown"


def host_facts() -> dict[str, Any]:
    """What a reader must know to compare two measurements; nothing that identifies a person or a network."""
    return {
        "system": platform.system(),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "cpu": cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "python": platform.python_version(),
        "load1": round(os.getloadavg()[0], 2),
    }


def cpu_model() -> str:
    """Model name of the processor, or the architecture where the system does not tell."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def git(*arguments: str, folder: Path | None = None) -> str | None:
    """What git prints, without its last line end; None where it refuses. No program that a checkout names is run."""
    try:
        done = subprocess.run(
            [*_GIT, *_without_filters(folder), *arguments], cwd=folder, capture_output=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.decode("utf-8", "surrogateescape").rstrip("\n")


def git_refusal() -> str | None:
    """Why git answers nothing about this folder, in its own words; None where it does."""
    try:
        done = subprocess.run([*_GIT, "rev-parse", "--show-toplevel"], capture_output=True, text=True, errors="replace")
    except OSError:
        return "git is not installed"
    return " ".join(done.stderr.split()).removeprefix("fatal: ") or "git refuses" if done.returncode else None


def _without_filters(folder: Path | None) -> list[str]:
    """Options that switch off the filters of the checkout's own configuration: git runs them to compare a file."""
    command = [
        *_GIT,
        "config",
        "--local",
        "--includes",
        "--name-only",
        "--get-regexp",
        r"^filter\..*\.(clean|process)$",
    ]
    try:
        named = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    except OSError:
        return []
    return [word for name in named.stdout.splitlines() for word in ("-c", f"{name}=")]


def commit() -> str | None:
    """Commit of the checkout we stand in, with `+` when it has changes; None outside of one."""
    head, changed = git("rev-parse", "--short=12", "HEAD"), git("status", "--porcelain")
    return None if head is None or changed is None else head + ("+" if changed else "")
