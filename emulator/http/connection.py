"""HTTP/1.1 on one connection: httptools parses, an asyncio protocol answers, bytes go straight to the socket.

A plain ASGI server cannot keep the pace that a load run needs; docs/decisions/003 has the figures. Requests that
arrive while one is being answered wait their turn (pipelining), and a reader that does not keep up blocks its own
stream only.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import lru_cache
from typing import Protocol, cast
from urllib.parse import unquote

import httptools
import orjson

from emulator.http.stream import Stream

BODY_BYTES_MAX = 25_000_000
_LAST_DATA_RECEIVED = 52  # tcpi_last_data_recv, ms; linux/tcp.h, struct tcp_info
SIMULATED = "x-peakday-simulated"
_REASONS = {
    200: "OK", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
    413: "Payload Too Large", 415: "Unsupported Media Type", 424: "Failed Dependency", 429: "Too Many Requests",
    500: "Internal Server Error", 503: "Service Unavailable",
}  # fmt: skip


@dataclass
class Request:
    """One request. `received_s`: CLOCK_MONOTONIC when its last byte reached this machine, to 4 ms if we were busy."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    received_s: float


@dataclass
class Response:
    """An answer that is ready."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


class Exchange(Protocol):
    """Where the answer to one request goes: an HTTP/1.1 connection, or one stream of HTTP/2."""

    stream: Stream | None

    @property
    def accepted(self) -> int:
        """Connections that the server has accepted since it started, this one included."""

    def send(self, data: bytes) -> None:
        """Send part of an HTTP/1.1 answer now, or as soon as the socket takes it."""

    def finish(self, reusable: bool) -> None:
        """The response is complete."""

    def cut(self) -> None:
        """Break off without a proper end."""


Handler = Callable[[Request, Exchange], Response | None]
"""Answers a request, or starts a stream on the exchange and returns None."""


class Served(Protocol):
    """One client connection."""

    @property
    def busy(self) -> bool:
        """Whether an answer is under way."""

    def close(self) -> None:
        """Close when what was written is out."""


def request_from(method: str, target: str, headers: dict[str, str], body: bytes, waited_s: float) -> Request:
    """A request from its target as sent; `waited_s`: how long it may have waited for us."""
    path, _, query = target.partition("?")
    return Request(method, unquote(path), query, headers, body, time.monotonic() - waited_s)


def json_response(status: int, value: object, headers: dict[str, str] | None = None) -> Response:
    """A JSON answer."""
    return Response(status, orjson.dumps(value), headers=headers or {})


@lru_cache(maxsize=2)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)


def http_head(status: int, content_type: str, headers: dict[str, str], length: int | None) -> bytes:
    """Status line and headers; without a length the body is chunked."""
    size = "transfer-encoding: chunked" if length is None else f"content-length: {length}"
    extra = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return (
        f"HTTP/1.1 {status} {_REASONS[status]}\r\ndate: {_date(int(time.time()))}\r\ncontent-type: {content_type}\r\n"
        f"{SIMULATED}: 1\r\n{extra}{size}\r\n\r\n"
    ).encode("latin-1")


class Server:
    """What all connections share: the handler, how late the loop is, what to do between requests, who is connected."""

    def __init__(self, handle: Handler, loop_lag_s: Callable[[], float], between: Callable[[], None]) -> None:
        self.handle = handle
        self.loop_lag_s = loop_lag_s
        self.between = between
        self.connections: set[Served] = set()
        self.accepted = 0

    def busy(self) -> bool:
        """Whether any answer is under way."""
        return any(connection.busy for connection in self.connections)

    def waited_s(self, of: socket.socket) -> float:
        """How long the request just read may have waited for us: 0 while the loop keeps up with its heartbeat.

        When it does not, Linux tells how long ago the socket's last data came in, to a few ms; elsewhere the overdue
        heartbeat is the bound.
        """
        lag_s = self.loop_lag_s()
        if lag_s > 0 and hasattr(socket, "TCP_INFO"):
            info = of.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_DATA_RECEIVED + 4)
            waited_ms: int = struct.unpack_from("I", info, _LAST_DATA_RECEIVED)[0]
            return min(lag_s, waited_ms / 1000)
        return lag_s


class Connection(asyncio.Protocol):
    """One client connection."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._fd = -1  # no file: a write fails
        self._encrypted = False
        self._spilled = False  # bytes wait in the transport's buffer, so later ones must too
        self._waiting: deque[Request] = deque()
        self._answering = False
        self._keep_alive = True
        self.stream: Stream | None = None

    @property
    def accepted(self) -> int:
        """Connections that the server has accepted since it started, this one included."""
        return self._server.accepted

    @property
    def busy(self) -> bool:
        """Whether an answer is under way."""
        return self.stream is not None

    # --- asyncio -------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own class has its methods, not its name
        self._socket = transport.get_extra_info("socket")
        self._fd = self._socket.fileno()
        self._encrypted = self._spilled = transport.get_extra_info("ssl_object") is not None
        self._server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone; what it was being sent ends."""
        self._transport, self._fd = None, -1
        del self._parser  # it holds the connection: without it both are freed at once, the last body with them
        self._server.connections.discard(self)
        self._waiting.clear()
        if self.stream is not None:
            stream, self.stream = self.stream, None
            stream.abandon()

    def data_received(self, data: bytes) -> None:
        """Bytes of requests."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._stay(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._refuse(400, "not HTTP/1.1")

    def _stay(self, rest: bytes) -> None:
        """Go on in HTTP/1.1 where a client offers HTTP/2 (curl, Java); the parser has left the body unread."""
        method = self._parser.get_method()
        if self._headers.get("upgrade", "").lower() != "h2c" or method == b"CONNECT":
            self._refuse(400, "no upgrade is offered")
            return
        kept = [f"{name}: {value}" for name, value in self._headers.items() if name not in ("upgrade", "connection")]
        head = "\r\n".join(["", *kept, "", ""]).encode("latin-1")
        self._parser = httptools.HttpRequestParser(self)
        self.data_received(method + b" " + self._url + b" HTTP/1.1" + head + rest)

    def pause_writing(self) -> None:
        """The reader does not keep up."""
        if self.stream is not None:
            self.stream.blocked = True

    def resume_writing(self) -> None:
        """The reader has caught up."""
        if self.stream is not None:
            self.stream.resume()

    # --- httptools -----------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A request begins."""
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._size = 0

    def on_url(self, url: bytes) -> None:
        """Part of the target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Tell a client that waits for leave to send its body to go on."""
        if self._headers.get("expect", "").lower() == "100-continue":
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """Part of the body."""
        self._size += len(body)
        if self._size <= BODY_BYTES_MAX:
            self._body.append(body)

    def on_message_complete(self) -> None:
        """A request is whole, or one that asks for an upgrade has its head."""
        if self._parser.should_upgrade():
            return
        if self._size > BODY_BYTES_MAX:
            self._refuse(413, f"the body exceeds {BODY_BYTES_MAX} bytes")
            return
        body, self._body = b"".join(self._body), []
        request = request_from(
            self._parser.get_method().decode(), self._url.decode("latin-1"), self._headers, body,
            self._server.waited_s(self._socket),
        )  # fmt: skip
        self._keep_alive = self._parser.should_keep_alive()
        self._waiting.append(request)
        if not self._answering:
            self._answer_next()

    # --- answers -------------------------------------------------------------------------------------------------

    def _answer_next(self) -> None:
        while self._waiting and not self._answering:
            self._answering = True
            response = self._server.handle(self._waiting.popleft(), self)
            if response is not None:
                self.respond(response)
        self._server.between()

    def respond(self, response: Response) -> None:
        """Send an answer that is ready."""
        head = http_head(response.status, response.content_type, response.headers, len(response.body))
        self.send(head + response.body)
        self.finish(reusable=True)

    def send(self, data: bytes) -> None:
        """Write to the socket at once; what it does not take, and all that TLS encrypts, goes through the transport."""
        if self._spilled and self._transport is not None:
            self._spilled = self._encrypted or self._transport.get_write_buffer_size() > 0
        if not self._spilled:
            try:
                written = os.write(self._fd, data)
            except BlockingIOError:
                written = 0
            except OSError:
                self.cut()
                return
            if written == len(data):
                return
            data = data[written:]
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)
            self._spilled = True

    def finish(self, reusable: bool) -> None:
        """The response is complete."""
        self.stream = None
        self._answering = False
        if self._transport is None:
            return
        if not (reusable and self._keep_alive):
            self._transport.close()
        elif self._waiting:
            asyncio.get_running_loop().call_soon(self._answer_next)

    def cut(self) -> None:
        """Break the connection off without a proper end."""
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        """Close when what was written is out."""
        if self._transport is not None:
            self._transport.close()

    def _refuse(self, status: int, why: str) -> None:
        self._keep_alive = False
        self.respond(json_response(status, {"message": why}))
