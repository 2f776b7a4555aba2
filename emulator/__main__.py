"""`python -m emulator --stack stack.json --fd N`: serve the emulator until told to stop.

Prints one JSON line when ready. Stops on SIGTERM after draining, and by itself when its parent is gone.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import os
import signal
import socket
import sys
from pathlib import Path

import uvloop

from emulator.app import App
from emulator.http.connection import Server
from emulator.http.front import Front
from emulator.http.tls import TlsError, loopback_context
from emulator.language.conversations import ConversationsError
from emulator.profiles import ProfileError
from facts.decoding import FactsError
from facts.stack import StackError, StackFile, read_stack
from host.ports import PortError, listen
from host.processes import ParentWatch, run_first

DRAIN_S = 2.0
PARENT_CHECK_S = 0.5


def main() -> int:
    """Exit code: 0 after SIGTERM or when the parent is gone, 2 for a configuration, 5 for a port of no use."""
    arguments = _arguments()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    try:
        stack = read_stack(arguments.stack) if arguments.stack else StackFile()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_serve(stack, arguments))
    except (StackError, ConversationsError, ProfileError, FactsError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    except (PortError, TlsError) as error:
        print(error, file=sys.stderr)
        return 5


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m emulator", description=__doc__)
    parser.add_argument("--stack", type=Path, help="stack.json as written by `peakday up`; without it the defaults")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--fd", type=int, help="a listening TCP socket inherited from the parent")
    where.add_argument("--port", type=int, default=0, help="a port of 127.0.0.1 to listen on; 0 = any free one")
    parser.add_argument("--metrics-fd", type=int, help="an inherited socket where health and metrics alone are served")
    parser.add_argument("--ca-file", type=Path, help="serve TLS too, and write the authority to trust it by here")
    parser.add_argument("--tls-fd", type=int, help="an inherited socket for TLS; without it any free port")
    return parser.parse_args()


def _listening(fd: int | None, port: int = 0) -> socket.socket:
    return listen(port) if fd is None else socket.socket(fileno=fd)


def _address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"{host}:{port}"


async def _serve(stack: StackFile, arguments: argparse.Namespace) -> int:
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    app = App(stack, loop)
    listening = _listening(arguments.fd, arguments.port)
    server = Server(app.handle, app.watch.lag_s, app.pacer.catch_up)
    listener = await loop.create_server(lambda: Front(server), sock=listening, backlog=8192)
    ready = {"ready": True, "url": f"http://{_address(listening)}", "pid": os.getpid()}
    if arguments.ca_file is not None:
        encrypted = _listening(arguments.tls_fd)
        ready |= {"tls_url": f"https://{_address(encrypted)}", "ca_file": str(arguments.ca_file)}
        await loop.create_server(lambda: Front(server), sock=encrypted, ssl=loopback_context(arguments.ca_file))
    if arguments.metrics_fd is not None:
        pages = Server(lambda request, _: app.look(request, server.accepted), app.watch.lag_s, app.pacer.catch_up)
        await loop.create_server(lambda: Front(pages), sock=socket.socket(fileno=arguments.metrics_fd))
    parent = ParentWatch()
    gc.collect()
    gc.freeze()  # what was loaded at start is never garbage: no collection looks at it again
    gc.set_threshold(50_000, 20, 50)
    run_first()
    app.watch.start()
    print(json.dumps(ready), flush=True)
    while not stopping.is_set() and not parent.gone():
        try:
            await asyncio.wait_for(stopping.wait(), PARENT_CHECK_S)
        except TimeoutError:
            continue
    listener.close()
    await _drain(server)
    return 0


async def _drain(server: Server) -> None:
    """Let answers under way end, for a while, then close every connection."""
    deadline_s = asyncio.get_running_loop().time() + DRAIN_S
    while server.busy() and asyncio.get_running_loop().time() < deadline_s:
        await asyncio.sleep(0.02)
    for connection in list(server.connections):
        connection.close()
    await asyncio.sleep(0)


if __name__ == "__main__":
    sys.exit(main())
