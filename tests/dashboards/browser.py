"""A headless Chromium spoken to over its DevTools protocol: enough to open a page, watch it and photograph it."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
DESKTOP = (1280, 900)
PHONE = (390, 844)
_START_S = 300.0


@dataclass
class Seen:
    """What a page did while it was open."""

    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    page: str = ""


class Browser:
    """One tab of one browser process."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._next_id = 0
        self.seen = Seen()

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One command and its result; events on the way are kept in `seen`."""
        self._next_id += 1
        await self._socket.send_str(json.dumps({"id": self._next_id, "method": method, "params": params}))
        while True:
            message = json.loads((await self._socket.receive(timeout=300)).data)
            if message.get("id") == self._next_id:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return message["result"]
            self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        params = message.get("params", {})
        if message.get("method") == "Network.requestWillBeSent":
            self.seen.requests.append(params["request"]["url"])
        elif message.get("method") == "Runtime.exceptionThrown":
            self.seen.errors.append(json.dumps(params["exceptionDetails"])[:400])
        elif message.get("method") == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"):
            self.seen.errors.append(json.dumps(params["args"])[:400])
        elif message.get("method") == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.seen.errors.append(params["entry"]["text"])

    async def open(self, page: Path | str, size: tuple[int, int] = DESKTOP, scheme: str = "light") -> Seen:
        """Load a file or an address at a width and colour scheme, and wait until its charts are drawn."""
        self.seen = Seen()
        for domain in ("Page", "Network", "Runtime", "Log"):
            await self.call(f"{domain}.enable")
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=size[0],
            height=size[1],
            deviceScaleFactor=1,
            mobile=size[0] < 600,
        )
        await self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        await self.call("Page.navigate", url=page if isinstance(page, str) else page.as_uri())
        for _ in range(3_000):
            if await self.evaluate(
                "document.readyState === 'complete' && document.documentElement.dataset.drawn === 'yes'"
            ):
                break
            await asyncio.sleep(0.1)
        return self.seen

    async def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression."""
        result = await self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        return result["result"].get("value")

    async def photograph(self, out: Path, *, whole: bool = True) -> None:
        """A PNG of the page, or of the window."""
        shot = await self.call(
            "Page.captureScreenshot", captureBeyondViewport=whole, format="png", **(await self._clip() if whole else {})
        )
        out.write_bytes(base64.b64decode(shot["data"]))

    async def _clip(self) -> dict[str, Any]:
        size = (await self.call("Page.getLayoutMetrics"))["cssContentSize"]
        return {"clip": {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}}


@asynccontextmanager
async def browser() -> AsyncIterator[Browser]:
    """A browser process with its own empty profile, gone afterwards."""
    assert CHROMIUM is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [
                CHROMIUM,
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--hide-scrollbars",
                "--remote-debugging-port=0",
                f"--user-data-dir={profile}",
                "about:blank",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            port = await _port(Path(profile) / "DevToolsActivePort")
            async with aiohttp.ClientSession() as session:
                async with session.get(f"http://127.0.0.1:{port}/json") as response:
                    tabs = [tab for tab in await response.json(content_type=None) if tab["type"] == "page"]
                async with session.ws_connect(tabs[0]["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                    yield Browser(socket)
        finally:
            process.terminate()
            process.wait(timeout=120)


async def _port(file: Path) -> int:
    for _ in range(int(_START_S / 0.1)):
        if file.exists() and (lines := file.read_text().splitlines()):
            return int(lines[0])
        await asyncio.sleep(0.1)
    raise RuntimeError("Chromium did not start")
