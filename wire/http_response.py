"""HTTP/1.1 responses taken apart as their bytes arrive, for whoever sends one request at a time on a connection.

httptools parses. A piece of a body costs no Python frame: the parser appends it to `body` itself, and once the head is
there `feed` is the parser's own function.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import httptools

SET_COOKIE = b"set-cookie"
"""The one header that may come more than once and be no list: its values stand on a line each."""
HEAD_BYTES_MAX = 64 * 1024
"""A head that is longer is an attack on our memory."""


_AGAIN_LENGTH_MAX = 40


def retry_after(headers: Mapping[bytes, bytes]) -> str:
    """When a server asks to come back: `7 s` or `Wed, 21 Oct 2026 07:28:00 GMT`; empty where it does not say.

    Source: RFC 9110, 10.2.3; `retry-after-ms` as OpenAI's and Azure's servers send it and their clients read it.
    """
    thousandths = headers.get(b"retry-after-ms", b"").strip()
    if thousandths.isdigit() and len(thousandths) < _AGAIN_LENGTH_MAX:
        return f"{int(thousandths) / 1e3:g} s"
    text = headers.get(b"retry-after", b"").strip().decode("latin-1")[:_AGAIN_LENGTH_MAX]
    return f"{text} s" if text.isdecimal() else text


class ResponseError(ValueError):
    """Bytes that are no HTTP/1.1 response, or not one alone."""


class ResponseReader:
    """One response after the other on a connection.

    Attributes:
        feed: takes the next bytes; raises `ResponseError` or `httptools.HttpParserError`, see `MALFORMED`.
        body: pieces of the body that came, for the caller to take out.
        begun: a byte of the response has come.
        has_head: `status` and `headers` (lower-case names) are known; 100 Continue and its like are passed over.
        complete: the response has ended; `reset` makes ready for the next.
        keep_alive: the connection may carry another request.
    """

    __slots__ = (
        "_head_bytes", "_parser", "begun", "body", "complete", "feed", "has_head", "headers", "keep_alive", "on_body",
        "status",
    )  # fmt: skip

    def __init__(self) -> None:
        self.body: list[bytes] = []
        self.on_body = self.body.append  # called by httptools for every piece
        self._parser = httptools.HttpResponseParser(self)
        self.reset()

    def reset(self) -> None:
        """Make ready for the next response."""
        self.begun = self.has_head = self.complete = self.keep_alive = False
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self._head_bytes = 0
        self.feed: Callable[[bytes], None] = self._feed_head

    def close(self) -> None:
        """Forget the parser, which knows us as we know it: memory is freed without a collection."""
        self.feed = _closed
        del self._parser

    def take_body(self) -> bytes:
        """What came of the body since the last call, in one piece."""
        body = self.body
        if not body:
            return b""
        piece = body[0] if len(body) == 1 else b"".join(body)
        body.clear()
        return piece

    def ends_at_close(self) -> bool:
        """Whether a closed connection is the end of this response: it has a head, and no length."""
        return self.has_head and b"content-length" not in self.headers and b"transfer-encoding" not in self.headers

    def _feed_head(self, data: bytes) -> None:
        first = not self._head_bytes
        self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            if first and not data.startswith(_HTTP[: len(data)]):
                raise ResponseError(_spoken(data)) from None
            raise
        if not self.has_head and self._head_bytes > HEAD_BYTES_MAX:
            raise ResponseError(f"the head of the response is longer than {HEAD_BYTES_MAX} bytes")

    # --- called by httptools

    def on_message_begin(self) -> None:
        """Another response than the one that was asked for ends the connection."""
        if self.complete:
            self.keep_alive = False
            raise ResponseError("bytes after the end of the response")
        self.begun = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        name = name.lower()
        again = name == SET_COOKIE and name in self.headers
        self.headers[name] = self.headers[name] + b"\n" + value if again else value

    def on_headers_complete(self) -> None:
        """The head is there, unless it is an interim one."""
        status = self._parser.get_status_code()
        if status < 200:
            self.headers = {}
            return
        self.status = status
        self.keep_alive = self._parser.should_keep_alive()
        self.has_head = True
        self.feed = self._parser.feed_data

    def on_message_complete(self) -> None:
        """The response has ended, unless it was an interim one."""
        if self.has_head:
            self.complete = True


MALFORMED = (ResponseError, httptools.HttpParserError, httptools.HttpParserUpgrade)
"""What `feed` raises when a server's bytes are no response."""


_HTTP = b"HTTP/"
_TLS_RECORDS = (b"\x15\x03", b"\x16\x03")
"""How an alert and a handshake begin (RFC 8446, 5.1)."""
_HTTP2_SETTINGS = b"\x04"
"""The type of an HTTP/2 server's first frame (RFC 9113, 3.4), behind three bytes of its length."""


def _spoken(data: bytes) -> str:
    """What a server speaks that does not speak HTTP/1.1, by its first bytes."""
    if data.startswith(_TLS_RECORDS):
        return "it speaks TLS: name it by https://"
    if data[:1] == b"\0" and data[3:4] == _HTTP2_SETTINGS:
        return "it speaks HTTP/2 alone: put a front that speaks HTTP/1.1 before it"
    return f"no HTTP/1.1, it begins with {data[:40]!r}: is the port another service's?"


def _closed(data: bytes) -> None:
    raise ResponseError("the connection is closed")
