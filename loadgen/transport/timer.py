"""Timer: one wake-up at an absolute time. libev's own timers wait in whole milliseconds and wake up to two too late;
on Linux a timerfd, watched like a socket, is late by tens of microseconds."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from typing import Any

from loadgen.transport.connection import now_ns
from loadgen.transport.event_loop import Loop, Watcher

_CLOCK_MONOTONIC = 1
_ABSOLUTE = 1
_NONBLOCK = os.O_NONBLOCK
_READ = 1
_NS = 1_000_000_000


class Timer:
    """Calls `wake` at the time set by `at`; setting an earlier time replaces a later one."""

    def __init__(self, loop: Loop, wake: Callable[[], None]) -> None:
        self._loop = loop
        self._wake = wake
        self._due_ns = 0
        self._timer: Watcher | None = None
        self._fd = timerfd() if sys.platform == "linux" else None
        if self._fd is not None:
            self._watcher = loop.io(self._fd, _READ)
            self._watcher.start(self._ring)

    def at(self, due_ns: int) -> None:
        """Wake at `due_ns` (CLOCK_MONOTONIC), unless something earlier is set already."""
        if self._due_ns and self._due_ns <= due_ns:
            return
        self._due_ns = due_ns
        if self._fd is not None:
            set_timerfd(self._fd, due_ns)
            return
        if self._timer is not None:
            self._timer.close()
        self._timer = self._loop.timer(max(0.0, (due_ns - now_ns()) / _NS))
        self._timer.start(self._ring, update=True)

    def _ring(self) -> None:
        if self._fd is not None:
            try:
                os.read(self._fd, 8)
            except BlockingIOError:
                return
        self._due_ns = 0
        self._wake()

    def close(self) -> None:
        """Free what it holds."""
        if self._fd is not None:
            self._watcher.stop()
            self._watcher.close()
            os.close(self._fd)
        elif self._timer is not None:
            self._timer.close()


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


def timerfd() -> int | None:
    """A timer file descriptor; None where the C library has none. Python has its own from 3.13 on."""
    create = getattr(ctypes.CDLL(None, use_errno=True), "timerfd_create", None)
    descriptor = create(_CLOCK_MONOTONIC, _NONBLOCK | os.O_CLOEXEC) if create is not None else -1
    return descriptor if descriptor >= 0 else None


def set_timerfd(descriptor: int, due_ns: int) -> None:
    """Let it become readable at an absolute time."""
    spec = _Itimerspec(_Timespec(0, 0), _Timespec(due_ns // _NS, due_ns % _NS))
    if _settime(descriptor, _ABSOLUTE, ctypes.byref(spec), None):
        raise OSError(ctypes.get_errno(), "timerfd_settime failed")


_settime: Any = getattr(ctypes.CDLL(None, use_errno=True), "timerfd_settime", None)
