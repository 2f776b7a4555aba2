"""Answer: one request and what came back, with the times that matter. Readers of each wire format derive from it."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import Any

import orjson

from wire.sse import SseEvent, SseParser

_ERROR_BODY_BYTES = 4096
THROTTLED_STATUS = 429


class BadAnswer(ValueError):
    """An answer that cannot be what the target's kind promises: the target's fault, which ends one turn."""


class Answer:
    """Times are CLOCK_MONOTONIC nanoseconds, 0 = not yet.

    A reader fills `first_ns` at the first content, `last_ns` at the newest, and appends every gap between reads that
    brought content to `gaps_ns`, which all answers of a worker share.
    """

    __slots__ = (
        "calls",
        "chunks",
        "connection",
        "cost_usd",
        "end_ns",
        "error_body",
        "error_code",
        "first_ns",
        "gap_ns_max",
        "gaps_ns",
        "http_status",
        "intended_ns",
        "last_ns",
        "meta",
        "on_end",
        "output_tokens",
        "start_ns",
        "status",
        "tail",
        "text",
        "tools",
        "tpot_s",
        "ttfb_ns",
        "visit",
    )

    def __init__(self, gaps_ns: array[int], keep_text: bool = False) -> None:
        self.gaps_ns = gaps_ns
        self.visit: Any = None
        self.intended_ns = self.start_ns = self.ttfb_ns = self.first_ns = self.last_ns = self.end_ns = (
            self.gap_ns_max
        ) = 0
        self.chunks = 0
        self.output_tokens: int | None = None
        self.tpot_s: float | None = None
        self.cost_usd: float | None = None
        self.http_status = 0
        self.status = ""  # one of record.TURN_STATUSES once it has ended
        self.error_code: str | None = None
        self.error_body = b""
        self.tail = b""
        self.meta: dict[str, Any] = {}
        self.calls: list[dict[str, Any]] = []
        self.tools: list[dict[str, Any]] = []
        self.text: list[bytes] | None = [] if keep_text else None
        self.connection: Any = None
        self.on_end: Any = None

    def on_headers(self, now_ns: int, http_status: int, headers: Mapping[bytes, bytes]) -> Any:
        """Take status and headers; return the function that takes body bytes, `(now_ns, data)`."""
        self.ttfb_ns = now_ns
        self.http_status = http_status
        if headers.get(b"x-peakday-simulated") == b"1":
            self.meta["simulated"] = True
        if http_status != 200:
            return self.refused
        if headers.get(b"content-encoding", b"identity") != b"identity":
            self.status = "http_error"
            self.error_code = "content_encoding_" + headers[b"content-encoding"].decode("ascii", "replace")
            return self.skip
        return self.feed

    def feed(self, now_ns: int, data: bytes) -> None:
        """Read body bytes of an accepted request."""
        raise NotImplementedError

    def refused(self, now_ns: int, data: bytes) -> None:
        """Read body bytes of an error response, as far as they are of use."""
        if len(self.error_body) < _ERROR_BODY_BYTES:
            self.error_body += data

    def skip(self, now_ns: int, data: bytes) -> None:
        """Body bytes that nobody can read."""

    def complete(self, now_ns: int) -> None:
        """The response ended as HTTP says it should."""
        if self.http_status != 200:
            self.status = "throttled" if self.http_status == THROTTLED_STATUS else "http_error"
            self.error_code = refusal_code(self.http_status, self.error_body)
        elif not self.status:
            self.finish()
        self.end_ns = now_ns

    def finish(self) -> None:
        """Decide the status of a response that ended well on the wire: did it hold a whole answer?"""
        raise NotImplementedError

    def fail(self, now_ns: int, status: str, code: str) -> None:
        """The response will not come, or no further."""
        self.end_ns = now_ns
        self.status = status
        self.error_code = code

    def said(self) -> str:
        """The answer's text, where it was kept."""
        return b"".join(self.text or []).decode("utf-8", "replace")

    def content(self, now_ns: int, chunks: int) -> None:
        """Note content that arrived now."""
        self.chunks += chunks
        if now_ns == self.last_ns:
            return  # the same read: no gap between what arrived together
        if self.first_ns:
            gap = now_ns - self.last_ns
            self.gaps_ns.append(gap)
            if gap > self.gap_ns_max:
                self.gap_ns_max = gap
        else:
            self.first_ns = now_ns
        self.last_ns = now_ns


class BodyAnswer(Answer):
    """Keeps the whole body."""

    __slots__ = ("body",)

    def __init__(self) -> None:
        super().__init__(array("q"))
        self.body: list[bytes] = []

    def feed(self, now_ns: int, data: bytes) -> None:
        """Keep it."""
        self.body.append(data)

    def finish(self) -> None:
        """A body that ended is whole."""
        self.status = "ok"


def refusal_code(http_status: int, body: bytes) -> str:
    """`429:code`, with the provider's code where the body holds one; `429` alone where it does not."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return str(http_status)
    error = parsed.get("error", parsed) if isinstance(parsed, dict) else None
    code = (error.get("code") or error.get("type") or error.get("__type")) if isinstance(error, dict) else None
    return f"{http_status}:{code}" if code and str(code) != str(http_status) else str(http_status)


def one_event(block: bytes) -> list[SseEvent]:
    """The event of a block that holds one, lines ending in LF; the usual forms are read without the general parser."""
    name, data = b"message", block
    if block.startswith(b"event: "):
        name, _, data = block[7:].partition(b"\n")
    if data.startswith(b"data: ") and data.find(b"\n") == len(data) - 2:
        return [SseEvent(name.decode("utf-8", "replace"), data[6:-2])]
    return SseParser().feed(block)


class SseAnswer(Answer):
    """Server-sent events. Content is counted without parsing once `counting` is set; other events are read one by one.

    A block is everything up to the last blank line; what follows is kept for the next read. A server that ends its
    lines in CR or CRLF is read by the general parser throughout.
    """

    __slots__ = ("counting", "parser")

    def __init__(self, gaps_ns: array[int], keep_text: bool = False) -> None:
        super().__init__(gaps_ns, keep_text)
        self.parser: SseParser | None = None
        self.counting = False

    def feed(self, now_ns: int, data: bytes) -> None:
        """Read body bytes; the common case, whole events of plain content, takes no parsing at all."""
        if self.parser is not None:
            return self.read(now_ns, self.parser.feed(data))
        if self.tail:
            data = self.tail + data
            self.tail = b""
        if data[-2:] != b"\n\n":
            if b"\r" in data:
                self.parser = SseParser()
                return self.read(now_ns, self.parser.feed(data))
            end = data.rfind(b"\n\n") + 2
            if end < 2:
                self.tail = data
                return None
            self.tail = data[end:]
            data = data[:end]
        if self.text is not None:
            self.text.append(data)
        end = self.plain_end(data, 0) if self.counting else 0
        if end < len(data):
            return self._mixed(now_ns, data, end)
        self.chunks += self.count(data, 0, end)  # from here on `content`, inlined: this is the hot path
        gap = now_ns - self.last_ns
        self.last_ns = now_ns
        self.gaps_ns.append(gap)
        if gap > self.gap_ns_max:
            self.gap_ns_max = gap
        return None

    def _mixed(self, now_ns: int, data: bytes, plain_end: int) -> None:
        """Read a block that holds more than content: count where that is enough, read events where it is not."""
        position = 0
        while position < len(data):
            if plain_end > position:
                self.content(now_ns, self.count(data, position, plain_end))
                position = plain_end
                continue
            event_end = data.index(b"\n\n", position) + 2
            self.read(now_ns, one_event(data[position:event_end]))
            position = event_end
            plain_end = self.plain_end(data, position) if self.counting and position < len(data) else 0

    def plain_end(self, block: bytes, start: int) -> int:
        """Where the first event from `start` on begins that is no plain content; the block's length when all are."""
        raise NotImplementedError

    def count(self, block: bytes, start: int, end: int) -> int:
        """Events of content in a piece of plain events."""
        raise NotImplementedError

    def read(self, now_ns: int, events: list[SseEvent]) -> None:
        """Read events one by one."""
        raise NotImplementedError
