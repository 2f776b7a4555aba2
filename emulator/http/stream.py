"""One answer on its way out: what is still to be sent, and how late each part of it was."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from emulator.http.outbox import Outbox
from emulator.lateness import Lateness

_FOLD_AT = 2_000  # some 0.1 ms of work at once


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
    """An answer as bytes. `units` are what one token, or one chunk of them, adds, each between `before` and `after`.

    `head` opens the body; `tail(now)` closes it, and is called when the last unit is due. An answer that does not
    stream has one empty unit, is not chunked, and its tail is the whole response.
    """

    http_head: bytes
    head: bytes
    units: Sequence[bytes]
    tail: Callable[[float], bytes]
    before: bytes = b""
    after: bytes = b""
    chunked: bool = True


@dataclass
class Breakage:
    """A fault inside a stream: after unit `at`, send `last` (if any) and end, or cut the connection."""

    at: int
    last: bytes | None = None
    cut: bool = False


class Stream:
    """Sends units as they fall due. The physics call `push` with how many are due by now, and when they were."""

    __slots__ = (
        "__weakref__", "_around", "_breakage", "_edge", "_lateness", "_outbox", "_sender", "_wire", "arrived_late_s",
        "blocked", "done", "first_due_s", "first_sent_s", "gap_s_max", "last_due_s", "last_sent_s", "late_s", "on_end",
        "on_first", "pushed", "received_s", "sent", "total", "write",
    )  # fmt: skip

    def __init__(self, sender: Sender, wire: Wire, lateness: Lateness, outbox: Outbox, received_s: float) -> None:
        self._sender = sender
        self.write: Callable[[bytes], None] = sender.send
        self._wire = wire
        self._lateness = lateness
        self.late_s = lateness.token_late_s
        self._outbox = outbox
        self._around = len(wire.before) + len(wire.after)
        self.received_s = received_s
        self.arrived_late_s = 0.0  # how much later than due the engine was told of it
        self.total = self._edge = len(wire.units)
        self._breakage: Breakage | None = None
        self.pushed = self.sent = 0
        self.first_due_s = self.first_sent_s = self.last_due_s = self.last_sent_s = 0.0
        self.gap_s_max = 0.0
        self.done = self.blocked = False
        self.on_first: Callable[[float], None] = _ignore
        self.on_end: Callable[[str], None] = _ignore

    def break_by(self, breakage: Breakage) -> None:
        """Have a fault end the stream."""
        self._breakage, self._edge = breakage, breakage.at + 1

    def push(self, due_units: int, due_s: float) -> None:
        """Units up to `due_units` are due; `due_s` is when the first unsent one was. They go into the outbox."""
        self.pushed = due_units
        if self.done or self.blocked:  # blocked: the reader does not keep up, which is no lateness of ours
            return
        sent = self.sent
        if sent == 0:
            self._outbox.put_first((self, due_units, due_s))
            return
        if due_units >= self._edge:
            self._outbox.put((self, None, due_units, due_s))
            return
        if due_units == sent + 1:
            unit, wire = self._wire.units[sent], self._wire
            data = b"%x\r\n%b%b%b\r\n" % (self._around + len(unit), wire.before, unit, wire.after)
        else:
            data = _chunk(self._rendered(sent, due_units), last=False)
        self._outbox.put((self, data, due_units - sent, due_s))
        self.sent = due_units

    def push_an_end(self, due_units: int, due_s: float) -> None:
        """Send, at once, what is due at the first unit, the last, and where a fault strikes."""
        if self.done:
            return
        now_s = time.monotonic()
        if self._breakage is not None and due_units > self._breakage.at:
            self._break(self._breakage)
            return
        wire, first, last = self._wire, self.sent == 0, due_units >= self.total
        data = self._rendered(self.sent, due_units)
        if first:
            data = wire.head + data
        if last:
            data += wire.tail(now_s)
        if wire.chunked:
            data = _chunk(data, last)
        self.write(wire.http_head + data if first else data)
        if first:
            self._measure_first(due_units, due_s, now_s)
        else:
            self._measure(due_units, due_s, now_s)
        if last:
            self._end("ok", reusable=True)

    def _rendered(self, start: int, stop: int) -> bytes:
        wire = self._wire
        if not wire.before:
            return b"".join(wire.units[start:stop])
        return wire.before + (wire.after + wire.before).join(wire.units[start:stop]) + wire.after

    def resume(self) -> None:
        """The reader has caught up."""
        self.blocked = False
        if self.pushed > self.sent:
            self.push(self.pushed, time.monotonic())
            self._outbox.flush()

    def abandon(self) -> None:
        """The client went away."""
        self._end("aborted", reusable=False)

    def _measure_first(self, due_units: int, due_s: float, now_s: float) -> None:
        self._lateness.first.add(max(0.0, now_s - due_s) + self.arrived_late_s)
        self._lateness.ttft.add(due_s - self.received_s)
        self.first_due_s, self.first_sent_s = due_s, now_s
        self.sent, self.last_sent_s, self.last_due_s = due_units, now_s, due_s
        self.on_first(now_s)

    def _measure(self, due_units: int, due_s: float, now_s: float) -> None:
        self.late_s.extend([now_s - due_s] * (due_units - self.sent))
        self.gap_s_max = max(self.gap_s_max, now_s - self.last_sent_s)
        self.sent, self.last_sent_s, self.last_due_s = due_units, now_s, due_s

    def _break(self, fault: Breakage) -> None:
        if self.sent == 0 and self._wire.chunked:
            self.write(self._wire.http_head + _chunk(self._wire.head, last=False))
        if fault.at > self.sent:
            self.write(_chunk(self._rendered(self.sent, fault.at), last=False))
            self.sent = fault.at
        if fault.last is not None:
            self.write(_chunk(fault.last, last=True))
        self._end("broken", reusable=False)
        if fault.cut:
            self._sender.cut()

    def _end(self, status: str, reusable: bool) -> None:
        if self.done:
            return
        self.done = True
        if self.sent > 1:
            self._lateness.gap.add((self.last_due_s - self.first_due_s) / (self.sent - 1), self.sent - 1)
        if len(self.late_s) > _FOLD_AT:
            self._lateness.fold()
        on_end, self.on_end, self.on_first = self.on_end, _ignore, _ignore
        on_end(status)
        if status != "aborted":
            self._sender.finish(reusable)


def _ignore(_: object) -> None:
    """Callbacks that ran: they hold the stream, which holds them no longer, so it is freed at once."""


def _chunk(data: bytes, last: bool) -> bytes:
    """One HTTP chunk, and the closing empty one after the last."""
    body = b"%x\r\n%b\r\n" % (len(data), data) if data else b""
    return body + b"0\r\n\r\n" if last else body
