"""The assistant process: `python -m assistant.server --stack stack.json (--fd N | --port P)`.

Prints one JSON line when ready, serves until SIGTERM or until its parent is gone, then drains for two seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import uvicorn

from assistant.app import App
from assistant.assembly import Clocks, assemble
from assistant.autobuy.worker import BuyerThread
from assistant.errors import AssistantError
from assistant.models.connections import connect
from assistant.router import classifier
from assistant.settings import Stack, read_stack
from assistant.shop.catalogue import Catalogue
from assistant.storage import storage_of
from host.outbox import Outbox
from host.ports import PortError, listen
from host.processes import ParentWatch
from host.redaction import keep_private
from wire.spans import TurnTrace

DRAIN_S = 2
SPANS_WITHIN_S = 1.0
log = logging.getLogger("assistant")
_WATCH_S = 0.5


def main() -> int:
    """Serve; returns the exit code."""
    args = _arguments()
    keep_private()  # the store holds what customers wrote
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    try:
        stack = read_stack(args.stack)
        listener = _listener(args.fd, args.port)
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_serve(stack, listener, args.metrics_fd))
    except (AssistantError, PortError, OSError) as error:
        print(f"assistant: {error}", file=sys.stderr)
        return 5
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m assistant.server", description="The routed shopping assistant.")
    parser.add_argument("--stack", type=Path, required=True, help="the resolved stack.json")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--fd", type=int, help="an inherited listening TCP socket")
    where.add_argument("--port", type=int, help="a loopback port, for use by hand")
    parser.add_argument("--metrics-fd", type=int, help="an inherited socket where health and metrics alone are served")
    return parser.parse_args()


def _listener(fd: int | None, port: int | None) -> socket.socket:
    if fd is not None:
        return socket.socket(fileno=fd)
    return listen(port or 0)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def world_clock(started_at: datetime) -> Callable[[], datetime]:
    """The data's clock: it starts at the data's own now, and runs with real time."""
    origin_s = time.monotonic()
    return lambda: started_at + timedelta(seconds=time.monotonic() - origin_s)


async def _serve(stack: Stack, listener: socket.socket, metrics_fd: int | None = None) -> None:
    catalogue = Catalogue(stack.catalogue)
    clocks = Clocks(time.perf_counter, time.time, world_clock(catalogue.started_at))
    catalogue.search("warm", 1, None, {})
    clients = connect(stack)
    spans = _spans(stack)
    storage = storage_of(stack)
    assistant = assemble(stack, catalogue, clients, classifier.load(), clocks, storage, spans)
    buyer = BuyerThread(
        storage, stack.catalogue, lambda: clocks.world().timestamp(), assistant.services.metrics.observe_purchase
    )
    config = uvicorn.Config(
        assistant.app,
        interface="asgi3",
        http="httptools",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=120,
        timeout_graceful_shutdown=DRAIN_S,
    )
    server = _Server(config)
    listeners = [listener]
    if metrics_fd is not None:
        listeners.append(socket.socket(fileno=metrics_fd))
        host, port = listener.getsockname()[:2]
        assistant.app.served_at = (host, port)
    buyer.start()
    try:
        await asyncio.gather(server.serve(sockets=listeners), _watch(server, assistant.app, listener))
    finally:
        for client in clients.values():
            await client.close()
        buyer.stop()
        if spans is not None:
            await asyncio.to_thread(spans.close, SPANS_WITHIN_S)
            if spans.dropped:
                why = f" ({spans.why})" if spans.why else ""
                log.warning("%d spans were not taken by the receiver, %d were%s", spans.dropped, spans.sent, why)
        assistant.close()


def _spans(stack: Stack) -> Outbox[TurnTrace] | None:
    """Where turns go as spans, started; opentelemetry is loaded only where a receiver was named."""
    if stack.otlp is None:
        return None
    from assistant.telemetry import span_outbox

    spans = span_outbox(stack, stack.otlp)
    spans.start()
    return spans


class _Server(uvicorn.Server):
    """Uvicorn whose SIGTERM and SIGINT mean: drain and return, so that the exit code is 0."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take the signals for as long as the server runs; uvicorn's own would raise them again afterwards."""
        previous = {number: signal.signal(number, self._stop) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _stop(self, number: int, frame: object) -> None:
        self.should_exit = True


async def _watch(server: uvicorn.Server, app: App, listener: socket.socket) -> None:
    """Say when ready; then look after slow readers and the parent."""
    parent = ParentWatch()
    while not server.started:
        if server.should_exit:
            return
        await asyncio.sleep(0.005)
    host, port = listener.getsockname()[:2]
    print(json.dumps({"ready": True, "assistant": f"http://{host}:{port}", "pid": os.getpid()}), flush=True)
    while not server.should_exit:
        await asyncio.sleep(_WATCH_S)
        app.drop_slow_readers()
        if parent.gone():
            server.should_exit = True


if __name__ == "__main__":
    sys.exit(main())
