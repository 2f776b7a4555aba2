"""Both processes of the embedded stack on a folder of test data: the emulator, and the assistant in front of them."""

import hashlib
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from host import processes
from host.yaml_text import dump_yaml
from tests.assistant.shop import write_catalogue


@dataclass(frozen=True)
class Stack:
    """Both processes, running."""

    assistant: processes.Child
    models: processes.Child | None
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
        """End both, and collect them; an emulator that others share goes on."""
        processes.stop([child for child in (self.assistant, self.models) if child is not None], within_s=10)


def start(
    folder: Path,
    models: list[str],
    assistant: dict[str, Any],
    plans: dict[str, dict[str, Any]],
    profiles: dict[str, Any] | None = None,
    models_file: Path | None = None,
    emulator: str | None = None,
) -> Stack:
    """Write a stack and start it.

    Args:
        assistant: switches of the agent.
        plans: message -> {rounds, answer_tokens}, what the models do.
        profiles: how the emulator behaves in time; its own when None.
        models_file: a models.yaml in place of the package's.
        emulator: the address of one that runs already, with these plans and profiles.
    """
    path = _write(folder, models, assistant, plans, profiles, models_file)
    models_process = None
    if emulator is None:
        models_process, models_port = _spawn("emulator", path)
        emulator = f"http://127.0.0.1:{models_port}"
    stack = json.loads(path.read_text())
    stack["endpoints"] = {"assistant": "", "bedrock": emulator, "openai": f"{emulator}/v1"}
    path.write_text(json.dumps(stack))
    began_s = time.perf_counter()
    process, port = _spawn("assistant.server", path)
    return Stack(process, models_process, port, time.perf_counter() - began_s)


def start_emulator(
    folder: Path, models: list[str], plans: dict[str, dict[str, Any]], profiles: dict[str, Any]
) -> tuple[processes.Child, str]:
    """An emulator that several assistants may share, and its address."""
    child, port = _spawn("emulator", _write(folder, models, {}, plans, profiles, None))
    return child, f"http://127.0.0.1:{port}"


def _write(
    folder: Path,
    models: list[str],
    assistant: dict[str, Any],
    plans: dict[str, dict[str, Any]],
    profiles: dict[str, Any] | None,
    models_file: Path | None,
) -> Path:
    """The files of a stack; what stack.json says of endpoints comes when they are there."""
    answers = {hashlib.sha256(text.encode()).hexdigest(): plan for text, plan in plans.items()}
    conversations = {
        "schema": "peakday.conversations/1",
        "answers": answers,
        "default": {"rounds": [], "answer_tokens": 2},
    }
    (folder / "conversations.yaml").write_text(yaml.safe_dump(conversations))
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


def _spawn(module: str, stack: Path) -> tuple[processes.Child, int]:
    command = [sys.executable, "-m", module, "--stack", str(stack), "--port", "0"]
    child = processes.start(module, command, watched=True, stdout=True)
    ready = child.ready()
    address = ready.get("assistant") or ready["url"]
    return child, int(address.rsplit(":", 1)[1])
