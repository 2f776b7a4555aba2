"""One answer on its way out, with a fake connection."""

import gc
import weakref
from types import SimpleNamespace

import pytest

from emulator.http.outbox import Outbox
from emulator.http.stream import Breakage, Stream, Wire
from emulator.lateness import Lateness

NOW_S = 100.0
"""The clock of these streams stands still."""


@pytest.fixture(autouse=True)
def still_clock(monkeypatch):
    monkeypatch.setattr("emulator.http.stream.time", SimpleNamespace(monotonic=lambda: NOW_S))


class Wiretap:
    """A connection that keeps what it was given."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.events: list[str] = []

    def send(self, data: bytes) -> None:
        self.sent.append(data)

    def finish(self, reusable: bool) -> None:
        self.events.append(f"finished reusable={reusable}")

    def cut(self) -> None:
        self.events.append("cut")


class Pushed(Stream):
    """A stream whose outbox is flushed after every push."""

    def push(self, due_units: int, due_s: float) -> None:
        super().push(due_units, due_s)
        self._outbox.flush()


def stream(units=(b"a", b"b", b"c"), **kwargs) -> tuple[Stream, Wiretap, Lateness]:
    tap, lateness = Wiretap(), Lateness()
    wire = Wire(b"HTTP;", b"<", list(units), lambda now_s: b">", b"(", b")", **kwargs)
    return Pushed(tap, wire, lateness, Outbox(lambda: NOW_S), NOW_S), tap, lateness


def body(tap: Wiretap) -> bytes:
    """The chunked body put together; every chunk's length must hold."""
    data, found = b"".join(tap.sent).removeprefix(b"HTTP;"), b""
    while data:
        size, _, rest = data.partition(b"\r\n")
        length = int(size, 16)
        found += rest[:length]
        assert rest[length : length + 2] == b"\r\n"
        data = rest[length + 2 :]
    return found


@pytest.mark.parametrize("pushes", [(1, 2, 3), (3,), (1, 3), (2, 3)])
def test_units_come_out_whole_however_they_fall_due(pushes):
    """One at a time or several at once: the same body."""
    made, tap, _ = stream()
    for due in pushes:
        made.push(due, NOW_S)
    assert body(tap) == b"<(a)(b)(c)>"
    assert tap.events == ["finished reusable=True"]


def test_lateness_counts_every_unit_against_its_due_time():
    """The first one apart; two sent together are both counted."""
    made, _, lateness = stream()
    made.push(1, NOW_S - 0.2)
    made.push(3, NOW_S - 0.1)
    assert lateness.first.n == 1
    assert lateness.first.max_s == pytest.approx(0.2)
    assert lateness.token.n == 2
    assert lateness.token.max_s == pytest.approx(0.1)


def test_a_blocked_reader_makes_no_lateness():
    """What fell due while the reader did not keep up goes out when it resumes."""
    made, tap, lateness = stream()
    made.push(1, NOW_S)
    made.blocked = True
    made.push(3, NOW_S - 5.0)
    assert len(tap.sent) == 1
    made.resume()
    assert body(tap) == b"<(a)(b)(c)>"
    assert lateness.token.max_s == 0.0


def test_a_fault_ends_the_stream_where_it_strikes():
    """Units before it are sent, then its frame, and the connection is not used again."""
    made, tap, _ = stream()
    made.break_by(Breakage(1, last=b"!"))
    made.push(1, NOW_S)
    made.push(2, NOW_S)
    made.push(3, NOW_S)
    assert body(tap) == b"<(a)!"
    assert tap.events == ["finished reusable=False"]


def test_an_abandoned_stream_sends_nothing_more():
    """The end is told once."""
    made, tap, _ = stream()
    told: list[str] = []
    made.on_end = told.append
    made.push(1, NOW_S)
    made.abandon()
    made.push(3, NOW_S)
    assert (len(tap.sent), told) == (1, ["aborted"])


def test_a_finished_stream_is_freed_at_once():
    """No cycle is left for the garbage collector, whose pauses would make tokens late."""
    made, _, _ = stream()
    made.on_end = lambda status, made=made: made.received_s
    gone = weakref.ref(made)
    gc.disable()
    try:
        made.push(3, NOW_S)
        del made
        assert gone() is None
    finally:
        gc.enable()
