"""Server-sent events: bytes in any split -> events. Source: WHATWG HTML, section 9.2 (event stream interpretation)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SseEvent:
    """One dispatched event; `event` is `message` when the stream named none. `data` lines are joined by LF."""

    event: str
    data: bytes


LINE_BYTES_MAX = 4 * 1024 * 1024
"""A line that is longer is no event but an attack on our memory, and on our time: it is joined anew by every read."""


class SseError(ValueError):
    """A stream that cannot be one of events."""


class SseParser:
    """Incremental parser. Lines may end in LF, CR or CRLF, and a chunk may end anywhere, also inside CRLF.

    A CR ends its line at once: an event of bare CRs is dispatched with its last byte, not with the next event's first.

    A field `error`, which the standard does not know, is an event of that name: llama.cpp's server fails so.
    """

    def __init__(self, *, bare: bool = False) -> None:
        """`bare`: an event that has a name and no data is one too, against the standard; some servers end so."""
        self._bare = bare
        self._tail = b""
        self._event = ""
        self._data: list[bytes] = []
        self._started = False
        self._after_cr = False

    def feed(self, data: bytes) -> list[SseEvent]:
        """Events completed by these bytes, in order.

        Raises:
            SseError: a line longer than `LINE_BYTES_MAX`.
        """
        if self._after_cr and data:
            data = data.removeprefix(b"\n")  # the second half of a CRLF whose first half ended the line
            self._after_cr = False
        data = self._tail + data
        if not self._started and data:
            if b"\xef\xbb\xbf".startswith(data) and len(data) < 3:
                self._tail = data  # perhaps a byte order mark: wait for the rest of it
                return []
            data = data.removeprefix(b"\xef\xbb\xbf")
            self._started = True
        self._after_cr = data.endswith(b"\r")
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, rest = data.split(b"\n")
        self._tail = rest
        if len(rest) > LINE_BYTES_MAX:
            raise SseError(f"a line of more than {LINE_BYTES_MAX >> 20} MiB")
        return [event for line in lines if (event := self._line(line)) is not None]

    def _line(self, line: bytes) -> SseEvent | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
        elif name == b"event":
            self._event = value.decode("utf-8", "replace")
        elif name == b"error" and value:
            self._event = "error"
            self._data.append(value)
        return None

    def _dispatch(self) -> SseEvent | None:
        known = self._data or (self._bare and self._event)
        event = SseEvent(self._event or "message", b"\n".join(self._data)) if known else None
        self._event = ""
        self._data = []
        return event


def encode(event: str, data: bytes) -> bytes:
    """One event as bytes; `data` must hold no line break (compact JSON never does)."""
    return b"event: " + event.encode() + b"\ndata: " + data + b"\n\n"
