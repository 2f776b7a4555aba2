"""One answer on its way out: what is still to be sent, and how late each part of it was."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from assistant.local_models.lateness import Lateness


class Sender(Protocol):
    """Where bytes go: one HTTP connection."""

    def send(self, data: bytes) -> None:
        """Send now, or as soon as the socket takes it."""

    def finish(self, reusable: bool) -> None:
        """The response is complete; the connection may carry the next request."""

    def cut(self) -> None:
        """Break the connection off."""


@dataclass(frozen=True)
class Wire:
    """An answer as bytes. `units` are what one token, or one chunk of them, adds; `render` frames several at once.

    `head` opens the body; `tail(now)` closes it, and is called when the last unit is due. An answer that does not
    stream has one empty unit, is not chunked, and its tail is the whole response.
    """

    http_head: bytes
    head: bytes
    units: Sequence[bytes]
    render: Callable[[Sequence[bytes]], bytes]
    tail: Callable[[float], bytes]
    chunked: bool = True


@dataclass
class Breakage:
    """A fault inside a stream: after unit `at`, send `last` (if any) and end, or cut the connection."""

    at: int
    last: bytes | None = None
    cut: bool = False


class Stream:
    """Sends units as they fall due. The physics call `push` with how many are due by now, and when they were."""

    def __init__(
        self, sender: Sender, wire: Wire, lateness: Lateness, received_s: float, received_late_s: float
    ) -> None:
        self._sender = sender
        self._wire = wire
        self._lateness = lateness
        self._received_late_s = received_late_s
        self.received_s = received_s
        self.total = len(wire.units)
        self.pushed = self.sent = 0
        self.first_due_s = self.first_sent_s = self.last_sent_s = 0.0
        self.gap_s_max = 0.0
        self._last_due_s = 0.0
        self.done = False
        self.breakage: Breakage | None = None
        self.on_first: Callable[[float], None] = lambda now_s: None
        self.on_end: Callable[[str], None] = lambda status: None
        self.blocked = False

    def push(self, due_units: int, due_s: float) -> None:
        """Units up to `due_units` are due; `due_s` is when the first unsent one was. Send them."""
        if self.done:
            return
        self.pushed = due_units
        if self.blocked:  # the reader does not keep up: no lateness of ours
            return
        now_s = time.monotonic()
        if self.breakage is not None and due_units > self.breakage.at:
            self._break(now_s)
            return
        data = self._wire.render(self._wire.units[self.sent : due_units])
        if self.sent == 0:
            data = self._wire.head + data
        last = due_units >= self.total
        if last:
            data += self._wire.tail(now_s)
        if self._wire.chunked:
            data = _chunk(data, last)
        self._sender.send(self._wire.http_head + data if self.sent == 0 else data)
        self._measure(due_units, due_s, now_s)
        if last:
            self._end("ok", reusable=True)

    def resume(self) -> None:
        """The reader has caught up."""
        self.blocked = False
        if self.pushed > self.sent:
            self.push(self.pushed, time.monotonic())

    def abandon(self) -> None:
        """The client went away."""
        self._end("aborted", reusable=False)

    def _measure(self, due_units: int, due_s: float, now_s: float) -> None:
        late_s = max(0.0, now_s - due_s)
        if self.sent == 0:
            self.first_due_s, self.first_sent_s = due_s, now_s
            self._lateness.first.add(late_s + self._received_late_s)
            self._lateness.ttft.add(due_s - self.received_s)
            self.on_first(now_s)
        else:
            for _ in range(due_units - self.sent):
                self._lateness.token.add(late_s)
                self._lateness.gap.add(due_s - self._last_due_s)
            self.gap_s_max = max(self.gap_s_max, now_s - self.last_sent_s)
        self.sent, self.last_sent_s, self._last_due_s = due_units, now_s, due_s

    def _break(self, now_s: float) -> None:
        fault = self.breakage
        assert fault is not None
        if self.sent == 0 and self._wire.chunked:
            self._sender.send(self._wire.http_head + _chunk(self._wire.head, last=False))
        if fault.at > self.sent:
            self._sender.send(_chunk(self._wire.render(self._wire.units[self.sent : fault.at]), last=False))
            self.sent = fault.at
        if fault.last is not None:
            self._sender.send(_chunk(fault.last, last=True))
        self._end("broken", reusable=False)
        if fault.cut:
            self._sender.cut()

    def _end(self, status: str, reusable: bool) -> None:
        if self.done:
            return
        self.done = True
        self.on_end(status)
        if status != "aborted":
            self._sender.finish(reusable)


def _chunk(data: bytes, last: bool) -> bytes:
    """One HTTP chunk, and the closing empty one after the last."""
    body = b"%x\r\n%b\r\n" % (len(data), data) if data else b""
    return body + b"0\r\n\r\n" if last else body
