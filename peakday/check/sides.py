"""The builds that are compared: the files here, a commit in a worktree of its own, or an address that is already up.

Every run gets a freshly started system where we start it, so that a run is a fair draw of all that chance does to a
process: its memory, its hash seeds, its caches.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from peakday.check.settings import Sut
from peakday.errors import CommandError, Exit
from peakday.stack import Stack, listen

OFFLINE = {
    "PIP_NO_INDEX": "1", "UV_OFFLINE": "1", "npm_config_offline": "true", "CARGO_NET_OFFLINE": "true",
    "GOPROXY": "off", "GIT_ALLOW_PROTOCOL": "file",
}  # fmt: skip
"""A build of a commit reaches no package index: what it needs is installed already, as it is for the candidate."""
READY_WITHIN_S = 60.0
_OURS = (".peakday/", "runs/", "baselines/", "noise.json")
"""What checks write themselves: a build is the same build with and without them."""
STOP_WITHIN_S = 20.0


@dataclass
class Running:
    """A system that is up. `targets`: KIND=URL to drive, empty where `stack` is driven. `cpu_s`: known once stopped."""

    targets: tuple[str, ...] = ()
    stack: Stack | None = None
    cpu_s: float | None = None


@dataclass(frozen=True)
class Side:
    """One build. `label` is what reports call it, `identity` names its very content where there is one.

    folder: where it runs; None for an address that is up already, which `targets` then names.
    """

    label: str
    identity: str
    folder: Path | None = None
    targets: tuple[str, ...] = ()
    scenario: str = ""
    sets: tuple[str, ...] = ()
    sut: Sut | None = None
    seed: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict)

    @contextlib.contextmanager
    def up(self) -> Iterator[Running]:
        """Keep the system up inside the block, and stop it whatever happens."""
        if self.folder is None:
            yield Running(self.targets)
        elif self.sut is not None:
            with self._own_system(self.sut, self.folder) as running:
                yield running
        else:
            with self._local_stack(self.folder) as running:
                yield running

    @contextlib.contextmanager
    def _local_stack(self, folder: Path) -> Iterator[Running]:
        command = [sys.executable, "-m", "peakday", "up", self.scenario, "--json", "--quiet"]
        command += [word for text in self.sets for word in ("--set", text)]
        command += ["--seed", str(self.seed)] if self.seed is not None else []
        paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {**self.environment, "PYTHONPATH": os.pathsep.join(paths)}
        with _started(command, folder, environment) as (process, running):
            ready = _first_line(process)
            endpoints = {name: ready[name] for name in ("assistant", "bedrock", "openai")}
            running.stack = Stack(endpoints, ready["models"], folder / "stack.json", folder, {})
            yield running

    @contextlib.contextmanager
    def _own_system(self, sut: Sut, folder: Path) -> Iterator[Running]:
        listener = listen()
        port = listener.getsockname()[1]
        listener.close()
        values = {"port": str(port), "dir": str(folder)}
        environment = {**self.environment, "PORT": str(port)}
        with _started(["sh", "-c", _filled(sut.start, values)], folder, environment) as (process, running):
            _wait_for(_filled(sut.ready, values), process, sut.ready_within_s)
            running.targets = (_filled(sut.target, values),)
            yield running


@contextlib.contextmanager
def worktree(ref: str, sut: Sut | None) -> Iterator[tuple[Path, str]]:
    """A checkout of a commit beside ours, built where a build is named; its folder and its commit.

    Raises:
        CommandError: no such commit, or its build failed or took too long.
    """
    commit = resolve_ref(ref)
    if commit is None:
        raise CommandError(f"--against {ref}: no commit of this checkout, no address and no run record")
    inside = Path(_git("rev-parse", "--show-prefix") or ".")
    with tempfile.TemporaryDirectory(prefix="peakday-ref-") as parent:
        folder = Path(parent) / "checkout"
        try:
            if _git("worktree", "add", "--detach", str(folder), commit) is None:
                raise CommandError(f"--against {ref}: git could not check {commit[:12]} out beside this checkout")
            if sut is not None and sut.build is not None:
                build(sut.build, folder / inside, sut.build_within_s)
            yield folder / inside, commit
        finally:
            _git("worktree", "remove", "--force", str(folder))


def build(command: str, folder: Path, within_s: float) -> None:
    """Run a build command in a checkout, without package indices.

    Raises:
        CommandError: it failed or took longer than `within_s`; the message holds its last line.
    """
    try:
        done = subprocess.run(
            ["sh", "-c", command], cwd=folder, capture_output=True, text=True, timeout=within_s,
            env={**os.environ, **OFFLINE},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise CommandError(f"sut.build took longer than {within_s:g} s in {folder.name}", Exit.ENVIRONMENT) from None
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()[-1]
        raise CommandError(f"sut.build failed with exit code {done.returncode}: {said}", Exit.ENVIRONMENT)


def resolve_ref(ref: str) -> str | None:
    """The commit a name stands for; None where it stands for none."""
    return _git("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}") or None


def here_identity() -> str:
    """The commit of the files here and what differs from it, as one short name."""
    import hashlib

    head = _git("rev-parse", "HEAD") or ""
    status = (_git("status", "--porcelain") or "").splitlines()
    changes = (_git("diff", "HEAD") or "") + "\n".join(line for line in status if not line[3:].startswith(_OURS))
    return f"{head[:12]}+{hashlib.sha256(changes.encode()).hexdigest()[:8]}" if changes else head[:12]


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def _filled(text: str, values: Mapping[str, str]) -> str:
    """`{port}` and `{dir}` replaced; other braces stay as they are."""
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    return text


@contextlib.contextmanager
def _started(
    command: list[str], folder: Path, environment: Mapping[str, str]
) -> Iterator[tuple[subprocess.Popen[bytes], Running]]:
    """A process in a group of its own, stopped at the end; its CPU time, children included, is then known."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command, cwd=folder, env={**os.environ, **environment}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=log, start_new_session=True,
        )  # fmt: skip
        running = Running()
        try:
            yield process, running
        except CommandError as error:
            log.seek(0)
            words = log.read().decode("utf-8", "replace").strip().splitlines()
            raise CommandError(f"{error}{': ' + words[-1] if words else ''}", error.code) from None
        finally:
            running.cpu_s = _stopped(process)
            if process.stdout is not None:
                process.stdout.close()


def _stopped(process: subprocess.Popen[bytes]) -> float | None:
    """Interrupt the process, wait for it, end its group if it stays; CPU seconds of it and its ended children."""
    deadline = time.monotonic() + STOP_WITHIN_S
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    while True:
        try:
            pid, status, used = os.wait4(process.pid, os.WNOHANG)
        except ChildProcessError:  # waited for already
            return None
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return used.ru_utime + used.ru_stime
        if time.monotonic() > deadline:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        time.sleep(0.02)


def _first_line(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """The JSON line that `up` prints when it is ready."""
    assert process.stdout is not None
    deadline = time.monotonic() + READY_WITHIN_S
    said = b""
    while b"\n" not in said:
        readable, _, _ = select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))
        chunk = os.read(process.stdout.fileno(), 65_536) if readable else b""
        if not chunk:
            raise CommandError("the local stack did not start", Exit.ENVIRONMENT)
        said += chunk
    ready: dict[str, Any] = json.loads(said.split(b"\n")[0])
    return ready


def _wait_for(url: str, process: subprocess.Popen[bytes], within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise CommandError(f"sut.start ended with exit code {process.returncode}", Exit.ENVIRONMENT)
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 (named by the user)
                if answer.status < 400:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise CommandError(f"sut.ready: {url} did not answer within {within_s:g} s", Exit.ENVIRONMENT)
