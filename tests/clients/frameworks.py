"""Named mappings against the frameworks they are for: each framework's own server, two turns asked by `peakday ask`."""

import contextlib
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from host.errors import PeakdayError
from host.ports import listen
from peakday.agent.ask import ask_target
from peakday.consent import Consent
from peakday.console import Console

SERVERS = Path(__file__).parent / "servers"
ENVIRONMENTS = {
    "servers": (
        "bedrock-agentcore", "ag-ui-protocol", "pydantic-ai-slim[ag-ui]", "a2a-sdk[http-server]>=1", "mcp>=2",
        "websockets",
    ),
    "langserve": ("langserve[server]", "langchain-core"),
    "langgraph": ("langgraph", "langgraph-cli[inmem]"),
}  # fmt: skip
"""Packages by environment: what wants other versions of the same packages stands apart."""
_WITHIN_S = 240.0


@dataclass(frozen=True)
class Framework:
    """What is tried: its name, the mapping, the server's script, the path that answers.

    model: to name in the request. environment: of `ENVIRONMENTS`.
    """

    name: str
    mapping: str
    script: str
    path: str
    model: str | None = None
    environment: str = "servers"


FRAMEWORKS = (
    Framework("pydantic-ai's AG-UI adapter", "ag-ui", "ag_ui_server.py", "/ask"),
    Framework("Vercel ai, UI message stream", "ai-sdk", "ai_sdk_server.mjs", "/chat"),
    Framework("LangServe, a runnable of texts", "langserve", "langserve_server.py", "/text/stream", None, "langserve"),
    Framework("LangServe, a chat model", "langserve", "langserve_server.py", "/chat/stream", None, "langserve"),
    Framework("LangGraph's in-memory server", "langgraph", "langgraph_server.py", "/runs/stream", "agent", "langgraph"),
    Framework("bedrock-agentcore's own server", "agentcore", "agentcore_server.py", "/invocations"),
    Framework("a2a-sdk, protocol 1.0", "a2a-1", "a2a_server.py", "/a2a"),
    Framework("a2a-sdk, protocol 0.3", "a2a", "a2a_server.py", "/a2a"),
    Framework("mcp, streamable HTTP", "mcp", "mcp_server.py", "/mcp"),
    Framework("websockets", "websocket", "websocket_server.py", "/"),
)


def tried(pythons: Mapping[str, Path], node: Path, emulator_url: str) -> dict[str, tuple[str, str]]:
    """Framework -> (mapping, "pass" or the reason why not)."""
    os.environ |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}  # what AgentCore's mapping signs with
    found = {}
    for framework in FRAMEWORKS:
        with _serving(framework, pythons[framework.environment], node, emulator_url) as url:
            target = f"http={framework.mapping}:{url}"
            found[framework.name] = (framework.mapping, _asked(target, framework.model))
    return found


def _asked(target: str, model: str | None) -> str:
    """Two turns: text and end of both recognised, or what was missing."""
    try:
        _, data, code = ask_target(
            target, "when does it ship?", Consent(True, True), Console(quiet=True), model, turns=2
        )
    except PeakdayError as error:
        return str(error)[:160]
    verdicts = [turn["verdict"] for turn in data["turns"]]
    whole = code == 0 and len(verdicts) == 2 and not any("end not" in verdict for verdict in verdicts)
    return "pass" if whole else verdicts[-1][:160]


@contextlib.contextmanager
def _serving(framework: Framework, python: Path, node: Path, emulator_url: str) -> Iterator[str]:
    """The framework's server on a free port of loopback, and the URL to ask."""
    with listen(0) as free:
        port = free.getsockname()[1]
    script = SERVERS / framework.script
    if script.suffix == ".mjs":
        (node / script.name).write_text(script.read_text())
        command = ["node", str(node / script.name), str(port), emulator_url]
    else:
        command = [str(python), str(script), str(port)]
    with tempfile.TemporaryFile() as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            _wait(port)
            scheme = "ws" if framework.mapping == "websocket" else "http"
            yield f"{scheme}://127.0.0.1:{port}{framework.path}"
        finally:
            process.terminate()


def _wait(port: int) -> None:
    """Until it listens, or for four minutes: the question then says that nobody answers."""
    end_s = time.monotonic() + _WITHIN_S
    while time.monotonic() < end_s:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.2)
