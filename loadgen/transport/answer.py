"""Answer: one request and what came back, with the times that matter. Readers of each wire format derive from it."""

from __future__ import annotations

import contextlib
from array import array
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from host.redaction import shown_url
from wire.html_text import is_page, page_words
from wire.http_response import retry_after
from wire.json_values import JsonStreamError
from wire.openai_stream import StreamEventError
from wire.sse import LINE_BYTES_MAX, SseError, SseParser

_ERROR_BODY_BYTES = 4096
CODE_LENGTH_MAX = 100
"""Characters of an error code: it is a label, counted by its text."""
SAMPLE_LENGTH_MAX = 300
"""Characters that are kept of what a target said of an error."""
THROTTLED_STATUS = 429
GRPC = b"application/grpc"
COMPRESSED = "it compressed the answer, which was not asked for and hides its times: turn that off for this path"
UNSPOKEN = "it answers in gRPC, which no target reads: put a front that speaks HTTP and JSON before it"


HTML = b"text/html"
A_PAGE = "a page of HTML in place of an answer; does it ask to log in, or is the path another's? "
RETRY_AFTER = "retry after"


class BadAnswer(ValueError):
    """An answer that cannot be what the target's kind allows: the target's fault, which ends one turn."""


END_GRACE_S = 2.0
"""How long a body may stay open after an answer said its end. Within it the last chunk of a busy server or of a lossy
network comes, and usage that some servers send behind their end. A choice of ours."""

UNREADABLE = (BadAnswer, orjson.JSONDecodeError, StreamEventError, SseError, JsonStreamError)
"""What a reader raises of bytes that are no answer of its kind: the turn is `malformed`, and the run goes on."""


Take = Callable[[int, bytes], None]
"""Takes body bytes, and when they came."""


class Answer:
    """Times are CLOCK_MONOTONIC nanoseconds, 0 = not yet.

    A reader fills `first_ns` at the first content, `last_ns` at the newest, and appends every gap between reads that
    brought content to `gaps_ns`, which all answers of a worker share.

    `said_ns` is when it last said its end, and `over` whether nothing of use can follow that; content that does is
    counted by `late_chunks` alone. `on_said(answer)` is called when it has, and the body goes on.
    """

    __slots__ = (
        "calls",
        "chunks",
        "connection",
        "cost_usd",
        "end_ns",
        "error_body",
        "error_code",
        "error_text",
        "first_ns",
        "gap_ns_max",
        "gaps_ns",
        "http_status",
        "intended_ns",
        "last_ns",
        "late_chunks",
        "meta",
        "on_end",
        "on_said",
        "output_tokens",
        "over",
        "said_ns",
        "start_ns",
        "state",
        "status",
        "tail",
        "text",
        "tools",
        "tpot_s",
        "ttfb_ns",
    )

    def __init__(self, gaps_ns: array[int], keep_text: bool = False) -> None:
        self.gaps_ns = gaps_ns
        self.state: Any = None
        self.intended_ns = self.start_ns = self.ttfb_ns = self.first_ns = self.last_ns = self.end_ns = self.said_ns = (
            self.gap_ns_max
        ) = 0
        self.chunks = self.late_chunks = 0
        self.over = False
        self.output_tokens: int | None = None
        self.tpot_s: float | None = None
        self.cost_usd: float | None = None
        self.http_status = 0
        self.status = ""  # one of record.TURN_STATUSES once it has ended
        self.error_code: str | None = None
        self.error_text = ""  # what the target said of its error, cut
        self.error_body = b""
        self.tail = b""
        self.meta: dict[str, Any] = {}  # what the target said of the turn, by column, and what later turns need
        self.calls: list[dict[str, object]] = []
        self.tools: list[dict[str, object]] = []
        self.text: list[bytes] | None = [] if keep_text else None
        self.connection: Any = None
        self.on_end: Any = None
        self.on_said: Callable[[Answer], None] | None = None

    def on_headers(self, now_ns: int, http_status: int, headers: Mapping[bytes, bytes]) -> Take:
        """Take status and headers; return what takes the body."""
        self.ttfb_ns = now_ns
        self.http_status = http_status
        if headers.get(b"x-peakday-simulated") == b"1":
            self.meta["simulated"] = True
        if 300 <= http_status < 400 and not self.good:
            where = shown_url(headers.get(b"location", b"nowhere").decode("latin-1"))
            self.error_body = f"redirects to {where}; name that address\n".encode()
        if not self.good:
            if again := retry_after(headers):
                self.meta["retry_after"] = again
            return self.refused
        encoding = headers.get(b"content-encoding", b"").strip().lower()
        if encoding not in (b"", b"identity"):
            self.refuse("http_error", "content_encoding_" + encoding.decode("ascii", "replace"), COMPRESSED)
            return self.skip
        if headers.get(b"content-type", b"").startswith(GRPC):
            self.refuse("http_error", "grpc", UNSPOKEN)
            return self.skip
        if headers.get(b"content-type", b"").lower().startswith(HTML):
            return self.unsure
        return self.feed

    @property
    def good(self) -> bool:
        """Whether the status says that an answer follows."""
        return 200 <= self.http_status < 300

    def feed(self, now_ns: int, data: bytes) -> None:
        """Read body bytes of an accepted request."""
        raise NotImplementedError

    def refused(self, now_ns: int, data: bytes) -> None:
        """Read body bytes of an error response, as far as they are of use."""
        if len(self.error_body) < _ERROR_BODY_BYTES:
            self.error_body += data

    def unsure(self, now_ns: int, data: bytes) -> None:
        """Read a body that is called HTML: a page where it begins as one, else an answer whose type nobody set."""
        if self.error_body or (not self.first_ns and is_page(data[:200].decode("utf-8", "replace"))):
            self.refused(now_ns, data)
        else:
            self.feed(now_ns, data)

    def skip(self, now_ns: int, data: bytes) -> None:
        """Body bytes that nobody can read."""

    def say_end(self, now_ns: int, *, over: bool) -> None:
        """It said its end; over: nothing of use can follow it, such as usage."""
        if not self.over:
            self.said_ns = now_ns
            self.over = over

    def complete(self, now_ns: int) -> None:
        """The response ended as HTTP says it should."""
        if not self.good:
            self.status = "throttled" if self.http_status == THROTTLED_STATUS else "http_error"
            self.error_code = refusal_code(self.http_status, self.error_body)
            again = self.meta.pop("retry_after", None)
            self.error_text = (f"{RETRY_AFTER} {again}: " if again else "") + said(self.error_body)
        elif self.error_body:
            self.refuse("http_error", "html_page", f"{A_PAGE}{said(self.error_body)}")
        elif not self.status:
            self.finish()
        self.end_ns = now_ns

    def finish(self) -> None:
        """Decide the status of a response that ended well on the wire: did it hold a whole answer?"""
        raise NotImplementedError

    def decide(self, whole: bool, code: str) -> None:
        """`ok` for a whole answer with content; one that was cut has `code`, and one without any content is `empty`."""
        if whole and self.first_ns:
            self.status, self.error_code = "ok", None
        else:
            self.status, self.error_code = "stream_error", "empty" if whole else code

    def refuse(self, status: str, code: object, text: object = "") -> None:
        """The target said, inside an accepted response, that it failed."""
        self.status = status
        self.error_code = str(code)[:CODE_LENGTH_MAX]
        self.error_text = str(text)[:SAMPLE_LENGTH_MAX]

    def fail(self, now_ns: int, status: str, code: str, text: str = "") -> None:
        """The response will not come, or no further."""
        self.end_ns = now_ns
        self.status = status
        self.error_code = code
        self.error_text = text[:SAMPLE_LENGTH_MAX]

    def time_per_token_s(self, tokens: int | None, first_ns: int) -> float | None:
        """TPOT of an answer, or of its last call: None below two tokens, and where all of it came in one read."""
        if tokens is None or tokens < 2 or not 0 < first_ns < self.last_ns:
            return None
        return (self.last_ns - first_ns) * 1e-9 / (tokens - 1)

    def full_text(self) -> str:
        """The answer's text, where it was kept."""
        return b"".join(self.text or []).decode("utf-8", "replace")

    def content(self, now_ns: int, chunks: int) -> None:
        """Note content that arrived now."""
        if self.over:
            self.late_chunks += chunks
            return
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
    """Keeps the whole body, and the headers."""

    __slots__ = ("body", "headers")

    def __init__(self) -> None:
        super().__init__(array("q"))
        self.body: list[bytes] = []
        self.headers: Mapping[bytes, bytes] = {}

    def on_headers(self, now_ns: int, http_status: int, headers: Mapping[bytes, bytes]) -> Take:
        """Keep the headers."""
        self.headers = headers
        return super().on_headers(now_ns, http_status, headers)

    def feed(self, now_ns: int, data: bytes) -> None:
        """Keep it."""
        self.body.append(data)

    def finish(self) -> None:
        """A body that ended is whole."""
        self.status = "ok"


def said(body: bytes) -> str:
    """What a target said of an error, cut; of a page of HTML its words."""
    text = body.decode("utf-8", "replace")
    return (page_words(text) if is_page(text) else text)[:SAMPLE_LENGTH_MAX]


def refusal_code(http_status: int, body: bytes) -> str:
    """`429:code`, with the provider's code where the body holds one; `429` alone where it does not."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return str(http_status)
    error = parsed.get("error", parsed) if isinstance(parsed, dict) else None
    code = (error.get("code") or error.get("type") or error.get("__type")) if isinstance(error, dict) else None
    return f"{http_status}:{code}"[:CODE_LENGTH_MAX] if code and str(code) != str(http_status) else str(http_status)


def as_event(rest: bytes) -> bytes:
    """What a body ends with, as an event: a server that was asked to stream and answered with one JSON did not."""
    return b"data: " + b" ".join(rest.split(b"\n")) if rest.lstrip()[:1] == b"{" else rest


class SseAnswer(Answer):
    """Server-sent events.

    A block is everything up to the last blank line; what follows is kept for the next read. A server that ends its
    lines in CR or CRLF is read by the general parser throughout.
    """

    __slots__ = ("parser",)

    def __init__(self, gaps_ns: array[int], keep_text: bool = False) -> None:
        super().__init__(gaps_ns, keep_text)
        self.parser: SseParser | None = None

    def feed(self, now_ns: int, data: bytes) -> None:
        """Read body bytes."""
        if self.parser is not None:
            return self._parse(now_ns, data)
        if self.tail:
            data = self.tail + data
            self.tail = b""
        if data[-2:] != b"\n\n":
            if b"\r" in data:
                self.parser = SseParser()
                return self._parse(now_ns, data)
            end = data.rfind(b"\n\n") + 2
            if end < 2:
                if len(data) > LINE_BYTES_MAX:
                    raise SseError(f"an event of more than {LINE_BYTES_MAX >> 20} MiB")
                self.tail = data
                return None
            self.tail = data[end:]
            data = data[:end]
        if self.text is not None:
            self.text.append(data)
        return self.mixed(now_ns, data)

    def _parse(self, now_ns: int, data: bytes) -> None:
        assert self.parser is not None
        if self.text is not None:
            self.text.append(data)
        for event in self.parser.feed(data):
            self.read(now_ns, event.event, event.data)

    def complete(self, now_ns: int) -> None:
        """The body ended: an event that lacks its blank line, or a body of one JSON, is read all the same."""
        if self.good and not self.status and not self.over and (self.tail or self.parser is not None):
            rest, self.tail = as_event(self.tail), b""
            last = self.parser or SseParser()
            with contextlib.suppress(*UNREADABLE):
                for event in last.feed(rest + b"\n\n"):
                    self.read(now_ns, event.event, event.data)
            if self.text is not None:
                self.text.append(rest)
            if not self.first_ns and not self.status:
                self.error_text = said(rest)
        super().complete(now_ns)

    def mixed(self, now_ns: int, block: bytes) -> None:
        """Read whole events: count where that is enough, read each where it is not."""
        raise NotImplementedError

    def read_block(self, now_ns: int, block: bytes) -> None:
        """Read a block of one event, lines ending in LF; the usual forms do without the general parser."""
        name, data = "message", block
        if block.startswith(b"event: "):
            line, _, data = block[7:].partition(b"\n")
            name = line.decode("utf-8", "replace")
        if data.startswith(b"data: ") and data.find(b"\n") == len(data) - 2:
            self.read(now_ns, name, data[6:-2])
            return
        for event in SseParser().feed(block):
            self.read(now_ns, event.event, event.data)

    def read(self, now_ns: int, name: str, data: bytes) -> None:
        """Read one event."""
        raise NotImplementedError
