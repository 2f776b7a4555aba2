"""A WebSocket server for tests, on Starlette and uvicorn: real frames of a real framework."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

Handler = Callable[[WebSocket], Awaitable[None]]


@contextmanager
def socket_serving(handler: Handler, path: str = "/chat", tls: Path | None = None) -> Iterator[str]:
    """The URL of a server of this handler, in a thread of its own until the block ends.

    tls: its certificate, with `key.pem` beside it.
    """
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # asyncio: no delay for TCP alone
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    app = Starlette(routes=[WebSocketRoute(path, handler)])
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            ws="wsproto",
            log_level="error",
            lifespan="off",
            ssl_certfile=tls,
            ssl_keyfile=tls and tls.with_name("key.pem"),
        )
    )
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listening])))
    thread.start()
    try:
        yield f"ws{'s' if tls else ''}://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
