"""A WebSocket on the event loop: a connection whose answers end where their reader says, not where HTTP does."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from socket import socket as Socket
from typing import Protocol

from loadgen.transport.answer import Answer
from loadgen.transport.connection import Connection, Endpoint, Stale
from loadgen.transport.event_loop import Loop
from wire.web_socket import Opening, SocketReader


class SocketTurn(Protocol):
    """What an answer must know of the question it answers: how to open a socket, what to send first, and then."""

    opening: Opening
    first: tuple[str, ...]
    messages: tuple[str, ...]


class SocketConnection(Connection):
    """One socket, for one conversation: it is not used for another one.

    It is opened by the first question that it carries, so that the handshake is part of that question's wait.
    """

    __slots__ = ("socket",)
    reusable = False

    def __init__(
        self,
        loop: Loop,
        where: Endpoint,
        socket_type: type[Socket],
        on_fault: Callable[[BaseException], None],
        on_stale: Stale | None,
    ) -> None:
        super().__init__(loop, where, socket_type, on_fault, None)  # what a socket lost may have been read: never twice
        self.socket = self._response = SocketReader()

    def request(self, request: bytes, answer: Answer) -> None:
        """Send an answer's messages; `request` itself is empty."""
        turn: SocketTurn = answer.turn  # type: ignore[attr-defined]
        if self.socket.opened:
            super().request(self.socket.frames(turn.messages) if self.open else b"", answer)
        else:
            super().request(self.socket.open(turn.opening, (*turn.first, *turn.messages)), answer)

    def finish(self) -> None:
        """The present answer is whole (said by its reader, while it reads)."""
        self.socket.complete = True

    def _on_readable(self) -> None:
        super()._on_readable()
        self._guard(self._reply)

    def _reply(self) -> None:
        """Send what the protocol asks for: first messages, a pong, a close."""
        if self.socket.outgoing and self.open:
            data = bytes(self.socket.outgoing)
            self.socket.outgoing.clear()
            self.push(data)

    def leave(self) -> None:
        """Say goodbye, as far as that goes without waiting, and close."""
        if self.open and self._tls is None:
            with contextlib.suppress(OSError):
                self._send(self.socket.farewell())
        self.close()
