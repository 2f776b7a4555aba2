"""Poller: all sockets of a worker behind one watcher of the event loop (docs/decisions/NNN-one-watcher.md).

An epoll descriptor is itself readable when one of its sockets is. The loop watches that alone; its callback then takes
every ready socket in one call and runs their callbacks in one Python loop, which costs less than a watcher each does.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from typing import Any

READ = 1
WRITE = 2
_IN, _OUT = 1, 4  # EPOLLIN, EPOLLOUT; errors and hang-ups are told to both
_READY_MAX = 1024


class SocketWatcher:
    """Calls back while its socket is ready; the interface of the event loop's own watchers, as far as it is used."""

    __slots__ = ("_callbacks", "_fd", "_poller", "active")

    def __init__(self, poller: Poller, fd: int, callbacks: dict[int, Callable[[], None]]) -> None:
        self._poller = poller
        self._fd = fd
        self._callbacks = callbacks
        self.active = False

    def start(self, callback: Callable[[], None]) -> None:
        """Watch."""
        self._callbacks[self._fd] = callback
        self.active = True
        self._poller.changed(self._fd)

    def stop(self) -> None:
        """Watch no more; harmless when it does not."""
        if self.active:
            self.active = False
            del self._callbacks[self._fd]
            self._poller.changed(self._fd)

    def close(self) -> None:
        """Free what it holds; the socket must still be open."""
        self.stop()


class Poller:
    """Watchers of many sockets.

    Args:
        loop: an event loop with `io(fd, events)` watchers, which is asked for one.
    """

    def __init__(self, loop: Any) -> None:
        self._epoll = select.epoll()
        self._poll = self._epoll.poll
        self._masks: dict[int, int] = {}
        self._readers: dict[int, Callable[[], None]] = {}
        self._writers: dict[int, Callable[[], None]] = {}
        self._watcher = loop.io(self._epoll.fileno(), READ)
        self._watcher.start(self._ready)

    def io(self, fd: int, events: int) -> SocketWatcher:
        """A watcher of a socket, for `READ` or `WRITE`."""
        return SocketWatcher(self, fd, self._readers if events == READ else self._writers)

    def changed(self, fd: int) -> None:
        """Tell the kernel what of a socket is watched now."""
        mask = (_IN if fd in self._readers else 0) | (_OUT if fd in self._writers else 0)
        before = self._masks.pop(fd, 0)
        if mask:
            self._masks[fd] = mask
            (self._epoll.modify if before else self._epoll.register)(fd, mask)
        elif before:
            self._epoll.unregister(fd)

    def _ready(self) -> None:
        """Run the callbacks of all sockets that are ready. They guard themselves: none raises."""
        readers, writers = self._readers, self._writers
        for fd, events in self._poll(0, _READY_MAX):
            if events != _OUT:
                callback = readers.get(fd)
                if callback is not None:
                    callback()
            if events != _IN:
                callback = writers.get(fd)
                if callback is not None:
                    callback()

    def close(self) -> None:
        """Free the descriptor; its sockets are closed before."""
        self._watcher.stop()
        self._watcher.close()
        self._epoll.close()


def poller(loop: Any) -> Any:
    """A poller where the system has epoll; the loop itself, which is slower, elsewhere."""
    return Poller(loop) if hasattr(select, "epoll") else loop
