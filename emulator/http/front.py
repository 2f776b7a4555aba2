"""A connection until its first bytes say which protocol it speaks: HTTP/2 begins with a preface, HTTP/1.1 does not."""

from __future__ import annotations

import asyncio
from typing import cast

from emulator.http.connection import Connection, Server
from emulator.http.http2 import Http2Connection

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class Front(asyncio.Protocol):
    """Hands the connection over once it is known, and is done."""

    busy = False

    def __init__(self, server: Server) -> None:
        self._server = server
        self._begun = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own class has its methods, not its name
        self._server.connections.add(self)
        self._server.accepted += 1

    def connection_lost(self, exc: Exception | None) -> None:
        """It went without a word."""
        self._server.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        """The first bytes; a preface may come in pieces."""
        self._begun += data
        if len(self._begun) < len(_PREFACE) and _PREFACE.startswith(self._begun):
            return
        transport = self._transport
        if transport is None:
            return
        speaks = Http2Connection if self._begun.startswith(_PREFACE) else Connection
        protocol = speaks(self._server)
        self._server.connections.discard(self)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        protocol.data_received(self._begun)

    def close(self) -> None:
        """Close it unread."""
        if self._transport is not None:
            self._transport.close()
