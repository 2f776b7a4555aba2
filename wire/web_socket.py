"""The client's end of a WebSocket (RFC 6455), by wsproto: bytes in, messages out as events of an event stream.

What reads server-sent events so reads a WebSocket too: a message is an event without a name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import singledispatchmethod

from wsproto import ConnectionType, WSConnection, events
from wsproto.connection import ConnectionState
from wsproto.utilities import ProtocolError

MESSAGE_BYTES_MAX = 4 * 1024 * 1024
"""A message that is longer is an attack on our memory."""
SWITCHED = 101
"""The status of a handshake that was accepted."""
CLOSED_WELL = (1000, 1001, 1005)
"""Close codes that say nothing went wrong (RFC 6455, 7.4.1)."""
_PROTOCOL = "sec-websocket-protocol"
_LINE_END = re.compile(rb"\r\n|\r|\n")
"""What ends a line of an event stream; each line of a message is a line of its event."""


class SocketError(ValueError):
    """Bytes that are no WebSocket, or a message that is too long."""


@dataclass(frozen=True)
class Opening:
    """How a socket is opened: host, path with query, and further headers; a header names the subprotocols."""

    host: str
    path: str
    headers: Mapping[str, str]

    def request(self) -> events.Request:
        """The handshake that asks for it."""
        protocols = [
            part.strip()
            for name, value in self.headers.items()
            if name.lower() == _PROTOCOL
            for part in value.split(",")
        ]
        others = [
            (name.encode("latin-1"), value.encode("latin-1", "replace"))
            for name, value in self.headers.items()
            if name.lower() not in (_PROTOCOL, "host")
        ]
        return events.Request(self.host, self.path, extra_headers=others, subprotocols=protocols)


class SocketReader:
    """One socket, answer by answer; the attributes are those of `wire.http_response.ResponseReader`.

    Attributes:
        body: messages of the present answer as events; of a refused handshake its body.
        outgoing: bytes to send: the first messages once the socket is open, pongs, the answer to a close.
        closed: the other end's close code; None while it is open.
        complete: the answer has ended; set from outside by who knows what ends one.
    """

    def __init__(self) -> None:
        self.body: list[bytes] = []
        self.outgoing = bytearray()
        self.closed: int | None = None
        self.reason = ""
        self.headers: dict[bytes, bytes] = {}
        self.opened = False
        self.keep_alive = True
        self.status = 0
        self._socket = WSConnection(ConnectionType.CLIENT)
        self._first: Sequence[str] = ()
        self._message: list[bytes] = []
        self._message_bytes = 0
        self.reset()

    def reset(self) -> None:
        """Make ready for the next answer."""
        self.begun = self.has_head = self.complete = False

    def close(self) -> None:
        """Nothing to free."""

    def ends_at_close(self) -> bool:
        """A socket ends with a close frame; one that breaks off has not ended."""
        return False

    def open(self, opening: Opening, first: Sequence[str]) -> bytes:
        """The handshake's bytes; the first messages go to `outgoing` once it is accepted."""
        self.opened = True
        self._first = first
        return self._socket.send(opening.request())

    def frames(self, messages: Sequence[str]) -> bytes:
        """Messages as the bytes to send."""
        return b"".join(self._socket.send(events.TextMessage(message)) for message in messages)

    def farewell(self) -> bytes:
        """A close frame, where one may still be sent."""
        open_now = self.status == SWITCHED and self.closed is None
        return self._socket.send(events.CloseConnection(1000)) if open_now else b""

    def feed(self, data: bytes) -> None:
        """Take the next bytes.

        Raises:
            SocketError: they are no WebSocket's, or a message is too long.
        """
        try:
            self._socket.receive_data(data)
            for event in self._socket.events():
                self._take(event)
        except ProtocolError as error:
            raise SocketError(str(error)) from None

    @singledispatchmethod
    def _take(self, event: events.Event) -> None:
        """One event; a pong asks for nothing."""

    @_take.register
    def _(self, event: events.AcceptConnection) -> None:
        self.status = SWITCHED
        self.outgoing += self.frames(self._first)

    @_take.register
    def _(self, event: events.RejectConnection) -> None:
        self.status = event.status_code
        self.headers = {bytes(name).lower(): bytes(value) for name, value in event.headers}
        self.begun = self.has_head = True
        self.keep_alive = False
        self.complete = not event.has_body

    @_take.register
    def _(self, event: events.RejectData) -> None:
        self.body.append(bytes(event.data))
        self.complete = event.body_finished

    @_take.register(events.Message)
    def _(self, event: events.TextMessage | events.BytesMessage) -> None:
        data = event.data.encode() if isinstance(event.data, str) else bytes(event.data)
        self._message_bytes += len(data)
        if self._message_bytes > MESSAGE_BYTES_MAX:
            raise SocketError(f"a message of more than {MESSAGE_BYTES_MAX >> 20} MiB")
        self._message.append(data)
        if event.message_finished:
            self.begun = self.has_head = True
            lines = _LINE_END.split(b"".join(self._message))
            self.body.append(b"".join(b"data: " + line + b"\n" for line in lines) + b"\n")
            self._message.clear()
            self._message_bytes = 0

    @_take.register
    def _(self, event: events.Ping) -> None:
        self.outgoing += self._socket.send(event.response())

    @_take.register
    def _(self, event: events.CloseConnection) -> None:
        if self._socket.state is ConnectionState.OPEN:  # nobody closed: wsproto's own verdict on what was read
            raise SocketError(event.reason or "no WebSocket frames")
        if self.closed is None:
            self.closed, self.reason = event.code, event.reason or ""
            self.outgoing += self._socket.send(event.response())
        self.begun = self.has_head = self.complete = True
        self.keep_alive = False
