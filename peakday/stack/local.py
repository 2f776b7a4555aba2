"""The local stack: the emulator and the assistant as child processes on loopback, started and stopped as one.

A live stack is the assistant alone: real models stand where the emulator stood. Credentials are no part of stack.json:
the assistant finds them by the usual chain of the AWS SDKs.

The parent binds the listening sockets and hands them down, so a port is never lost between looking and taking.
`stack.json` holds everything both children need; they read it once, at start.
"""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from facts import reader
from facts.own_models import OWN_MODELS
from facts.stack import DataFiles, Endpoints, Otlp, ScenarioName, StackFile, stack_json
from host import processes
from host.control_token import new_token, published
from host.ports import listen
from host.processes import READY_WITHIN_S
from peakday.errors import CommandError
from scenarios.schema import Scenario
from scenarios.world import World

POLL_S = 0.2


@dataclass(frozen=True)
class Service:
    """One process of the stack to start: its name, its module, the socket it serves, those of metrics alone and TLS."""

    name: str
    module: str
    listener: socket.socket
    metrics: socket.socket | None = None
    tls: socket.socket | None = None

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.listener.getsockname()[1])

    @property
    def url(self) -> str:
        """Base URL of what it serves."""
        return _url(self.listener)


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@dataclass(frozen=True)
class MetricsAt:
    """Where health and metrics are served besides: the assistant's at this port, the emulator's at the next."""

    host: str
    port: int


@dataclass(frozen=True)
class Tls:
    """Where the emulator serves TLS besides, and the file of the authority to trust it by."""

    url: str
    ca_file: str


@dataclass(frozen=True)
class RealModels:
    """Endpoints in place of the emulator. `bedrock_url` None: AWS's own. `openai_url` None: no models of one's own."""

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
    children: tuple[processes.Child, ...]
    live: bool = False
    metrics: Mapping[str, str] = field(default_factory=dict)  # by process, where a MetricsAt was named
    tls: Tls | None = None

    @property
    def emulator_url(self) -> str | None:
        """Where the emulator is; None on real models."""
        return None if self.live else self.endpoints["bedrock"]

    def wait(self) -> None:
        """Block for as long as every child lives.

        Raises:
            ProcessError: one ended by itself; the message says when, by which signal, and holds its last log line.
        """
        while True:
            for child in self.children:
                if end := child.poll():
                    raise processes.ProcessError(child.explain(str(end)))
            time.sleep(POLL_S)

    def ended(self) -> processes.End | None:
        """The first of its processes that ended by itself; None while all of them run."""
        ends = [end for child in self.children if (end := child.poll())]
        return min(ends, key=lambda end: end.at, default=None)


@contextlib.contextmanager
def local_stack(
    scenario: Scenario,
    world: World,
    scenario_hash: str,
    *,
    seed: int,
    port: int = 0,
    profiles: Mapping[str, object] | None = None,
    window_start_s: float = 0.0,
    real: RealModels | None = None,
    quality_file: Path | None = None,
    metrics: MetricsAt | None = None,
    tls: bool = False,
    otlp: Otlp | None = None,
) -> Iterator[Stack]:
    """Start the stack, yield it when its children are ready, and stop it whatever happens.

    Args:
        port: where the assistant listens; the emulator takes the next one, its TLS the one after. 0: any free ports.
        profiles: groups of the emulator's profiles to lay over those of the package.
        window_start_s: moment of the event at which the run begins; faults are told on that clock.
        real: endpoints of real models, in place of the emulator.
        quality_file: judged quality for the policy, in place of the shares that facts assumes.
        metrics: an address of this machine at which health and metrics alone are served too.
        tls: the emulator serves TLS too, at an address of its own.
        otlp: where the assistant sends the spans of its turns.

    Raises:
        PortError: a port is taken.
        ProcessError: a child ended or stayed silent; the message holds its last log line.
    """
    with contextlib.ExitStack() as cleanup:
        folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="peakday-stack-")))
        services = services_of(port, cleanup, live=real is not None, metrics=metrics, tls=tls)
        endpoints = endpoints_of(services, real)
        file, token = folder / "stack.json", new_token()
        cleanup.enter_context(published(token, [service.port for service in services]))
        description = replace(
            describe(
                scenario, world, scenario_hash, endpoints, folder, seed=seed, window_start_s=window_start_s, real=real
            ),
            quality_file=quality_file.resolve() if quality_file else None,
            control_token=token,
            otlp=otlp,
            profiles=folder / "profiles.yaml" if profiles is not None else None,
        )
        if profiles is not None:
            (folder / "profiles.yaml").write_text(json.dumps(profiles))  # JSON is YAML
        file.write_bytes(stack_json(description))
        children, encrypted = [], None
        for service in services:
            children.append(cleanup.enter_context(processes.running(start(service, file, folder))))
            ready = children[-1].ready(READY_WITHIN_S)
            encrypted = Tls(ready["tls_url"], ready["ca_file"]) if service.tls is not None else encrypted
            service.listener.close()
        pages = {one.name: f"{_url(one.metrics)}/metrics" for one in services if one.metrics is not None}
        models, live = model_ids(scenario), real is not None
        yield Stack(endpoints, models, file, folder, tuple(children), live=live, metrics=pages, tls=encrypted)


def services_of(
    port: int, cleanup: contextlib.ExitStack, *, live: bool, metrics: MetricsAt | None = None, tls: bool = False
) -> tuple[Service, ...]:
    """The processes of a stack in the order in which they start, each with listening sockets that `cleanup` closes."""

    def bound(number: int) -> socket.socket:
        return cleanup.enter_context(contextlib.closing(listen(port + number if port else 0)))

    def service(name: str, module: str, number: int, encrypted: socket.socket | None = None) -> Service:
        listener = bound(number)
        if metrics is None:
            return Service(name, module, listener, tls=encrypted)
        page = listen(metrics.port + number if metrics.port else 0, metrics.host, "--metrics-port")
        return Service(name, module, listener, cleanup.enter_context(contextlib.closing(page)), encrypted)

    assistant = service("assistant", "assistant.server", 0)  # bound first: the port that was asked for
    if live:
        return (assistant,)
    return (service("emulator", "emulator", 1, bound(2) if tls else None), assistant)


def endpoints_of(services: Sequence[Service], real: RealModels | None) -> dict[str, str]:
    """Address of the assistant, and of its models where they have one of their own."""
    urls = {service.name: service.url for service in services}
    emulator_url = urls.get("emulator")
    bedrock = real.bedrock_url if real else emulator_url
    openai = real.openai_url if real else f"{emulator_url}/v1"
    endpoints = {"assistant": urls["assistant"], "bedrock": bedrock, "openai": openai}
    return {name: url for name, url in endpoints.items() if url is not None}


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
) -> StackFile:
    """The content of stack.json: one resolved description that its children read at start. It holds no credentials."""
    return StackFile(
        seed=seed,
        live=real is not None,
        scenario=ScenarioName(scenario.name, scenario_hash),
        models=tuple(scenario.models),
        models_file=OWN_MODELS.get(),
        endpoints=Endpoints(**endpoints),
        regions=tuple(scenario.event.regions),
        assistant=scenario.assistant,
        quotas={model: quota.grant for model, quota in scenario.quotas.items()},
        faults=tuple(faults_from(scenario, window_start_s)),
        data=DataFiles(world.catalogue, world.conversations, folder / "store.sqlite"),
    )


def faults_from(scenario: Scenario, window_start_s: float) -> list[dict[str, object]]:
    """The scenario's faults on a clock that starts at a moment of the event; those that are over are left out."""
    from_start = (fault.seen_from(window_start_s) for fault in scenario.faults)
    return [fault.model_dump(mode="json") for fault in from_start if fault is not None]


def model_ids(scenario: Scenario) -> dict[str, str]:
    """Model key to the id that a client sends, for the models of a scenario."""
    known = reader.models()
    missing = [key for key in scenario.models if key not in known]
    if missing:
        raise CommandError(f"models: {missing[0]!r} is not in models.yaml; known: {', '.join(known)}")
    return {key: known[key].model_id for key in scenario.models}


def start(service: Service, stack_file: Path, logs: Path) -> processes.Child:
    """Start one process of the stack with its socket; it ends when we are gone."""
    descriptors = [service.listener.fileno()]
    command = [sys.executable, "-P", "-m", service.module, "--stack", str(stack_file), "--fd", str(descriptors[0])]
    if service.metrics is not None:
        descriptors.append(service.metrics.fileno())
        command += ["--metrics-fd", str(descriptors[-1])]
    if service.tls is not None:
        descriptors.append(service.tls.fileno())
        command += ["--tls-fd", str(descriptors[-1]), "--ca-file", str(logs / "ca.pem")]
    log = logs / f"{service.name}.log"
    return processes.start(service.name, command, log=log, descriptors=descriptors, watched=True, stdout=True)
