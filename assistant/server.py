"""The assistant process: `python -m assistant.server --stack stack.json (--fd N | --port P)`.

Prints one JSON line when ready, serves until SIGTERM or until its parent is gone, then drains for two seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import aiohttp
import uvicorn

from assistant.app import App
from assistant.calls import ModelCaller
from assistant.clients.bedrock import BedrockClient, Credentials
from assistant.clients.openai import OpenAIClient
from assistant.clients.protocol import ModelClient
from assistant.confirmations import Confirmations
from assistant.errors import AssistantError
from assistant.history import Conversations
from assistant.metrics import Metrics
from assistant.prompt import PromptBuilder
from assistant.router import classifier
from assistant.router.route import MessageRouter
from assistant.sessions import Sessions
from assistant.settings import Stack, read_stack
from assistant.store.sqlite import SqliteStore
from assistant.tools.catalogue import Catalogue
from assistant.tools.registry import TOOLS
from assistant.tools.spec import ToolContext
from assistant.tools.web_index import WebIndex
from assistant.turn import Services

DRAIN_S = 2
_WATCH_S = 0.5
_STAND_IN_KEY = Credentials("peakday-stand-in", "peakday-stand-in")
"""Stand-ins check the form of a signature, not who signed."""


def main() -> int:
    """Serve; returns the exit code."""
    args = _arguments()
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    try:
        stack = read_stack(args.stack)
        listener = _listener(args.fd, args.port)
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_serve(stack, listener))
    except (AssistantError, OSError) as error:
        print(f"assistant: {error}", file=sys.stderr)
        return 5
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m assistant.server", description="The routed shopping assistant.")
    parser.add_argument("--stack", type=Path, required=True, help="the resolved stack.json")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--fd", type=int, help="an inherited listening TCP socket")
    where.add_argument("--port", type=int, help="a loopback port, for use by hand")
    return parser.parse_args()


def _listener(fd: int | None, port: int | None) -> socket.socket:
    if fd is not None:
        return socket.socket(fileno=fd)
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port or 0))
    listener.listen(2048)
    return listener


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


async def _serve(stack: Stack, listener: socket.socket) -> None:
    catalogue = Catalogue(stack.catalogue)
    store = SqliteStore(stack.store)
    clients = _clients(stack)
    services = _services(stack, catalogue, store, clients)
    app = App(services, Sessions(secrets.token_bytes(32)), lambda one: catalogue.customer(one) is not None)
    config = uvicorn.Config(
        app,
        interface="asgi3",
        http="httptools",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=120,
        timeout_graceful_shutdown=DRAIN_S,
    )
    server = _Server(config)
    try:
        await asyncio.gather(server.serve(sockets=[listener]), _watch(server, app, listener))
    finally:
        for client in clients.values():
            await client.close()
        store.close()
        catalogue.close()


class _Server(uvicorn.Server):
    """Uvicorn whose SIGTERM and SIGINT mean: drain and return, so that the exit code is 0."""

    def handle_exit(self, sig: int, frame: object) -> None:
        self.should_exit = True

    def capture_signals(self):  # type: ignore[no-untyped-def]
        """Take the signals for as long as the server runs; uvicorn's own would raise them again afterwards."""
        import contextlib

        @contextlib.contextmanager
        def captured():  # type: ignore[no-untyped-def]
            previous = {sig: signal.signal(sig, self.handle_exit) for sig in (signal.SIGTERM, signal.SIGINT)}
            try:
                yield
            finally:
                for sig, handler in previous.items():
                    signal.signal(sig, handler)

        return captured()


async def _watch(server: uvicorn.Server, app: App, listener: socket.socket) -> None:
    """Say when ready; then look after slow readers and the parent."""
    parent = os.getppid()
    while not server.started:
        if server.should_exit:
            return
        await asyncio.sleep(0.005)
    host, port = listener.getsockname()[:2]
    print(json.dumps({"ready": True, "assistant": f"http://{host}:{port}", "pid": os.getpid()}), flush=True)
    while not server.should_exit:
        await asyncio.sleep(_WATCH_S)
        app.drop_slow_readers()
        if os.getppid() != parent:
            server.should_exit = True


def _clients(stack: Stack) -> dict[str, ModelClient]:
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=5.0, sock_read=stack.switches.limits.wall_s)

    def session() -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=60.0, ttl_dns_cache=300)
        return aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False)

    def url_of(region: str) -> str:
        return stack.bedrock_url or f"https://bedrock-runtime.{region}.amazonaws.com"

    clients: dict[str, ModelClient] = {
        "converse": BedrockClient(session(), url_of, _aws_credentials() if stack.live else lambda: _STAND_IN_KEY)
    }
    if stack.openai_url:
        clients["openai"] = OpenAIClient(session(), stack.openai_url, os.environ.get("OPENAI_API_KEY"))
    return clients


def _aws_credentials() -> Callable[[], Credentials]:
    """The account's credentials by botocore's usual chain; it refreshes them when they age."""
    import botocore.session

    found = botocore.session.get_session().get_credentials()
    if found is None:
        raise AssistantError("live: no AWS credentials were found; set AWS_PROFILE or run `aws configure`")

    def current() -> Credentials:
        frozen = found.get_frozen_credentials()
        return Credentials(frozen.access_key, frozen.secret_key, frozen.token)

    return current


def _services(stack: Stack, catalogue: Catalogue, store: SqliteStore, clients: dict[str, ModelClient]) -> Services:
    metrics = Metrics()
    web = WebIndex(catalogue.documents())
    started_s = time.monotonic()

    def tool_context(customer_id: str, locale: str) -> ToolContext:
        market = stack.marketplaces.get(locale)
        return ToolContext(
            customer_id=customer_id,
            now=catalogue.started_at + timedelta(seconds=time.monotonic() - started_s),
            catalogue=catalogue,
            store=store,
            web=web,
            currency=market.currency if market else "USD",
        )

    endpoints = {"converse": stack.bedrock_url or "bedrock-runtime", "openai": stack.openai_url or ""}
    return Services(
        stack=stack,
        caller=ModelCaller(stack.models, clients, endpoints, stack.switches, metrics, time.perf_counter),
        prompts=PromptBuilder(TOOLS, stack.switches.cache_ttl, stack.switches.cache.points),
        router=MessageRouter(stack.switches.router, classifier.load()),
        tools=TOOLS,
        conversations=Conversations(),
        confirmations=Confirmations(secrets.token_bytes(32)),
        metrics=metrics,
        tool_context=tool_context,
        clock=time.perf_counter,
        now_s=time.time,
    )


if __name__ == "__main__":
    sys.exit(main())
