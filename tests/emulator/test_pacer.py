"""The pacer with a clock of the test's own: order, never early, and its share for reading."""

import math

from hypothesis import given
from hypothesis import strategies as st

from emulator.http.pacer import Pacer


class Loop:
    """An event loop that keeps the last timer it was given, and a clock that stands still until it is told."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.timer = None

    def clock(self) -> float:
        return self.now_s

    def call_soon(self, act):
        self.timer = (self.now_s, act)
        return self

    def call_later(self, wait_s, act):
        self.timer = (self.now_s + wait_s, act)
        return self

    def cancel(self) -> None:
        self.timer = None

    def run_until(self, end_s: float) -> None:
        while self.timer is not None and self.timer[0] <= end_s:
            due_s, act = self.timer
            self.now_s, self.timer = max(self.now_s, due_s), None
            act()
        self.now_s = end_s


def made() -> tuple[Loop, Pacer]:
    loop = Loop()
    return loop, Pacer(loop, loop.clock)


@given(st.lists(st.floats(0.0, 0.05), min_size=1, max_size=30))
def test_nothing_is_early_and_nothing_misses_its_millisecond(waits_s):
    """Each act runs after it is due, at the next whole millisecond of the timer or the one after."""
    loop, pacer = made()
    ran: list[tuple[float, float]] = []
    for wait_s in waits_s:
        pacer.pace(100.0 + wait_s, lambda due_s: ran.append((due_s, loop.now_s)))
    loop.run_until(101.0)
    assert sorted(due_s for due_s, _ in ran) == sorted(100.0 + wait_s for wait_s in waits_s)
    assert all(-1e-9 <= at_s - due_s < 0.0021 for due_s, at_s in ran)


@given(st.lists(st.floats(0.0, 0.05), min_size=2, max_size=30))
def test_acts_that_touch_one_another_run_in_exact_order(waits_s):
    """By due time, to the last bit, though the timer counts milliseconds."""
    loop, pacer = made()
    ran: list[float] = []
    for wait_s in waits_s:
        pacer.at(100.0 + wait_s, ran.append)
    loop.run_until(101.0)
    assert ran == sorted(100.0 + wait_s for wait_s in waits_s)


def test_an_act_that_returns_a_time_is_called_again_then():
    """As a stream is, for each of its tokens."""
    loop, pacer = made()
    ran: list[float] = []

    def act(due_s: float) -> float | None:
        ran.append(due_s)
        return due_s + 0.04 if len(ran) < 4 else None

    pacer.pace(100.01, act)
    loop.run_until(102.0)
    assert [round(due_s - 100.01, 6) for due_s in ran] == [0.0, 0.04, 0.08, 0.12]


def test_a_failing_act_is_counted_and_stops_nobody():
    """It is dropped; those due with it run."""
    loop, pacer = made()
    ran: list[float] = []
    for schedule in (pacer.at, pacer.pace):
        schedule(100.01, lambda due_s: math.sqrt(-1))
        schedule(100.01, ran.append)
    loop.run_until(101.0)
    assert (ran, pacer.failures) == ([100.01, 100.01], 2)


def test_reading_has_its_share_before_promises_interrupt_it():
    """Between two requests what is due goes out, but not again within 2 ms: else a busy process reads no more."""
    loop, pacer = made()
    ran: list[float] = []
    pacer.pace(100.0, ran.append)
    loop.run_until(100.0)
    pacer.pace(100.0005, ran.append)
    loop.now_s = 100.0015
    pacer.catch_up()
    assert len(ran) == 1
    loop.now_s = 100.0025
    pacer.catch_up()
    assert len(ran) == 2


class Stream:
    """A stream that keeps what is written to it."""

    def __init__(self, log: list[str], name: str) -> None:
        self.log, self.name = log, name
        self.late_s: list[float] = []
        self.last_sent_s = self.last_due_s = 100.0
        self.gap_s_max = 0.0

    def write(self, data: bytes) -> None:
        self.log.append(f"{self.name} {data.decode()}")

    def push_an_end(self, due_units: int, due_s: float) -> None:
        self.log.append(f"{self.name} end {due_units}")


def test_bytes_go_out_after_all_acts_of_a_moment_in_the_order_they_were_put():
    """Ends of streams too; each write has its lateness, and units sent together have the same."""
    loop, pacer = made()
    log: list[str] = []
    one, two = Stream(log, "one"), Stream(log, "two")
    pacer.pace(100.0101, lambda due_s: pacer.outbox.put((one, b"x", 1, due_s)) or log.append("act"))
    pacer.pace(100.0102, lambda due_s: pacer.outbox.put((two, b"y", 2, due_s)) or log.append("act"))
    pacer.pace(100.0103, lambda due_s: pacer.outbox.put((one, None, 3, due_s)) or log.append("act"))
    loop.run_until(100.5)
    assert log == ["act", "act", "act", "one x", "two y", "one end 3"]
    assert (len(one.late_s), len(two.late_s)) == (1, 2)
    assert one.gap_s_max > 0.0101


def test_first_tokens_go_out_before_later_ones():
    """Of what is due in one moment, whatever order it fell due in."""
    loop, pacer = made()
    log: list[str] = []
    old, new = Stream(log, "old"), Stream(log, "new")
    pacer.pace(100.0101, lambda due_s: pacer.outbox.put((old, b"x", 1, due_s)))
    pacer.pace(100.0102, lambda due_s: pacer.outbox.put_first((new, 1, due_s)))
    loop.run_until(100.5)
    assert log == ["new end 1", "old x"]
