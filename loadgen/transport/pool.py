"""The connections to one endpoint: kept alive, made ahead, and made anew without blocking when none is idle."""

from __future__ import annotations

from collections.abc import Callable

from loadgen.transport.answer import Answer
from loadgen.transport.connection import Connection, Stale


class Pool:
    """Idle connections of one endpoint, newest last.

    Args:
        connect: makes a connection, given what to do with a request that its server never read; None: its turn fails.
        resends: whether a request may be sent twice.
        ahead: whether connections are made before they are needed.
    """

    def __init__(
        self, connect: Callable[[Stale | None], Connection], *, resends: bool = True, ahead: bool = True
    ) -> None:
        self._connect = connect
        self._ahead = ahead
        self._stale = self._resend if resends else None
        self._idle: list[Connection] = []
        self.resent = 0

    def warm(self, count: int) -> None:
        """Make connections ahead until `count` are idle."""
        if not self._ahead:
            return
        self._idle = [connection for connection in self._idle if connection.open]
        while len(self._idle) < count:
            self._idle.append(self._connect(self._stale))

    def take(self) -> Connection:
        """An idle connection, or a new one; raises OSError when the machine gives no more sockets."""
        while self._idle:
            connection = self._idle.pop()
            if connection.open:
                return connection
        return self._connect(self._stale)

    def give(self, connection: Connection) -> None:
        """Take a connection back once its answer and body have ended; one that is closed or of no use is forgotten."""
        if not connection.reusable:
            connection.leave()
        elif connection.open and connection.answer is None:
            self._idle.append(connection)

    def _resend(self, request: bytes, answer: Answer) -> None:
        """The server had closed the idle connection: send once more, on a new one. Raises when that cannot be done."""
        self.resent += 1
        connection = self._connect(self._resend)
        answer.connection = connection
        try:
            connection.request(request, answer)
        except BaseException:
            connection.forget()
            raise

    def close(self) -> None:
        """Close what is idle."""
        for connection in self._idle:
            connection.close()
        self._idle.clear()
