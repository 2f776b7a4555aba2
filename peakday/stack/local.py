"""The local stack: the stand-ins and the assistant as child processes on loopback, started and stopped as one.

A live stack is the assistant alone: real models stand where the stand-ins stood. Credentials are no part of stack.json:
the assistant finds them by the usual chain of the AWS SDKs.

The parent binds the listening sockets and hands them down, so a port is never lost between looking and taking.
`stack.json` holds everything both children need; they read it once, at start.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from host.errors import Exit
from peakday.errors import CommandError

if TYPE_CHECKING:
    from scenarios.schema import Scenario
    from scenarios.world import World

SCHEMA = "peakday.stack/1"
READY_WITHIN_S = 30.0
STOP_WITHIN_S = 5.0


@dataclass(frozen=True)
class Child:
    """One process of the stack: its name, its module and the socket it serves."""

    name: str
    module: str
    listener: socket.socket

    @property
    def url(self) -> str:
        """Base URL of what it serves."""
        host, port = self.listener.getsockname()[:2]
        return f"http://{host}:{port}"


@dataclass(frozen=True)
class RealModels:
    """Endpoints in place of the stand-ins. `bedrock_url` None: AWS's own. `openai_url` None: no models of one's own."""

    bedrock_url: str | None = None
    openai_url: str | None = None


@dataclass(frozen=True)
class Stack:
    """A running stack: where to reach it, the file that describes it, and where its processes write their logs.

    `endpoints` has no `bedrock` where that is AWS's own, and no `openai` where no such server was named.
    """

    endpoints: Mapping[str, str]
    models: Mapping[str, str]
    file: Path
    logs: Path
    processes: Mapping[str, subprocess.Popen[bytes]]
    live: bool = False

    @property
    def stand_ins_url(self) -> str | None:
        """Where the stand-ins are; None on real models."""
        return None if self.live else self.endpoints["bedrock"]

    def wait(self) -> None:
        """Block for as long as every child lives.

        Raises:
            CommandError: one ended by itself; the message holds its last words.
        """
        while True:
            for name, process in self.processes.items():
                if process.poll() is not None:
                    raise CommandError(f"the {name} ended{last_words(name, self.logs)}", Exit.ENVIRONMENT)
            time.sleep(0.2)


def listen(port: int = 0) -> socket.socket:
    """A listening loopback socket; raises `CommandError` (exit code 5) when the port is taken."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen(4096)
    except OSError as error:
        listener.close()
        reason = os.strerror(error.errno or 0).lower()
        raise CommandError(f"port {port}: {reason}; choose another with --port", Exit.ENVIRONMENT) from None
    return listener


@contextlib.contextmanager
def local_stack(
    scenario: Scenario,
    world: World,
    scenario_hash: str,
    *,
    seed: int,
    port: int = 0,
    profiles: Mapping[str, Any] | None = None,
    window_start_s: float = 0.0,
    real: RealModels | None = None,
    quality_file: Path | None = None,
) -> Iterator[Stack]:
    """Start the stack, yield it when its children are ready, and stop it whatever happens.

    Args:
        port: where the assistant listens; the stand-ins take the next one. 0 takes any two free ports.
        profiles: groups of the stand-ins' profiles to lay over those of the package.
        window_start_s: moment of the event at which the run begins; faults are told on that clock.
        real: endpoints of real models, in place of the stand-ins.
        quality_file: judged quality for the policy, in place of the shares that facts assumes.

    Raises:
        CommandError: a port is taken, or a child ended or stayed silent; the message holds its last words.
    """
    with contextlib.ExitStack() as cleanup:
        folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="peakday-stack-")))
        children = children_of(port, cleanup, live=real is not None)
        endpoints = endpoints_of(children, real)
        file = folder / "stack.json"
        description = describe(
            scenario, world, scenario_hash, endpoints, folder, seed=seed, window_start_s=window_start_s, real=real
        ) | {"quality_file": str(quality_file.resolve()) if quality_file else None}
        if profiles is not None:
            description["profiles"] = str(folder / "profiles.yaml")
            (folder / "profiles.yaml").write_text(json.dumps(profiles))  # JSON is YAML
        file.write_text(json.dumps(description, indent=1))
        processes = {}
        for child in children:
            processes[child.name] = process = start(child, file, folder)
            cleanup.callback(stop, process)
            wait_ready(child, process, folder)
            child.listener.close()
        yield Stack(endpoints, model_ids(scenario), file, folder, processes, live=real is not None)


def children_of(port: int, cleanup: contextlib.ExitStack, *, live: bool) -> tuple[Child, ...]:
    """The processes of a stack in the order in which they start, each with a listening socket that `cleanup` closes."""

    def child(name: str, module: str, at: int) -> Child:
        return Child(name, module, cleanup.enter_context(contextlib.closing(listen(at))))

    assistant = child("assistant", "assistant.server", port)  # bound first: the port that was asked for
    if live:
        return (assistant,)
    return (child("local models", "emulator", port + 1 if port else 0), assistant)


def endpoints_of(children: Sequence[Child], real: RealModels | None) -> dict[str, str]:
    """Address of the assistant, and of its models where they have one of their own."""
    urls = {child.name: child.url for child in children}
    stand_ins = urls.get("local models")
    bedrock = real.bedrock_url if real else stand_ins
    openai = real.openai_url if real else f"{stand_ins}/v1"
    found = {"assistant": urls["assistant"], "bedrock": bedrock, "openai": openai}
    return {name: url for name, url in found.items() if url is not None}


def describe(
    scenario: Scenario,
    world: World,
    scenario_hash: str,
    endpoints: Mapping[str, str],
    folder: Path,
    *,
    seed: int,
    window_start_s: float = 0.0,
    real: RealModels | None = None,
) -> dict[str, Any]:
    """The content of stack.json: one resolved description that its children read at start. It holds no credentials."""
    return {
        "schema": SCHEMA,
        "seed": seed,
        "live": real is not None,
        "scenario": {"name": scenario.name, "hash": scenario_hash},
        "models_file": None,
        "models": scenario.models,
        "endpoints": dict(endpoints),
        "regions": list(scenario.event.regions),
        "assistant": scenario.assistant.model_dump(mode="json"),
        "quotas": {model: quota.model_dump(mode="json") for model, quota in scenario.quotas.items()},
        "faults": faults_from(scenario, window_start_s),
        "data": {
            "catalogue": str(world.catalogue),
            "conversations": str(world.conversations),
            "store": str(folder / "store.sqlite"),
        },
        "profiles": None,
    }


def faults_from(scenario: Scenario, window_start_s: float) -> list[dict[str, Any]]:
    """The scenario's faults on a clock that starts at a moment of the event; those that are over are left out."""
    seen = (fault.seen_from(window_start_s) for fault in scenario.faults)
    return [fault.model_dump(mode="json") for fault in seen if fault is not None]


def model_ids(scenario: Scenario) -> dict[str, str]:
    """Model key to the id that a client sends, for the models of a scenario."""
    from facts import reader

    known = reader.models()
    missing = [key for key in scenario.models if key not in known]
    if missing:
        raise CommandError(f"models: {missing[0]!r} is not in models.yaml; known: {', '.join(known)}")
    return {key: known[key].model_id for key in scenario.models}


def start(child: Child, stack_file: Path, logs: Path) -> subprocess.Popen[bytes]:
    """Start one child with its socket. It gets a process group of its own: Ctrl-C is the parent's to handle."""
    descriptor = child.listener.fileno()
    command = [sys.executable, "-m", child.module, "--stack", str(stack_file), "--fd", str(descriptor)]
    with log_file(child.name, logs).open("wb") as log:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            pass_fds=[descriptor],
            start_new_session=True,
        )


def log_file(name: str, logs: Path) -> Path:
    """Where a child's stderr goes."""
    return logs / f"{name.replace(' ', '-')}.log"


def last_words(name: str, logs: Path) -> str:
    """The last line of a child's log, for an error message."""
    lines = log_file(name, logs).read_text(errors="replace").strip().splitlines()
    return f": {lines[-1]}" if lines else ""


def wait_ready(child: Child, process: subprocess.Popen[bytes], logs: Path) -> None:
    """Block until the child has printed its ready line.

    Raises:
        CommandError: it ended, or said nothing for READY_WITHIN_S.
    """
    deadline = time.monotonic() + READY_WITHIN_S
    said = b""
    while b"\n" not in said:
        assert process.stdout is not None
        readable, _, _ = select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))
        chunk = os.read(process.stdout.fileno(), 4096) if readable else b""
        if not chunk:
            why = f"said nothing for {READY_WITHIN_S:g} s" if not readable else "ended at start"
            raise CommandError(f"the {child.name} {why}{last_words(child.name, logs)}", Exit.ENVIRONMENT)
        said += chunk
    if not json.loads(said.split(b"\n")[0]).get("ready"):
        raise CommandError(f"the {child.name} said {said[:200]!r} and not that it is ready", Exit.ENVIRONMENT)


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ask a child to end, wait, and end it if it does not."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stdout is not None:
        process.stdout.close()
