"""An outbox: what is put in is sent by a thread of its own, in batches, from a bounded store; losses are counted."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")
TRIES = 3
PAUSE_S = 0.5


class Outbox(Generic[Item]):
    """A bounded store before a slow or absent receiver: putting never waits, and never raises.

    Args:
        send: sends a batch and returns how many of its parts were refused.
        kept_max: items that wait at most; one more is dropped. batch_max: items of one batch.
        every_s: how long an item waits for company.
    """

    def __init__(
        self, send: Callable[[list[Item]], int], *, kept_max: int = 2_048, batch_max: int = 128, every_s: float = 0.5
    ) -> None:
        self._send = send
        self._kept: deque[tuple[Item, int]] = deque()
        self._kept_max, self._batch_max, self._every_s = kept_max, batch_max, every_s
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)
        self.sent = 0
        self.dropped = 0

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def put(self, item: Item, parts: int = 1) -> None:
        """Take an item of so many parts, or count them as dropped where the store is full."""
        if len(self._kept) >= self._kept_max:
            self.dropped += parts
        else:
            self._kept.append((item, parts))

    def close(self, within_s: float) -> None:
        """Send what waits, for so long at most; what is left then is counted as dropped."""
        self._closing.set()
        self._thread.join(within_s)
        self.dropped += sum(parts for _, parts in list(self._kept))
        self._kept.clear()

    def _run(self) -> None:
        while not self._closing.wait(self._every_s):
            self._empty()
        self._empty()

    def _empty(self) -> None:
        while self._kept:
            batch = [self._kept.popleft() for _ in range(min(len(self._kept), self._batch_max))]
            parts = sum(count for _, count in batch)
            refused = self._tried([item for item, _ in batch], parts)
            self.sent += parts - refused
            self.dropped += refused

    def _tried(self, batch: list[Item], parts: int) -> int:
        """Parts that were lost: those the receiver refused, or all where it took none of several tries."""
        for attempt in range(TRIES):
            try:
                return min(self._send(batch), parts)
            except OSError:
                if attempt + 1 < TRIES:
                    self._closing.wait(PAUSE_S * 2**attempt)
        return parts
