"""A reader of the pages within this process: one request in, status, headers and body out."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from peakday.serve.app import application
from peakday.serve.desk import Desk
from peakday.serve.protection import TOKEN_HEADER, Rules


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """Asks an application as a browser on this machine does."""

    def __init__(self, base, **rules: Any) -> None:
        self.rules = Rules(**rules)
        self.desk = Desk.of(base, self.rules)
        self.app = application(self.desk)

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, None, headers)

    def post(self, path: str, body: Any, **headers: str) -> Answer:
        """A write as our own pages make it."""
        own = {"origin": "http://127.0.0.1:8787", "content-type": "application/json", TOKEN_HEADER: self.rules.token}
        return self.ask(
            "POST", path, json.dumps(body).encode(), own | {k.replace("_", "-"): v for k, v in headers.items()}
        )

    def ask(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        return asyncio.run(self._ask(method, path, body or b"", {"host": "127.0.0.1:8787", **headers}))

    async def _ask(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Answer:
        place, _, query = path.partition("?")
        sent: list[dict[str, Any]] = []
        asked = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive():
            return asked.pop() if asked else await asyncio.Event().wait()  # it never hangs up

        async def send(message):
            sent.append(message)

        scope = {
            "type": "http", "http_version": "1.1", "method": method, "path": place, "raw_path": quote(place).encode(),
            "query_string": query.encode(), "root_path": "", "scheme": "http", "server": ("127.0.0.1", 8787),
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        }  # fmt: skip
        await self.app(scope, receive, send)
        start = next(message for message in sent if message["type"] == "http.response.start")
        parts = [message.get("body", b"") for message in sent if message["type"] == "http.response.body"]
        return Answer(start["status"], {k.decode(): v.decode() for k, v in start["headers"]}, b"".join(parts))
