"""One timer for everything that is due, and one outbox that what is due fills.

Due times are absolute on CLOCK_MONOTONIC, never chained sleeps. Acts that may touch one another (an engine's steps and
its arrivals) run in exact order, from a heap. A stream on a schedule touches nobody: its acts are kept by the
millisecond they fall due in and run at its end, which costs no sorting. What all of them have to send then goes out in
one tight loop (docs/decisions/007 has why).
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import math
import time
from collections.abc import Callable
from itertools import count
from typing import Protocol

from emulator.http.outbox import Outbox

log = logging.getLogger("emulator")

Act = Callable[[float], float | None]
"""Called with the time it was due; returns when it is due next, or None when done."""

_TICKS_PER_S = 1000
_ACTS_PER_FIRE = 256  # then the sockets get their turn
_READING_S = 0.002  # their turn: so long between two fires while requests wait to be read


class Scheduler(Protocol):
    """Calls acts when they are due: the `Pacer`, or virtual time in a test."""

    def at(self, due_s: float, act: Act) -> None:
        """Have `act` called at `due_s`, in exact order of due times."""

    def pace(self, due_s: float, act: Act) -> None:
        """Have `act` called at the end of the millisecond of `due_s`; for acts that touch nobody else's."""


class Pacer:
    """Calls each act when its time has come; how late its bytes went out is for the outbox to measure."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Callable[[], float] = time.monotonic) -> None:
        self.outbox = Outbox(clock)
        self._failures = 0
        self._loop = loop
        self._clock = clock
        self._heap: list[tuple[float, int, Act]] = []
        self._order = count()
        self._wheel: dict[int, list[tuple[float, Act]]] = {}  # by the tick that ends the millisecond
        self._ticks: list[int] = []  # a heap: the keys of the wheel
        self._timer: asyncio.Handle | None = None
        self._armed_s = math.inf
        self._fired_s = -math.inf

    @property
    def failures(self) -> int:
        """Acts and streams that failed, were logged, and were dropped."""
        return self._failures + self.outbox.failures

    def at(self, due_s: float, act: Act) -> None:
        """Have `act` called at `due_s`; a time that has passed means as soon as possible."""
        heapq.heappush(self._heap, (due_s, next(self._order), act))
        if due_s < self._armed_s:
            self._arm()

    def pace(self, due_s: float, act: Act) -> None:
        """Have `act` called at the end of the millisecond of `due_s`."""
        self._turn(math.ceil(due_s * _TICKS_PER_S), due_s, act)
        if due_s < self._armed_s:
            self._arm()

    def catch_up(self) -> None:
        """Call what is due now: between requests of a burst, so that arrivals hardly hold up what is due.

        Nor may due answers keep arrivals unread for good: reading has had its share when this does anything.
        """
        now_s = self._clock()
        if now_s - self._fired_s >= _READING_S and self._armed_s > -math.inf and self._next_s() <= now_s:
            if self._timer is not None:
                self._timer.cancel()
            self._fire()

    def _turn(self, tick: int, due_s: float, act: Act) -> None:
        found = self._wheel.get(tick)
        if found is None:
            self._wheel[tick] = [(due_s, act)]
            heapq.heappush(self._ticks, tick)
        else:
            found.append((due_s, act))

    def _next_s(self) -> float:
        heap_s = self._heap[0][0] if self._heap else math.inf
        return min(heap_s, self._ticks[0] / _TICKS_PER_S) if self._ticks else heap_s

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._armed_s = self._next_s()
        wait_s = self._armed_s - self._clock()
        if wait_s <= 0:
            self._timer = self._loop.call_soon(self._fire)
        else:  # libuv counts whole milliseconds: rounding up wakes once, late by < 1 ms, instead of spinning
            self._timer = self._loop.call_later(math.ceil(wait_s * 1000) / 1000, self._fire)

    def _fire(self) -> None:
        self._timer = None
        self._armed_s = -math.inf  # acts that call `at` must not arm; the end of this method does
        self._run_heap()
        self._run_wheel()
        self.outbox.flush()
        self._fired_s = self._clock()
        self._armed_s = math.inf
        if self._heap or self._ticks:
            self._arm()

    def _run_heap(self) -> None:
        heap, clock = self._heap, self._clock
        for _ in range(_ACTS_PER_FIRE):
            if not heap or heap[0][0] > clock():
                break
            due_s, order, act = heapq.heappop(heap)
            try:
                next_s = act(due_s)
            except Exception:
                self._dropped()
                continue
            if next_s is not None:
                heapq.heappush(heap, (next_s, order, act))

    def _run_wheel(self) -> None:
        ticks, turn, ceil = self._ticks, self._turn, math.ceil
        left = _ACTS_PER_FIRE
        while left > 0 and ticks and ticks[0] <= self._clock() * _TICKS_PER_S:
            acts = self._wheel.pop(heapq.heappop(ticks))
            left -= len(acts)
            for due_s, act in acts:
                try:
                    next_s = act(due_s)
                except Exception:
                    self._dropped()
                    continue
                if next_s is not None:
                    turn(ceil(next_s * _TICKS_PER_S), next_s, act)

    def _dropped(self) -> None:
        self._failures += 1
        log.exception("an act failed and was dropped")
