"""The assistant's page inside ours: a local stack that is started when somebody wants to talk, and ends with serve."""

from __future__ import annotations

import asyncio
import contextlib
import os
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from assistant.chat.routes import FRAMED_BY
from host.control_token import page_address
from host.ports import is_loopback_url
from peakday.console import Console
from peakday.serve.desk import Desk, body
from peakday.serve.pages import page
from peakday.serve.protection import POLICY
from peakday.stack.resolved import open_stack, resolve


@dataclass
class Chat:
    """At most one stack: its scenario, and the address of its chat page."""

    scenario: str = ""
    address: str = ""
    _open: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def start(self, scenario: str, framed_by: str) -> None:
        """Have a stack of this scenario up; another one is stopped first.

        Raises:
            ScenarioError, CommandError: no such scenario, or the stack does not start.
        """
        async with self._turn:
            if self.address and self.scenario == scenario:
                return
            await asyncio.to_thread(self.stop)
            await asyncio.to_thread(self._start, scenario, framed_by)

    def _start(self, scenario: str, framed_by: str) -> None:
        resolved = resolve(scenario, (), None)
        os.environ[FRAMED_BY] = framed_by
        try:
            stack = self._open.enter_context(open_stack(resolved, console=Console(quiet=True)))
        finally:
            os.environ.pop(FRAMED_BY, None)
        self.scenario, self.address = scenario, page_address(stack.endpoints["assistant"])

    def stop(self) -> None:
        """Stop the stack, where there is one."""
        self._open.close()
        self.scenario = self.address = ""


async def chat(request: Request) -> Response:
    """The frame, or the button that starts what it shows."""
    desk: Desk = request.app.state.desk
    running: Chat = request.app.state.chat
    names = sorted({place.id for place in desk.catalogue.places("scenarios")})
    shown = "" if desk.read_only(request) else running.address
    target = request.query_params.get("target", "")
    given = target if is_loopback_url(target) and target.startswith(("http://", "https://")) else ""
    answer = page(request, "chat.html", address=shown, scenario=running.scenario, scenarios=names, given=given)
    if shown:
        parts = urlsplit(shown)
        answer.headers["Content-Security-Policy"] = POLICY.format(frames=f"{parts.scheme}://{parts.netloc}")
    return answer


async def start(request: Request) -> Response:
    """Start a stack of the scenario that the body names; the emulator answers, and nothing costs money."""
    running: Chat = request.app.state.chat
    scenario = str((await body(request)).get("scenario") or "smoke")
    await running.start(scenario, f"http://{request.headers['host']}")
    return JSONResponse({"scenario": running.scenario})


async def stop(request: Request) -> Response:
    """Stop it."""
    running: Chat = request.app.state.chat
    await asyncio.to_thread(running.stop)
    return JSONResponse({"scenario": ""})
