"""HTTP/1.1 for model streams: one POST at a time on kept-alive connections, its answer taken apart as bytes arrive.

A token costs no task switch: `data_received` parses, decodes and hands the text on. The task that asked is woken at the
response's head, when whoever takes the text must be waited for, and at the end.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from types import TracebackType
from typing import cast

from wire import http_response

Decode = Callable[[bytes], Iterator[str]]
"""Turns the next bytes of a body into the texts they carried."""
Take = Callable[[str], Awaitable[None] | None]
"""Takes one text; what it returns, if anything, is awaited before the next one is decoded."""
Origin = tuple[str, str]  # scheme, host[:port]

CONNECT_S = 5.0
KEEP_ALIVE_S = 60.0
END_GRACE_S = 2.0
"""How long a body may stay open after its answer said its end, as a load worker allows it."""
UNREAD_BYTES_MAX = 256 * 1024
"""A body nobody has begun to read stops arriving here."""


class HttpError(Exception):
    """No connection, a connection that closed too early, or bytes that are no HTTP."""


class HttpClient:
    """Keeps connections alive, per origin. TLS with the system's certificates.

    Args:
        read_timeout_s: longest silence of a server that owes us an answer.
    """

    def __init__(self, read_timeout_s: float) -> None:
        self._read_timeout_s = read_timeout_s
        self._idle: dict[Origin, list[Connection]] = {}
        self._ending: set[Connection] = set()  # their answers are over, and their bodies are not
        self._tls: ssl.SSLContext | None = None

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Connection:
        """Send a request and wait for the head of its response; use the result as a context, then it is given back.

        Args:
            url: absolute and percent-encoded; its path is sent as it stands.
        Raises:
            HttpError: no connection could be made, or it closed without an answer.
            TimeoutError: the connection stands, and no answer came in time.
        """
        scheme, _, rest = url.partition("://")
        host, slash, path = rest.partition("/")
        connection = self._kept((scheme, host)) or await self._connect((scheme, host))
        try:
            await connection.send(_request(host, slash + path, headers, body))
        except BaseException:
            connection.abort()
            raise
        return connection

    async def close(self) -> None:
        """Close the idle connections."""
        for connections in self._idle.values():
            for connection in connections:
                connection.abort()
        self._idle.clear()
        for connection in list(self._ending):
            connection.abort()

    def await_end(self, connection: Connection) -> None:
        """Take a connection whose answer is over: `keep` gets it when its body has ended."""
        self._ending.add(connection)

    def forget(self, connection: Connection) -> None:
        """A connection's body is waited for no longer."""
        self._ending.discard(connection)

    def __contains__(self, connection: Connection) -> bool:
        """Whether a connection's body is waited for, and nothing else of it."""
        return connection in self._ending

    def keep(self, connection: Connection) -> None:
        """Take a connection back whose response has been read to its end."""
        kept = self._idle.setdefault(connection.origin, [])
        kept.append(connection)
        while kept[0].too_old:
            kept.pop(0).abort()

    def _kept(self, origin: Origin) -> Connection | None:
        kept = self._idle.get(origin)
        while kept:
            connection = kept.pop()  # the one used last: the others may grow old and close
            if connection.usable:
                return connection
            connection.abort()
        return None

    async def _connect(self, origin: Origin) -> Connection:
        scheme, netloc = origin
        host, _, port = netloc.rpartition(":") if not netloc.endswith("]") and ":" in netloc else (netloc, "", "")
        if scheme == "https" and self._tls is None:
            self._tls = ssl.create_default_context()
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_S):
                _, connection = await loop.create_connection(
                    lambda: Connection(self, origin, loop, self._read_timeout_s),
                    host.strip("[]"),
                    int(port) if port else 443 if scheme == "https" else 80,
                    ssl=self._tls if scheme == "https" else None,
                )
        except TimeoutError:
            raise HttpError(f"no connection to {netloc} within {CONNECT_S:g} s") from None
        except OSError as error:
            raise HttpError(f"no connection to {netloc}: {error}") from None
        return connection


class Connection(asyncio.Protocol):
    """One connection, and the response that is on it: `status` and `headers` (lower-case names) once `send` returns."""

    def __init__(
        self, client: HttpClient, origin: Origin, loop: asyncio.AbstractEventLoop, read_timeout_s: float
    ) -> None:
        self.origin = origin
        self._client = client
        self._loop = loop
        self._read_timeout_s = read_timeout_s
        self._transport: asyncio.Transport
        self._watch: asyncio.TimerHandle | None = None
        self._grace: asyncio.TimerHandle | None = None  # until an answer that said its end is over
        self._lost = False
        self._begin()

    def _begin(self) -> None:
        self._response = http_response.ResponseReader()
        self.status = 0
        self.headers: dict[str, str] = {}
        self._complete = False
        self._finished = False
        self._error: Exception | None = None  # of the connection
        self._broken: Exception | None = None  # of what it carried
        self._whole = False
        self._parts: deque[bytes] = deque()
        self._unread_bytes = 0
        self._decode: Decode | None = None
        self._take: Take | None = None
        self._texts: Iterator[str] = iter(())
        self._waiting: Awaitable[None] | None = None
        self._paused = False
        self._waker: asyncio.Future[None] | None = None
        self._heard_s = self._loop.time()

    # --- what the caller does

    async def send(self, request: bytes) -> None:
        """Write a request and wait for the head of its response."""
        if self._response.begun:
            self._response.close()
            self._begin()
        self._heard_s = self._loop.time()
        self._watch = self._loop.call_later(self._read_timeout_s, self._look)
        self._transport.write(request)
        while not self._response.has_head:
            await self._something()

    async def read(self) -> bytes:
        """The whole body, but for what exceeds `UNREAD_BYTES_MAX`."""
        self._whole = True
        self._resume()
        while not self._complete:
            await self._something()
        return b"".join(self._parts)

    async def stream(self, decode: Decode, take: Take) -> None:
        """Hand on the body's texts as they arrive, until its end. What `decode` and `take` raise is raised here."""
        self._decode, self._take = decode, take
        while True:
            if self._waiting is None:
                self._pump()
            if self._broken is not None:
                raise self._broken
            if self._waiting is not None:
                await self._waiting
                self._waiting = None
                continue
            if self._complete or self._finished:
                return
            self._resume()
            await self._something()

    def end_said(self) -> None:
        """The answer said its end, and usage may follow: `finish` in a while, or when the connection is closed."""
        if self._grace is None:
            self._grace = self._loop.call_later(END_GRACE_S, self.finish)

    def finish(self) -> None:
        """The rest of the body is of no interest: `stream` returns as if it had ended here."""
        self._finished = True
        self._take = None
        self._parts.clear()
        self._wake()

    async def __aenter__(self) -> Connection:
        """The response is being read."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        """Keep the connection if its response was read to the end, soon if only its answer was; else close it."""
        self._take = None
        if kind is not None or self._lost or not (self._complete or self._finished):
            self.abort()
            return
        self._cancel()
        if self._complete:
            self._keep()
        else:
            self._resume()
            self._grace = self._loop.call_later(END_GRACE_S, self.abort)
            self._client.await_end(self)

    def _keep(self) -> None:
        """The body has ended: the connection is of use again, if the server says so."""
        self._client.forget(self)
        if self._response.keep_alive:
            self._client.keep(self)
        else:
            self.abort()

    def _cancel(self) -> None:
        """Wait for nothing."""
        for handle in (self._watch, self._grace):
            if handle is not None:
                handle.cancel()
        self._watch = self._grace = None

    def abort(self) -> None:
        """Close at once; nothing more is heard."""
        self._take = None
        if isinstance(self._waiting, Coroutine):
            self._waiting.close()  # if its turn ended before it was awaited
        self._cancel()
        self._client.forget(self)
        self._transport.abort()

    @property
    def usable(self) -> bool:
        """It still stands, and is young enough that the other side should not be about to close it."""
        return not (self._lost or self._transport.is_closing() or self.too_old)

    @property
    def too_old(self) -> bool:
        """Nothing was heard for as long as an idle connection is kept."""
        return self._loop.time() - self._heard_s > KEEP_ALIVE_S

    # --- what the transport and the parser say

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is of another class

    def data_received(self, data: bytes) -> None:
        """Bytes of a response; with none owed, the connection can be trusted no more."""
        if self._complete:
            self._transport.abort()
            return
        self._heard_s = self._loop.time()
        response, had_head = self._response, bool(self.status)
        error: Exception | None = None
        try:
            response.feed(data)
        except http_response.MALFORMED as malformed:
            error = HttpError(f"no HTTP: {malformed}")
        if response.has_head and not had_head:
            self._on_head()
        if response.body:
            self._on_body(response.take_body())
        if response.complete and not self._complete:
            self._complete = True
            self._wake()
            if self in self._client:
                self._cancel()
                self._keep()
        if error is not None:
            self._fail(error)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone; a body without a length ends so, any other is cut."""
        self._lost = True
        if self in self._client:
            self.abort()
        elif self._grace is not None:
            self.finish()
        elif self._response.ends_at_close():
            self._complete = True
            self._wake()
        else:
            self._fail(HttpError(f"the connection was closed{f': {exc}' if exc else ''}"))

    def _on_head(self) -> None:
        self.status = self._response.status
        self.headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in self._response.headers.items()
        }
        self._wake()

    def _on_body(self, body: bytes) -> None:
        if self._take is not None and self._waiting is None:
            self._parts.append(body)
            self._pump()
        elif self._unread_bytes <= UNREAD_BYTES_MAX and not self._finished:
            self._parts.append(body)
            self._unread_bytes += len(body)
            if self._unread_bytes > UNREAD_BYTES_MAX and not self._whole:
                self._pause()

    # --- between both

    def _pump(self) -> None:
        """Take apart what has come, until the taker asks to be waited for."""
        decode, take = self._decode, self._take
        if decode is None or take is None:
            return
        try:
            while True:
                for text in self._texts:
                    self._waiting = take(text)
                    if self._waiting is not None:
                        self._pause()
                        self._wake()
                        return
                if not self._parts:
                    self._unread_bytes = 0
                    return
                self._texts = decode(self._parts.popleft())
        except Exception as error:
            self._take = None
            self._broken = error
            self._wake()

    async def _something(self) -> None:
        """Wait for news, or raise what ended the connection: all that came before it has been handed on."""
        if self._error is not None:
            raise self._error
        self._waker = self._loop.create_future()
        try:
            await self._waker
        finally:
            self._waker = None

    def _wake(self) -> None:
        if self._waker is not None and not self._waker.done():
            self._waker.set_result(None)

    def _fail(self, error: Exception) -> None:
        if self._error is None and not self._complete:
            self._error = error
            self._wake()

    def _look(self) -> None:
        """End a response that has been silent for too long; our own waiting for a reader is not its silence."""
        if self._waiting is not None or self._paused:
            self._heard_s = self._loop.time()
        left_s = self._heard_s + self._read_timeout_s - self._loop.time()
        if left_s > 0:
            self._watch = self._loop.call_later(left_s, self._look)
        else:
            self._fail(TimeoutError("the server is silent"))

    def _pause(self) -> None:
        if not self._paused and not self._lost and not self._transport.is_closing():
            self._paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._paused and not self._lost and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()


def _request(host: str, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """A request's bytes.

    Raises:
        ValueError: a header that would not be one line.
    """
    sent = {"Host": host, "Accept": "*/*", "User-Agent": "peakday", **headers, "Content-Length": str(len(body))}
    lines = [f"{name}: {value}" for name, value in sent.items()]
    if any("\n" in line or "\r" in line for line in lines):
        raise ValueError("a header holds a line break")
    return "\r\n".join((f"POST {path or '/'} HTTP/1.1", *lines, "\r\n")).encode("latin-1") + body
