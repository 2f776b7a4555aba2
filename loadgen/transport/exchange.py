"""One request and its response on a blocking connection, read by the load worker's parser.

So both take the same bytes for an answer: interim responses, a hundred headers, an end by close.
"""

from __future__ import annotations

import math
import socket
import time
from collections.abc import Iterator, Mapping

from loadgen.transport.answer import END_GRACE_S, BadAnswer
from wire.http_response import MALFORMED, ResponseError, ResponseReader

_READ_BYTES = 65_536


class Exchange:
    """Bounded in seconds, whatever keeps the connection alive, and in bytes.

    Attributes:
        status, headers: of the response (names in small letters), once `send` has returned.
        left_open: the answer had said its end, and the body was open `END_GRACE_S` later.

    Raises:
        TimeoutError: no end within the time. ConnectionError: closed before the end.
        BadAnswer: more bytes than an answer has. ResponseError: no HTTP/1.1.
    """

    def __init__(self, link: socket.socket, within_s: float, bytes_max: int) -> None:
        self._link, self._within_s, self._bytes_max = link, within_s, bytes_max
        self._deadline_s = time.monotonic() + within_s
        self._reader = ResponseReader()
        self._received = 0
        self._closed = False
        self._end_by_s = math.inf
        self.left_open = False
        self.status = 0
        self.headers: Mapping[bytes, bytes] = {}

    def send(self, request: bytes) -> None:
        """Send the request, and read the head of its response."""
        self._link.settimeout(self._within_s)
        self._link.sendall(request)
        while not self._reader.has_head:
            self._receive()
        self.status, self.headers = self._reader.status, self._reader.headers

    def header(self, name: bytes) -> str:
        """A header's value; empty without one."""
        return self.headers.get(name, b"").decode("latin-1")

    def pieces(self) -> Iterator[bytes]:
        """The body, read by read."""
        while True:
            if piece := self._reader.take_body():
                yield piece
            if self._reader.complete or self._closed:
                return
            try:
                self._receive()
            except (TimeoutError, ConnectionError) as error:
                if self._end_by_s == math.inf:
                    raise
                self.left_open = isinstance(error, TimeoutError)
                return

    def end_said(self, said: bool) -> None:
        """Whether the last of the answer was its end: its body is then waited for a while, and may be cut."""
        self._end_by_s = time.monotonic() + END_GRACE_S if said else math.inf

    def read(self, size: int) -> bytes:
        """The body, or its first bytes."""
        body = bytearray()
        for piece in self.pieces():
            body += piece
            if len(body) >= size:
                break
        return bytes(body[:size])

    def _receive(self) -> None:
        left_s = min(self._deadline_s, self._end_by_s) - time.monotonic()
        self._link.settimeout(max(left_s, 0.001))
        try:
            data = self._link.recv(_READ_BYTES) if left_s > 0 else None
        except TimeoutError:
            data = None
        if data is None:
            begun = "no end" if self._received else "no answer"
            raise TimeoutError(f"{begun} within {self._within_s:.3g} s")
        self._received += len(data)
        if self._received > self._bytes_max:
            raise BadAnswer(f"more than {self._bytes_max >> 20} MiB, and no end")
        if not data:
            if not self._reader.ends_at_close():
                raise ConnectionError("closed before its end" if self._received else "closed without an answer")
            self._closed = True
            return
        try:
            self._reader.feed(data)
        except MALFORMED as error:
            if not self._reader.complete:
                raise ResponseError(str(error)) from None
