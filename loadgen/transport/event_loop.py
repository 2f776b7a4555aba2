"""What is used of gevent's loop: watchers of descriptors, and timers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Watcher(Protocol):
    """Calls back when its descriptor is ready, or its time is over."""

    active: bool

    def start(self, callback: Callable[..., object], *args: object, **options: object) -> None:
        """Watch from now on."""

    def stop(self) -> None:
        """Watch no more."""

    def close(self) -> None:
        """Free what it holds."""


class Loop(Protocol):
    """A loop of events."""

    def io(self, descriptor: int, events: int) -> Watcher:
        """A watcher of a descriptor."""

    def timer(self, after_s: float, repeat_s: float = 0.0) -> Watcher:
        """A watcher of the time."""
