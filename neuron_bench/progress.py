"""Turns done and time left, for whoever shows them."""

from __future__ import annotations

import time
from collections.abc import Callable

Progress = Callable[[int, int, float | None, str], None]
"""Turns done, turns in all, seconds left (None until one is through), what is running."""


class Clock:
    """Counts the turns of one bench."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self.progress, self.total, self.done, self.started = progress, total, 0, time.monotonic()

    def tick(self, label: str) -> None:
        """One more turn begins."""
        if self.progress is not None:
            spent = time.monotonic() - self.started
            left = spent / self.done * max(0, self.total - self.done) if self.done else None
            self.progress(self.done, self.total, left, label)
        self.done = min(self.done + 1, self.total)
