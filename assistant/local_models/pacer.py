"""One timer for everything that is due: a heap of absolute times on CLOCK_MONOTONIC, never chained sleeps."""

from __future__ import annotations

import asyncio
import heapq
import logging
import math
import time
from collections.abc import Callable
from itertools import count
from typing import Protocol

log = logging.getLogger("local_models")

Act = Callable[[float], float | None]
"""Called with the time it was due; returns when it is due next, or None when done."""

_ACTS_PER_FIRE = 256  # then the sockets get their turn


class Scheduler(Protocol):
    """Calls acts when they are due: the `Pacer`, or virtual time in a test."""

    def at(self, due_s: float, act: Act) -> None:
        """Have `act` called at `due_s`."""


class Pacer:
    """Calls each act when its time has come, earliest first; how late is for the act to measure."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Callable[[], float] = time.monotonic) -> None:
        self._loop = loop
        self._clock = clock
        self._heap: list[tuple[float, int, Act]] = []
        self._order = count()
        self._timer: asyncio.Handle | None = None
        self._armed_s = math.inf
        self.failures = 0

    def at(self, due_s: float, act: Act) -> None:
        """Have `act` called at `due_s`; a time that has passed means as soon as possible."""
        heapq.heappush(self._heap, (due_s, next(self._order), act))
        if due_s < self._armed_s:
            self._arm()

    def catch_up(self) -> None:
        """Call what is due now: between requests of a burst, so that arrivals never hold up what was promised."""
        if self._heap and self._heap[0][0] <= self._clock() and self._armed_s > -math.inf:
            if self._timer is not None:
                self._timer.cancel()
            self._fire()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._armed_s = self._heap[0][0]
        wait_s = self._armed_s - self._clock()
        if wait_s <= 0:
            self._timer = self._loop.call_soon(self._fire)
        else:  # libuv counts whole milliseconds: rounding up wakes once, late by < 1 ms, instead of spinning
            self._timer = self._loop.call_later(math.ceil(wait_s * 1000) / 1000, self._fire)

    def _fire(self) -> None:
        self._timer = None
        self._armed_s = -math.inf  # acts that call `at` must not arm; the end of this method does
        heap, clock = self._heap, self._clock
        for _ in range(_ACTS_PER_FIRE):
            if not heap or heap[0][0] > clock():
                break
            due_s, order, act = heapq.heappop(heap)
            try:
                next_s = act(due_s)
            except Exception:
                self.failures += 1
                log.exception("an act failed and was dropped")
                continue
            if next_s is not None:
                heapq.heappush(heap, (next_s, order, act))
        self._armed_s = math.inf
        if heap:
            self._arm()
