"""A newcomer's time for each named mapping: from a running server of its kind to a valid run, by one command.

Usage: python -m bench mappings

Each server answers with its protocol's documented wire, on loopback, and only to requests that have that protocol's
fields. Two commands are typed as a newcomer would: `peakday target detect URL`, and a run of two seconds with the
target named. Seconds are those of the whole command, start of Python included, and beside them the CPU seconds of all
its processes, which a busy machine changes less.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from starlette.websockets import WebSocket, WebSocketDisconnect

from emulator.bedrock import eventstream_encoder
from host.environment import host_facts
from loadgen.targets.mapping import SOCKET_MAPPINGS, named_mappings, named_target, read_with_values
from tests.loadgen.server import chat_events, response, serving, streamed
from tests.loadgen.socket_server import socket_serving
from tests.loadgen.test_mcp import McpServer
from tests.loadgen.test_named_mappings import WIRES

PATHS = {
    "anthropic": "/v1/messages", "responses": "/v1/responses", "langserve": "/chat/stream", "langgraph": "/runs/stream",
    "gemini": "/v1beta/models/m:streamGenerateContent", "cohere": "/v2/chat", "ollama": "/api/chat",
    "tgi": "/generate_stream", "agentcore": "/invocations", "mcp": "/mcp", "realtime": "/v1/realtime",
    "sagemaker": "/endpoints/shop/invocations-response-stream", "bedrock-agent": "/agents/A/agentAliases/B",
    "openai": "/v1", "bedrock": "",
}  # fmt: skip
"""What each protocol's URL ends in; `/chat` of the others."""
KEYS = {
    "anthropic": "ANTHROPIC_API_KEY", "responses": "OPENAI_API_KEY", "realtime": "OPENAI_API_KEY",
    "cohere": "CO_API_KEY", "gemini": "GEMINI_API_KEY",
}  # fmt: skip
SIGNED = ("agentcore", "sagemaker", "bedrock-agent")
"""What is signed for AWS may cost money, wherever it is: a run names its budget."""
MODELLED = ("anthropic", "responses", "cohere", "ollama", "langgraph", "openai", "bedrock")
CONVERSE = (
    ("messageStart", {"role": "assistant"}), ("contentBlockDelta", {"delta": {"text": "It ships Friday."}}),
    ("messageStop", {"stopReason": "end_turn"}), ("metadata", {"usage": {"inputTokens": 7, "outputTokens": 4}}),
)  # fmt: skip
SOCKET_WIRES = {
    "websocket": ({"delta": "It ships Friday."}, {"done": True, "usage": {"input_tokens": 7, "output_tokens": 4}}),
    "realtime": (
        {"type": "response.output_text.delta", "delta": "It ships Friday."},
        {"type": "response.done", "response": {"usage": {"input_tokens": 7, "output_tokens": 4}}},
    ),
}


@dataclass(frozen=True)
class Cost:
    """Seconds of one command: on the wall, and of the processors."""

    wall_s: float
    cpu_s: float

    def __str__(self) -> str:
        return f"{self.wall_s:.1f} ({self.cpu_s:.1f})"


@dataclass(frozen=True)
class Row:
    """What a newcomer typed for one kind of server, and what came of it; and what each cost."""

    name: str
    command: str
    detecting: Cost
    found: str
    running: Cost
    result: str

    def line(self) -> str:
        """As a row of a Markdown table."""
        cells = (f"`{self.name}`", f"`{self.command}`", str(self.running), self.result, self.found, str(self.detecting))
        return f"| {' | '.join(cells)} |"


@contextlib.contextmanager
def server_of(name: str) -> Iterator[str]:
    """The URL of a server that speaks this protocol."""
    path = PATHS.get(name, "/chat")
    if name in SOCKET_MAPPINGS:
        with socket_serving(lambda socket: _talk(socket, name), path) as url:
            yield url + path
        return
    mcp = McpServer()
    with serving(lambda *asked: _answer(name, path, mcp, *asked)) as server:
        yield server.url + path


async def _talk(socket: WebSocket, name: str) -> None:
    await socket.accept()
    with contextlib.suppress(WebSocketDisconnect):
        while True:
            said = await socket.receive_json()
            if said.get("type") not in ("session.update", "conversation.item.create"):
                for message in SOCKET_WIRES[name]:
                    await socket.send_json(message)


def _answer(
    name: str, path: str, mcp: McpServer, asked_path: str, headers: dict[str, str], body: bytes
) -> list[tuple[float, bytes]]:
    """The wire, for a request of this protocol; refused as such servers do for any other."""
    if not asked_path.startswith(path) or asked_path.endswith(("/healthz", "/metrics")):
        return [(0.0, response(b'{"detail": "Not Found"}', "404 Not Found"))]
    if not wanted(name) <= set(json.loads(body or b"{}")):
        return [(0.0, response(b'{"detail": "field required"}', "422 Unprocessable Entity"))]
    if name == "mcp":
        return mcp(asked_path, headers, body)
    if name == "openai":
        return streamed(chat_events(4))
    if name == "bedrock":
        frames = [eventstream_encoder.event(kind, json.dumps(value).encode()) for kind, value in CONVERSE]
        return [(0.0, response(b"".join(frames), content_type="application/vnd.amazon.eventstream"))]
    begun, ended, _tokens = WIRES[name]
    return streamed([part for part in (begun, ended) if part])


def wanted(name: str) -> set[str]:
    """Fields that every request of a protocol has: those of its mapping that no empty value leaves out."""
    if name == "mcp":
        return {"jsonrpc", "method"}
    known = named_target(f"{name}:http://x")[0] if name in named_mappings() else None
    if known is None:
        return {"messages"}
    return set(read_with_values(known, {})["body"]) - {"model", "conversation_id"}


def tried(name: str, folder: Path) -> Row:
    """Both commands against one server."""
    with server_of(name) as url:
        model = ["--model", "m"] if name in MODELLED else []
        key = ["--api-key-env", KEYS[name]] if name in KEYS else []
        target = f"{name}={url}" if name in ("openai", "bedrock") else f"http={name}:{url}"
        detecting, detected = _typed(folder, "target", "detect", url, *model, *key, "--json")
        found = json.loads(detected.stdout or "{}").get("best")
        typed = ["run", "smoke", "--rate", "2/s", "--for", "2s", "--target", target, *model]
        if name in SIGNED:
            typed += ["--live", "--yes", "--budget-usd", "5"]
        running, ran = _typed(folder, *typed, "--json", "--quiet")
    shown = " ".join(["peakday", *typed]).replace(url, "URL")
    return Row(name, shown, detecting, _kind(found, url, name, detected), running, _result(ran))


def _typed(folder: Path, *words: str) -> tuple[Cost, "subprocess.CompletedProcess[str]"]:
    keys = dict.fromkeys([*KEYS.values(), "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"], "of-no-account")
    begun_s, used = time.monotonic(), os.times()
    done = subprocess.run(
        [sys.executable, "-m", "peakday", *words], cwd=folder, env=os.environ | keys, capture_output=True, text=True
    )
    now = os.times()
    cpu_s = now.children_user - used.children_user + now.children_system - used.children_system
    return Cost(time.monotonic() - begun_s, cpu_s), done


def _kind(found: str | None, url: str, name: str, detected: "subprocess.CompletedProcess[str]") -> str:
    """What the server was recognised as, or why it was not."""
    if found is not None:
        return found.replace(url, "").removeprefix("http=").rstrip(":=")
    tried = json.loads(detected.stdout or "{}").get("tried", [])
    words = next((one["found"] for one in tried if f"={name}:" in one["target"]), "no protocol of its own")
    return words.partition(";")[0]


def _result(ran: "subprocess.CompletedProcess[str]") -> str:
    if not ran.stdout:
        return (ran.stderr.strip().splitlines() or ["nothing"])[-1]
    record = json.loads(ran.stdout)
    totals = record["totals"]
    valid = "valid" if record["verdict"]["valid"] else "INVALID"
    told = "unknown" if totals["output_tokens"] is None else totals["output_tokens"]
    return f"{valid}, {totals['completed']} of {totals['asked']} turns, {told} tokens"


def main() -> None:
    """Print the table, and what it was made on."""
    machine, load = host_facts(), os.getloadavg()[0]
    print(
        f"{datetime.now(UTC).date()}, {machine.get('cpu')}, {machine.get('cores')} cores, load {load:.1f} at the start"
    )
    print("| mapping | command | seconds (CPU) | result | `target detect` says | seconds (CPU) |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name in ("openai", "bedrock", *named_mappings()):
            print(tried(name, Path(folder)).line(), flush=True)
