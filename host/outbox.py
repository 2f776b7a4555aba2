"""An outbox: what is put in is sent by a thread of its own, in batches, from a bounded store; losses are counted."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from host.fetch import FetchError

Item = TypeVar("Item")
TRIES = 3


class Outbox(Generic[Item]):
    """A bounded store before a slow or absent receiver: putting never waits, and never raises.

    Args:
        send: sends a batch and returns how many of its parts were refused; a `FetchError` says whether to try again.
        kept_max: items that wait at most; one more is dropped. batch_max: items of one batch.
        every_s: how long an item waits for company.

    Attributes:
        sent, dropped: parts that were taken, and parts that were not. why: of the last batch that met an error.
    """

    def __init__(
        self, send: Callable[[list[Item]], int], *, kept_max: int = 2_048, batch_max: int = 128, every_s: float = 0.5
    ) -> None:
        self._send = send
        self._kept: deque[tuple[Item, int]] = deque()
        self._kept_max, self._batch_max, self._every_s = kept_max, batch_max, every_s
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)
        self._lock = threading.Lock()
        self._under_way = 0  # parts of the batch that is being sent
        self._closed = False
        self.sent = 0
        self.dropped = 0
        self.why = ""

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def put(self, item: Item, parts: int = 1) -> None:
        """Take an item of so many parts, or count them as dropped where the store is full."""
        if self._closed or len(self._kept) >= self._kept_max:
            with self._lock:
                self.dropped += parts
        else:
            self._kept.append((item, parts))

    def close(self, within_s: float) -> None:
        """Send what waits, for so long at most; what is not answered then is counted as dropped."""
        self._closing.set()
        self._thread.join(within_s)
        with self._lock:
            self._closed = True
            self.dropped += self._under_way + sum(parts for _, parts in self._kept)
            self._kept.clear()

    def _run(self) -> None:
        while not self._closing.wait(self._every_s):
            self._empty()
        self._empty()

    def _empty(self) -> None:
        while batch := self._next():
            refused = self._refused(batch)
            with self._lock:
                if self._closed:  # they were counted as dropped
                    return
                self.sent += self._under_way - refused
                self.dropped += refused
                self._under_way = 0

    def _next(self) -> list[Item]:
        with self._lock:
            batch = [self._kept.popleft() for _ in range(min(len(self._kept), self._batch_max))]
            self._under_way = sum(parts for _, parts in batch)
        return [item for item, _ in batch]

    def _refused(self, batch: list[Item]) -> int:
        """Parts that were lost: those the receiver refused, or all where it took none of several tries."""
        for tries in range(TRIES):
            try:
                return min(self._send(batch), self._under_way)
            except FetchError as error:
                self.why, pause_s = str(error), error.pause_s(tries)
            if pause_s is None or tries + 1 == TRIES:
                break
            self._closing.wait(pause_s)
        return self._under_way
