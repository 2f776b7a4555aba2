"""A scheduler whose clock jumps from one due time to the next: what takes minutes in real time takes none here."""

import heapq
from itertools import count


class VirtualTime:
    def __init__(self) -> None:
        self.now_s = 0.0
        self._heap: list = []
        self._order = count()

    def at(self, due_s, act) -> None:
        heapq.heappush(self._heap, (due_s, next(self._order), act))

    pace = at

    def run(self) -> None:
        """Call everything in order of time until nothing is left."""
        while self._heap:
            due_s, order, act = heapq.heappop(self._heap)
            self.now_s = max(self.now_s, due_s)
            next_s = act(due_s)
            if next_s is not None:
                heapq.heappush(self._heap, (next_s, order, act))
