"""A provider's latency in real time: TTFT from prompt and load, then chunks on absolute due times."""

from __future__ import annotations

import heapq
import random
import time
from dataclasses import dataclass

from emulator.http.pacer import Scheduler
from emulator.http.stream import Stream
from emulator.profiles import ProviderPhysics


@dataclass(frozen=True)
class Schedule:
    """When each chunk of one answer is due, absolute; from chunk `stall_from` on everything is `stall_s` later."""

    first_s: float
    gap_s: float
    chunks: int
    stall_from: int = 0
    stall_s: float = 0.0

    def due_s(self, chunk: int) -> float:
        """When a chunk, counted from 0, is due."""
        return self.first_s + chunk * self.gap_s + (self.stall_s if chunk >= self.stall_from else 0.0)

    def due_by(self, now_s: float, due: int) -> int:
        """How many chunks are due by now, given that at least `due` are."""
        if self.gap_s <= 0 and not self.stall_s:
            return self.chunks
        while due < self.chunks and self.due_s(due) <= now_s:
            due += 1
        return due


class Provider:
    """Serves every stream at once; what it draws depends on the seed and the order of calls only."""

    def __init__(self, physics: ProviderPhysics, pacer: Scheduler, seed: str) -> None:
        self.physics = physics
        self._pacer = pacer
        self._random = random.Random(seed)
        self.in_flight = 0
        self._free_s = [0.0] * (physics.slots or 0)  # a heap: when each slot is free

    def ttft_s(self, uncached_tokens: int, cached_tokens: int) -> float:
        """A draw of the time to first token, at the load of now."""
        physics = self.physics
        base_s = (
            physics.ttft_base_s
            + physics.ttft_per_uncached_token_s * uncached_tokens
            + physics.ttft_per_cached_token_s * cached_tokens
        )
        return base_s * self._random.lognormvariate(0.0, physics.ttft_sigma) * self._slowness()

    def gap_s(self) -> float:
        """A draw of one answer's gap between chunks, at the load of now."""
        return self.physics.gap_s * self._random.lognormvariate(0.0, self.physics.gap_sigma) * self._slowness()

    def begin_s(self, received_s: float) -> float:
        """When a request received then finds a slot: at once, or when the earliest is free."""
        return max(received_s, self._free_s[0]) if self._free_s else received_s

    def start(self, stream: Stream, schedule: Schedule, whole: bool) -> None:
        """Have `stream` sent on schedule; one that sends its answer whole gets it when its last chunk would be due."""
        self.in_flight += 1
        if self._free_s:
            heapq.heapreplace(self._free_s, schedule.due_s(schedule.chunks - 1))
        clock, due_of, first_s, gap_s = time.monotonic, schedule.due_s, schedule.first_s, schedule.gap_s
        plain_until = schedule.chunks if not schedule.stall_s else schedule.stall_from

        def act(due_s: float) -> float | None:
            due = stream.pushed + 1
            if not stream.done:
                next_s = first_s + due * gap_s if due < plain_until else due_of(due)
                if next_s <= clock():  # we are late, or nothing is paced: what is due by now goes out together
                    due = schedule.due_by(clock(), due)
                    next_s = due_of(due)
                stream.push(1 if whole else due, due_s)
                if not stream.done and stream.pushed < stream.total:
                    return next_s
            self.in_flight -= 1
            return None

        self._pacer.pace(due_of(schedule.chunks - 1 if whole else 0), act)

    def _slowness(self) -> float:
        return 1.0 + self.in_flight / self.physics.slow_at_in_flight
