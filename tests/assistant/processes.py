"""Both processes of the embedded stack on a folder of test data: the emulator, and the assistant in front of them."""

import asyncio
import hashlib
import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from assistant.assembly import Clocks, assemble
from assistant.models.connections import connect
from assistant.router import classifier
from assistant.server import world_clock
from assistant.settings import read_stack
from assistant.shop.catalogue import Catalogue
from host import processes
from host.ports import listen
from host.yaml_text import dump_yaml
from tests.assistant.shop import write_catalogue


@dataclass(frozen=True)
class Stack:
    """Both processes, running."""

    assistant: processes.Child
    models: processes.Child
    port: int
    start_s: float

    def cpu_s(self) -> float:
        """CPU seconds of the assistant so far, all threads."""
        tasks = Path(f"/proc/{self.assistant.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9

    def memory_mib(self) -> float:
        """Resident memory of the assistant."""
        pages = int(Path(f"/proc/{self.assistant.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    @property
    def url(self) -> str:
        """The assistant's address."""
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        """End both, and collect them."""
        processes.stop([self.assistant, self.models], within_s=10)


def start(
    folder: Path,
    models: list[str],
    assistant: dict[str, Any],
    plans: dict[str, dict[str, Any]],
    profiles: dict[str, Any] | None = None,
    models_file: Path | None = None,
) -> Stack:
    """Write a stack and start it.

    Args:
        assistant: switches of the agent.
        plans: message -> {rounds, answer_tokens}, what the models do.
        profiles: how the emulator behaves in time; its own when None.
        models_file: a models.yaml in place of the package's.
    """
    path = write_stack(folder, models, assistant, plans, profiles, models_file)
    models_process, models_port = _spawn("emulator", path)
    lead_to(path, f"http://127.0.0.1:{models_port}")
    began_s = time.perf_counter()
    process, port = _spawn("assistant.server", path)
    return Stack(process, models_process, port, time.perf_counter() - began_s)


@contextmanager
def in_a_thread(
    folder: Path, models: list[str], switches: dict[str, Any], plans: dict[str, dict[str, Any]], emulator: str
) -> Iterator[str]:
    """The address of an assistant before an emulator that runs already; a thread: a process takes a second."""
    path = write_stack(folder, models, switches, plans)
    lead_to(path, emulator)
    stack, listener = read_stack(path), listen()
    server: list[uvicorn.Server] = []

    async def serve() -> None:
        clients, catalogue = connect(stack), Catalogue(stack.catalogue)
        clocks = Clocks(time.perf_counter, time.time, world_clock(catalogue.started_at))
        assistant = assemble(stack, catalogue, clients, classifier.load(), clocks)
        server.append(uvicorn.Server(uvicorn.Config(assistant.app, interface="asgi3", lifespan="off", log_config=None)))
        await server[0].serve(sockets=[listener])
        for client in clients.values():
            await client.close()
        assistant.close()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server[0].should_exit = True
        thread.join()


def start_emulator(
    folder: Path, models: list[str], plans: dict[str, dict[str, Any]], profiles: dict[str, Any]
) -> tuple[processes.Child, str]:
    """An emulator that several assistants may share, and its address."""
    child, port = _spawn("emulator", write_stack(folder, models, {}, plans, profiles))
    return child, f"http://127.0.0.1:{port}"


def write_stack(
    folder: Path,
    models: list[str],
    assistant: dict[str, Any],
    plans: dict[str, dict[str, Any]],
    profiles: dict[str, Any] | None = None,
    models_file: Path | None = None,
) -> Path:
    """The files of a stack; what stack.json says of endpoints comes when they are there."""
    answers = {hashlib.sha256(text.encode()).hexdigest(): plan for text, plan in plans.items()}
    conversations = {
        "schema": "peakday.conversations/1",
        "answers": answers,
        "default": {"rounds": [], "answer_tokens": 2},
    }
    (folder / "conversations.yaml").write_text(dump_yaml(conversations))
    if profiles is not None:
        (folder / "profiles.yaml").write_text(dump_yaml(profiles))
    stack = {
        "schema": "peakday.stack/1",
        "seed": 1,
        "live": False,
        "scenario": {"name": "test", "hash": "0"},
        "models_file": None if models_file is None else str(models_file),
        "models": models,
        "endpoints": {"assistant": "", "bedrock": "", "openai": ""},
        "regions": ["us-east-1", "us-west-2"],
        "assistant": assistant,
        "quotas": {},
        "faults": [],
        "data": {
            "catalogue": str(write_catalogue(folder / "catalogue.sqlite")),
            "conversations": str(folder / "conversations.yaml"),
            "store": str(folder / "store.sqlite"),
        },
        "profiles": None if profiles is None else str(folder / "profiles.yaml"),
    }
    path = folder / "stack.json"
    path.write_text(json.dumps(stack))
    return path


def lead_to(path: Path, emulator: str) -> None:
    """Say in a stack file where the models answer."""
    stack = json.loads(path.read_text())
    stack["endpoints"] = {"assistant": "", "bedrock": emulator, "openai": f"{emulator}/v1"}
    path.write_text(json.dumps(stack))


def _spawn(module: str, stack: Path) -> tuple[processes.Child, int]:
    command = [sys.executable, "-m", module, "--stack", str(stack), "--port", "0"]
    child = processes.start(module, command, watched=True, stdout=True)
    ready = child.ready()
    address = ready.get("assistant") or ready["url"]
    return child, int(address.rsplit(":", 1)[1])
