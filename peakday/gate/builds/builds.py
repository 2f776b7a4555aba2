"""The builds that are compared: the files here, a commit in a worktree of its own, or an address that is already up.

Every run gets a freshly started system where we start it, so that a run is a fair draw of all that chance does to a
process: its memory, its hash seeds, its caches.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from host import processes
from host.environment import git, git_refusal
from host.errors import Exit, PeakdayError
from host.fetch import FetchError, fetch
from host.ports import free_port
from peakday.config import load_config
from peakday.errors import CommandError
from peakday.gate.settings import Sut
from peakday.guard import Target, admit_page, check_allowed, parse_targets
from peakday.stack.local import Stack

OFFLINE = {
    "PIP_NO_INDEX": "1", "UV_OFFLINE": "1", "npm_config_offline": "true", "CARGO_NET_OFFLINE": "true",
    "GOPROXY": "off", "GIT_ALLOW_PROTOCOL": "file",
}  # fmt: skip
"""A build of a commit reaches no package index: what it needs is installed already, as it is for the candidate."""
BASELINE = "baseline"
READY_PAGE_WITHIN_S = 2.0
READY_WITHIN_S = 60.0
STOP_WITHIN_S = 20.0
_OURS = (".peakday", "runs", "baselines", "noise.json")
"""What checks write themselves: a build is the same build with and without them."""


@dataclass
class Running:
    """A system that is up. `targets`: KIND=URL to drive, empty where `stack` is driven. `cpu_s`: known once stopped.

    unpaid: free by its owner's word.
    ended: how and when the process that we started ended; None while it runs, and where it is none of ours.
    """

    targets: tuple[str, ...] = ()
    values: Mapping[str, str] = field(default_factory=dict)
    stack: Stack | None = None
    cpu_s: float | None = None
    unpaid: bool = False
    ended: Callable[[], processes.End | None] = lambda: None


@dataclass(frozen=True)
class Build:
    """One build. `label` is what reports call it, `identity` names its very content where there is one.

    folder: where it runs; None for an address that is up already, which `targets` then names.
    model, questions: of a system of the user's own: the model to ask for, and a file of what it is asked.
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
    model: str | None = None
    questions: Path | None = None

    @property
    def is_own(self) -> bool:
        """Whether it is a system of the user's own, and not our local stack."""
        return self.folder is None or self.sut is not None

    @property
    def kind(self) -> str:
        """What kind of target it is: http, openai, …; `stack` for our local stack."""
        named = self.targets[0] if self.folder is None else self.sut.target if self.sut is not None else "stack"
        return named.partition("=")[0]

    @contextlib.contextmanager
    def up(self) -> Iterator[Running]:
        """Keep the system up inside the block, and stop it whatever happens."""
        if self.folder is None:
            yield Running(self.targets)
        elif self.label == BASELINE:
            with _of_the_baseline(self.identity), self._started(self.folder) as running:
                yield running
        else:
            with self._started(self.folder) as running:
                yield running

    def _started(self, folder: Path) -> contextlib.AbstractContextManager[Running]:
        return self._local_stack(folder) if self.sut is None else self._own_system(self.sut, folder)

    def scenario_there(self) -> dict[str, object] | str:
        """The scenario as this build reads it; where it cannot, why not."""
        assert self.folder is not None
        command = [sys.executable, "-m", "peakday", "scenario", "show", self.scenario, "--json", *self._sets()]
        environment = {**os.environ, **self._own_code(self.folder)}
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True)
        if done.returncode:
            return (done.stderr.strip() or "it cannot be read").splitlines()[-1]
        shown: dict[str, object] = json.loads(done.stdout)
        return shown

    def _sets(self) -> list[str]:
        return [word for text in self.sets for word in ("--set", text)]

    def _own_code(self, folder: Path) -> dict[str, str]:
        """A checkout of peakday runs its own code; in any other, modules named as our packages hide none of ours."""
        own = [str(folder)] if (folder / "peakday" / "cli.py").is_file() else []
        paths = [*own, *filter(None, [os.environ.get("PYTHONPATH")])]
        return {**self.environment, "PYTHONPATH": os.pathsep.join(paths), "PYTHONSAFEPATH": "1"}

    @contextlib.contextmanager
    def _local_stack(self, folder: Path) -> Iterator[Running]:
        command = [sys.executable, "-m", "peakday", "up", self.scenario, "--json", "--quiet"]
        command += self._sets()
        command += ["--seed", str(self.seed)] if self.seed is not None else []
        with _running("local stack", command, folder, self._own_code(folder), stdout=True) as (child, running):
            ready = child.ready(READY_WITHIN_S)
            endpoints = {name: ready[name] for name in ("assistant", "bedrock", "openai")}
            running.stack = Stack(endpoints, ready["models"], folder / "stack.json", folder, ())
            yield running

    @contextlib.contextmanager
    def _own_system(self, sut: Sut, folder: Path) -> Iterator[Running]:
        port = free_port()
        values = {"port": str(port), "dir": str(folder)}
        environment = {**self.environment, "PORT": str(port)}
        command = ["sh", "-c", in_shell(sut.start, values)]
        config = load_config()
        ready = admit_page(_filled(sut.ready, values), config, "sut.ready")
        for named in parse_targets([sut.target], values):  # before anything is started
            check_allowed(named, config, "sut.target")
        _check_free(ready)
        with _running("system under test", command, folder, environment) as (child, running):
            _wait_for(ready, child, sut.ready_within_s)
            running.targets, running.values, running.unpaid = (_filled(sut.target, values),), values, sut.unpaid
            yield running
        _check_gone(ready)


@contextlib.contextmanager
def worktree(ref: str, sut: Sut | None) -> Iterator[tuple[Path, str]]:
    """A checkout of a commit beside ours, built where a build is named; its folder and its commit.

    Raises:
        CommandError: no such commit, or its build failed or took too long.
    """
    commit = resolve_ref(ref)
    if commit is None:
        raise CommandError(f"--against {ref}: no address, no run record and no commit here: {_why_no_commit(ref)}")
    inside = Path(git("rev-parse", "--show-prefix") or ".")
    with tempfile.TemporaryDirectory(prefix="peakday-ref-") as parent:
        folder = Path(parent) / "checkout"
        try:
            if git("worktree", "add", "--detach", str(folder), commit) is None:
                raise CommandError(f"--against {ref}: git could not check {commit[:12]} out beside this checkout")
            with contextlib.ExitStack() as cleanup:
                with _of_the_baseline(commit):
                    cleanup.enter_context(_submodules(folder))
                    if sut is not None and sut.build is not None:
                        run_build(sut.build, folder / inside, sut.build_within_s)
                yield folder / inside, commit
        finally:
            git("worktree", "remove", "--force", str(folder))


@contextlib.contextmanager
def _of_the_baseline(commit: str) -> Iterator[None]:
    """An error of the other build says so, since the files here show no reason for it."""
    try:
        yield
    except PeakdayError as error:
        raise CommandError(f"{BASELINE} {commit[:12]}: {error}", error.exit_code) from None


@contextlib.contextmanager
def _submodules(checkout: Path) -> Iterator[None]:
    """The submodules of a worktree, each a worktree of the clone that this checkout has of it: nothing is fetched.

    Raises:
        CommandError: a submodule's commit is in no clone here.
    """
    listed = (git("ls-files", "--stage", "-z", folder=checkout) or "").split("\0")
    links = [entry.split(maxsplit=3) for entry in listed if entry.startswith("160000 ")]
    top = Path(git("rev-parse", "--show-toplevel") or ".")
    with contextlib.ExitStack() as cleanup:
        for _, commit, _, path in links:
            clone, place = top / path, checkout / path
            if not (clone / ".git").exists():
                continue  # not there for the build that is checked either
            if git("worktree", "add", "--force", "--detach", str(place), commit, folder=clone) is None:
                fix = f"`git -C {path} fetch` may bring it"
                raise CommandError(f"submodule {path}: its commit {commit[:12]} is not here; {fix}", Exit.ENVIRONMENT)
            cleanup.callback(git, "worktree", "remove", "--force", str(place), folder=clone)
        yield


def _why_no_commit(ref: str) -> str:
    """Why a name stands for no commit of this checkout, and what to do."""
    if refusal := git_refusal():
        return refusal
    if git("rev-parse", "--is-shallow-repository") == "true":
        return 'this clone is shallow; `git fetch --unshallow`, or fetch-depth: 0 (GIT_DEPTH: "0" on GitLab)'
    remote, _, branch = ref.partition("/")
    if branch and remote in (git("remote") or "").splitlines():
        return f"`git fetch {remote} {branch}` brings it"
    return "`git branch --all` lists those there are"


def run_build(command: str, folder: Path, within_s: float) -> None:
    """Run a build command in a checkout, `{dir}` filled in, without package indices.

    Raises:
        CommandError: it failed or took longer than `within_s`; the message holds its last line.
    """
    filled = in_shell(command, {"dir": str(folder.resolve())})
    child = processes.start("build", ["sh", "-c", filled], folder=folder, environment={**os.environ, **OFFLINE})
    with processes.running(child, STOP_WITHIN_S):
        end = child.wait(within_s)
        if end is None:
            message = f"sut.build took longer than {within_s:g} s in {folder.name}"
            raise CommandError(message, Exit.ENVIRONMENT)
        if end.exit_code:
            message = child.explain(f"sut.build failed with exit code {end.exit_code}")
            raise CommandError(message, Exit.ENVIRONMENT)


def resolve_ref(ref: str) -> str | None:
    """The commit a name stands for; None where it stands for none."""
    return git("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}") or None


def here_identity() -> str:
    """The content of the files here as one short name: the commit, and what differs from it or is not in it.

    Outside git every file below the folder counts, by its name, size and time of change.
    """
    if git("rev-parse", "--show-toplevel") is None:
        return f"files+{_digest(_stats(Path()))}"
    head = git("rev-parse", "--verify", "--quiet", "HEAD") or ""
    kept = (":(top)", *(f":(exclude){name}" for name in _OURS))
    changes = git("diff", "--binary", "--no-ext-diff", "--no-textconv", "HEAD", "--", *kept) or ""
    names = git("ls-files", "--others", "--exclude-standard", "-z", "--", *kept) or ""
    added = [f"{name} {_content(Path(name))}" for name in names.split("\0") if name]
    return f"{head[:12]}+{_digest([changes, *added])}" if changes or added else head[:12]


def _digest(parts: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode("utf-8", "surrogateescape") + b"\0")
    return digest.hexdigest()[:8]


def _content(file: Path) -> str:
    """The digest of a file; where it cannot be read, nothing."""
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError:
        return ""


def _stats(folder: Path) -> Iterator[str]:
    for at, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _OURS and not name.startswith("."))
        for name in sorted(name for name in names if name not in _OURS):
            with contextlib.suppress(OSError):
                stat = os.stat(os.path.join(at, name))
                yield f"{at}/{name} {stat.st_size} {stat.st_mtime_ns}"


def _filled(text: str, values: Mapping[str, str]) -> str:
    """`{port}` and `{dir}` replaced; other braces stay as they are."""
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    return text


@contextlib.contextmanager
def _running(
    name: str, command: list[str], folder: Path, environment: Mapping[str, str], *, stdout: bool = False
) -> Iterator[tuple[processes.Child, Running]]:
    """A system that is starting; an error of its start ends with its last log line, one after its end names the end."""
    child = processes.start(name, command, folder=folder, environment={**os.environ, **environment}, stdout=stdout)
    system = Running(ended=child.poll)
    with processes.running(child, STOP_WITHIN_S):
        try:
            yield child, system
        except CommandError as error:
            raise CommandError(child.explain(str(error)), error.exit_code) from None
        except PeakdayError as error:
            if (end := child.poll()) is None:
                raise
            raise CommandError(child.explain(f"{end} ({error})"), Exit.ENVIRONMENT) from None
    system.cpu_s = child.cpu_s


def in_shell(text: str, values: Mapping[str, str]) -> str:
    """`{port}` and `{dir}` replaced in a command of a shell, as one word each: a folder's name may hold spaces."""
    filled, quote = "", ""
    for part in re.findall(r"\\.|\{\w+\}|.", text, flags=re.DOTALL):
        value = values.get(part[1:-1]) if part.startswith("{") else None
        if value is None:
            quote = part if part in "\"'" and not quote else "" if part == quote else quote
            filled += part
        elif quote == '"':
            filled += re.sub(r'(["$`\\])', r"\\\1", value)
        else:
            filled += value.replace("'", "'\\''") if quote else shlex.quote(value)
    return filled


def _check_free(page: Target) -> None:
    """Raises `CommandError` where a system that we did not start answers already: it would be measured."""
    with contextlib.suppress(FetchError):
        fetch(page.url, within_s=READY_PAGE_WITHIN_S, addresses=page.addresses)
        message = f"sut.ready: {page.url} answers before sut.start has run: stop what answers there, or use {{port}}"
        raise CommandError(message, Exit.ENVIRONMENT)


def _check_gone(page: Target) -> None:
    """Raises `CommandError` where the system answers after it was stopped: it left our group, and runs on."""
    with contextlib.suppress(FetchError):
        fetch(page.url, within_s=READY_PAGE_WITHIN_S, addresses=page.addresses)
        message = f"sut.start left a server behind at {page.url}: stop it, and start it without setsid or a daemon"
        raise CommandError(message, Exit.ENVIRONMENT)


def _wait_for(page: Target, child: processes.Child, within_s: float) -> None:
    deadline, last = time.monotonic() + within_s, "none"
    while time.monotonic() < deadline:
        if end := child.poll():
            stay = "" if end.exit_code else ", and must stay in the foreground: the check stops it"
            raise CommandError(f"sut.start ended with exit code {end.exit_code}{stay}", Exit.ENVIRONMENT)
        try:
            fetch(page.url, within_s=READY_PAGE_WITHIN_S, addresses=page.addresses)
        except FetchError as error:
            last = str(error)
            time.sleep(0.1)
        else:
            return
    raise CommandError(f"sut.ready: no answer within {within_s:g} s; the last try: {last}", Exit.ENVIRONMENT)
