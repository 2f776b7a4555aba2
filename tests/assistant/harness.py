"""The assistant in one process with a scripted model: what it owns can be asserted without any emulator."""

import asyncio
import json
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from assistant.assembly import Clocks, assemble
from assistant.errors import ModelError
from assistant.models.protocol import Reply, ToolUse, Usage
from assistant.settings import Stack
from assistant.shop.catalogue import Catalogue
from assistant.storage import storage_of
from facts import reader
from facts.stack import switches_of
from tests.assistant.shop import NOW
from wire.sse import SseParser

Step = str | list[tuple[str, dict[str, Any]]] | ModelError
"""One scripted reply: text, tool calls, or a failure."""


class ScriptedModel:
    """A model client that answers by script and remembers what it was asked. Without a script it says `ok`."""

    def __init__(self) -> None:
        self.script: list[Step] = []
        self.requests: list[Any] = []

    async def converse(self, request, listener):
        self.requests.append(request)
        step = self.script.pop(0) if self.script else "ok"
        if isinstance(step, ModelError) and not step.streaming:
            raise step
        await listener.opened(True)
        if isinstance(step, ModelError):
            await listener.text("half an ")
            raise step
        if isinstance(step, str):
            await listener.text(step)
            return _reply([{"text": step}], [], "end_turn")
        number = len(self.requests)
        uses = [ToolUse(f"t{number}-{i}", name, args) for i, (name, args) in enumerate(step)]
        blocks = [{"toolUse": {"toolUseId": use.tool_use_id, "name": use.name, "input": use.input}} for use in uses]
        return _reply(blocks, uses, "tool_use")

    async def close(self):
        pass


def _reply(content, uses, stop_reason):
    usage = Usage(input_tokens=100, output_tokens=10, cache_read_tokens=50, cache_write_tokens_5m=20)
    return Reply(content, uses, stop_reason, usage, ttft_s=0.1, tpot_s=0.01, e2e_s=0.2)


@dataclass
class Answer:
    """What a client saw of one request."""

    status: int
    headers: dict[str, str]
    body: bytes
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def all(self, name: str) -> list[dict[str, Any]]:
        return [payload for event, payload in self.events if event == name]

    def one(self, name: str) -> dict[str, Any]:
        (payload,) = self.all(name)
        return payload

    @property
    def text(self) -> str:
        return "".join(payload["text"] for payload in self.all("delta"))

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        return json.loads(self.body)["error"]


class Harness:
    """An app over the tiny shop. `assistant` are switches as in stack.json; `backend` a store in place of sqlite's."""

    def __init__(
        self,
        catalogue: Path,
        folder: Path,
        assistant: dict[str, Any] | None = None,
        classifier: Any = None,
        backend: Any = None,
        spans: Any = None,
        **stack: Any,
    ) -> None:
        self.model = ScriptedModel()
        self.now_s = 1_000_000.0
        self.stack = Stack(
            **{
                "seed": 1,
                "live": False,
                "models": reader.models(),
                "marketplaces": reader.marketplaces(),
                "regions": ("us-east-1", "us-west-2"),
                "bedrock_url": "http://bedrock",
                "openai_url": "http://openai/v1",
                "switches": switches_of({"router": {"mode": "rules"}, **(assistant or {})}),
                "catalogue": catalogue,
                "store": folder / "store.sqlite",
                **stack,
            }
        )
        self.clock_s = 0.0
        self.world = datetime.fromisoformat(NOW)
        clocks = Clocks(lambda: self.clock_s, lambda: self.now_s, lambda: self.world)
        clients = {"converse": self.model, "openai": self.model}
        storage = storage_of(self.stack)
        storage = storage if backend is None else replace(storage, store=lambda: backend)
        self.parts = assemble(self.stack, Catalogue(catalogue), clients, classifier, clocks, storage, spans)
        self.app, self.services, self.store = self.parts.app, self.parts.services, self.parts.store
        self.metrics, self.rules = self.services.metrics, self.parts.rules

    def turn(self, message: str = "hello", *script: Step, customer: str = "c000001", **body: Any) -> Answer:
        """One turn with the model's replies; further keywords go into the body."""
        self.model.script = list(script)
        self.model.requests = []
        request = {"interaction_id": "i1", "turn_index": 0, "message": message, **body}
        return self.request("POST", "/v1/turns", request, self.signed_in(customer))

    def signed_in(self, customer: str = "c000001") -> dict[str, str]:
        """Headers of a session."""
        token = self.app._sessions.issue(customer, self.now_s)
        return {"authorization": f"Bearer {token}"}

    def request(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None, client: str = "127.0.0.1"
    ) -> Answer:
        """One HTTP request through the ASGI application."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return asyncio.run(_exchange(self.app, method, path, data, headers or {}, client))

    def close(self) -> None:
        self.parts.close()


async def _exchange(app, method, path, data, headers, client):
    sent = []
    came = [{"type": "http.request", "body": data, "more_body": False}]

    async def receive():
        if came:
            return came.pop(0)
        await asyncio.Event().wait()

    async def send(message):
        sent.append(message)

    headers = {"content-type": "application/json"} | headers
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": method, "path": path, "headers": raw, "client": (client, 1)}
    await app(scope, receive, send)
    body = b"".join(message.get("body", b"") for message in sent[1:])
    answer = Answer(sent[0]["status"], {k.decode(): v.decode() for k, v in sent[0]["headers"]}, body)
    if answer.headers.get("content-type") == "text/event-stream":
        answer.events = [(event.event, json.loads(event.data)) for event in SseParser().feed(body)]
    return answer
