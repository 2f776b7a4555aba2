"""Server-sent events: bytes in any split -> events. Source: WHATWG HTML, section 9.2 (event stream interpretation)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SseEvent:
    """One dispatched event; `event` is `message` when the stream named none. `data` lines are joined by LF."""

    event: str
    data: bytes


class SseParser:
    """Incremental parser. Lines may end in LF, CR or CRLF, and a chunk may end anywhere, also inside CRLF."""

    def __init__(self) -> None:
        self._tail = b""
        self._event = ""
        self._data: list[bytes] = []
        self._started = False

    def feed(self, data: bytes) -> list[SseEvent]:
        """Events completed by these bytes, in order."""
        data = self._tail + data
        if not self._started and data:
            if b"\xef\xbb\xbf".startswith(data) and len(data) < 3:
                self._tail = data  # perhaps a byte order mark: wait for the rest of it
                return []
            data = data.removeprefix(b"\xef\xbb\xbf")
            self._started = True
        # A CR at the very end may be the first half of CRLF: keep it until the next byte is known.
        held = b"\r" if data.endswith(b"\r") else b""
        body = data[: len(data) - len(held)]
        if b"\r" in body:
            body = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, rest = body.split(b"\n")
        self._tail = rest + held
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
        return None

    def _dispatch(self) -> SseEvent | None:
        event = SseEvent(self._event or "message", b"\n".join(self._data)) if self._data else None
        self._event = ""
        self._data = []
        return event


def encode(event: str, data: bytes) -> bytes:
    """One event as bytes; `data` must hold no line break (compact JSON never does)."""
    return b"event: " + event.encode() + b"\ndata: " + data + b"\n\n"
