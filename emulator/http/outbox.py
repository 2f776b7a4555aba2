"""What is to be sent now, gathered while acts run and then written in one tight loop.

A loop that does nothing but write keeps the reader at the other end awake: it is woken once for many tokens instead of
once for each, which is the dearer half of a send on loopback.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

log = logging.getLogger("emulator")


class Sending(Protocol):
    """A stream with something to send."""

    write: Callable[[bytes], None]
    last_sent_s: float
    last_due_s: float
    gap_s_max: float
    late_s: list[float]

    def push_an_end(self, due_units: int, due_s: float) -> None:
        """Send the first units, the last ones, or what a fault leaves of them."""


class Outbox:
    """Writes first tokens first, then the rest, each in the order of putting.

    A customer who waits for an answer to begin notices a delay that nobody sees between two later tokens.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._entries: list[tuple[Sending, bytes | None, int, float]] = []
        self._firsts: list[tuple[Sending, int, float]] = []
        self.failures = 0
        self.put = self._entries.append
        """(stream, bytes, how many units they are, when the first was due); bytes None: `push_an_end` that number."""
        self.put_first = self._firsts.append
        """(stream, how many units are due, when the first was), of a stream that has sent nothing yet."""

    def flush(self) -> None:
        """Write everything; times are taken just before each write."""
        for stream, units, due_s in self._firsts:
            self._push_an_end(stream, units, due_s)
        self._firsts.clear()
        clock, entries = self._clock, self._entries
        for stream, data, units, due_s in entries:
            if data is None:
                self._push_an_end(stream, units, due_s)
                continue
            now_s = clock()
            stream.write(data)
            late_s = now_s - due_s
            stream.late_s.append(late_s)
            if units > 1:  # sent together with an overdue one: at most as late as that
                stream.late_s.extend([late_s] * (units - 1))
            gap_s = now_s - stream.last_sent_s
            if gap_s > stream.gap_s_max:
                stream.gap_s_max = gap_s
            stream.last_sent_s, stream.last_due_s = now_s, due_s
        entries.clear()

    def _push_an_end(self, stream: Sending, units: int, due_s: float) -> None:
        try:
            stream.push_an_end(units, due_s)
        except Exception:
            self.failures += 1
            log.exception("a stream failed and was dropped")
