"""HTTP/2 on one connection, by the h2 library: what an answer would write to an HTTP/1.1 socket goes out as frames.

Everything else of the emulator writes HTTP/1.1; each stream here reads that back and sends its headers and its body. It
costs HTTP/1.1 nothing, and both protocols answer alike. On a plain `http://` endpoint it takes prior knowledge, which
the AWS SDK for JavaScript has; by TLS a client asks for it (`tls`). Frames wait for the client's flow-control windows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

import httptools
from h2.config import H2Configuration
from h2.connection import ConnectionInputs, H2Connection, H2ConnectionStateMachine
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RemoteSettingsChanged,
    RequestReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import NoSuchStreamError, ProtocolError
from h2.settings import SettingCodes, Settings

from emulator.http.connection import BODY_BYTES_MAX, Response, Server, http_head, json_response, request_from
from emulator.http.stream import Stream

_STREAMS_MAX = 1_000
_WINDOW_BYTES = 4_000_000
_SETTINGS = {SettingCodes.MAX_CONCURRENT_STREAMS: _STREAMS_MAX, SettingCodes.INITIAL_WINDOW_SIZE: _WINDOW_BYTES}
_OF_HTTP_1 = (b"transfer-encoding", b"connection", b"content-length")


class _Graceful(H2ConnectionStateMachine):
    """A client that opens no more streams still reads the answers under way (RFC 9113, 6.8); h2 would stop them."""

    def process_input(self, input_: ConnectionInputs) -> list[Event]:
        """The events of a step; a GOAWAY ends nothing."""
        return [] if input_ is ConnectionInputs.RECV_GOAWAY else super().process_input(input_)


class _Frames(H2Connection):
    """h2's connection of a server that answers what was asked before a GOAWAY."""

    def __init__(self, config: H2Configuration) -> None:
        super().__init__(config)
        self.state_machine = _Graceful()

    def clear_outbound_data_buffer(self) -> None:
        """Keep what is on its way."""


class Http2Stream:
    """One request and its answer."""

    def __init__(self, connection: Http2Connection, number: int, headers: list[tuple[bytes, bytes]]) -> None:
        self._connection, self._number = connection, number
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
        self.headers = dict(pairs)
        self.headers.setdefault("host", self.headers.get(":authority", ""))
        self.body = bytearray()
        self.stream: Stream | None = None
        self._head: list[tuple[bytes, bytes]] = []
        self._head_whole = self._ended = False
        self._pending = bytearray()

    @property
    def accepted(self) -> int:
        """Connections that the server has accepted since it started."""
        return self._connection.accepted

    def send(self, data: bytes) -> None:
        """Bytes of an HTTP/1.1 answer: out as frames, as far as the client's windows allow."""
        if self._parser is None or not self._connection.holds(self._number):
            return
        self._parser.feed_data(data)
        self.pump()
        self._connection.flush()

    def respond(self, response: Response) -> None:
        """Send an answer that is ready."""
        head = http_head(response.status, response.content_type, response.headers, len(response.body))
        self.send(head + response.body)

    def finish(self, reusable: bool) -> None:
        """The response is complete; frames that wait for a window still go out."""
        self.stream = None

    def cut(self) -> None:
        """Break this stream off; the others of its connection go on."""
        self.stream = None
        self._connection.reset(self._number)

    def let_go(self) -> None:
        """Nothing is sent any more: without its parser, which holds it, it is freed at once, its body with it."""
        self._parser = None

    def abandon(self) -> None:
        """The client has gone, or gave this request up."""
        self.let_go()
        if self.stream is not None:
            stream, self.stream = self.stream, None
            stream.abandon()

    def pump(self) -> None:
        """Send what waits, as far as the windows allow; block the answer when they do not."""
        try:
            self._pump(self._connection.frames, self._number)
        except NoSuchStreamError:  # the client has reset it, and that event is still to be read
            self._connection.forget(self._number)
            self.abandon()

    def _pump(self, frames: H2Connection, number: int) -> None:
        if self._head_whole and self._head:
            frames.send_headers(number, self._head)
            self._head = []
        while self._pending or self._ended:
            room = min(frames.local_flow_control_window(number), frames.max_outbound_frame_size)
            if self._pending and (room <= 0 or self._connection.paused):
                if self.stream is not None:
                    self.stream.blocked = True
                return
            part = bytes(self._pending[:room])
            del self._pending[: len(part)]
            last = self._ended and not self._pending
            frames.send_data(number, part, end_stream=last)
            if last:
                self._connection.forget(number)
                return

    def resume(self) -> None:
        """A window has opened, or the socket takes more."""
        self.pump()
        if not self._pending and self.stream is not None and self.stream.blocked:
            self.stream.resume()

    # --- httptools, reading the answer ---------------------------------------------------------------------------

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header of the answer."""
        if name not in _OF_HTTP_1:
            self._head.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The answer's head is whole."""
        status = self._parser.get_status_code() if self._parser is not None else 0
        self._head.insert(0, (b":status", str(status).encode()))
        self._head_whole = True

    def on_body(self, body: bytes) -> None:
        """Part of the answer."""
        self._pending += body

    def on_message_complete(self) -> None:
        """The answer is whole."""
        self._ended = True


class Http2Connection(asyncio.Protocol):
    """One client connection with any number of streams."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._transport: asyncio.Transport | None = None
        self._streams: dict[int, Http2Stream] = {}
        config = H2Configuration(
            client_side=False, header_encoding=None, validate_outbound_headers=False, normalize_outbound_headers=False
        )
        self.frames = _Frames(config)
        self.paused = False

    @property
    def accepted(self) -> int:
        """Connections that the server has accepted since it started."""
        return self._server.accepted

    @property
    def busy(self) -> bool:
        """Whether any answer is under way."""
        return any(stream.stream is not None for stream in self._streams.values())

    # --- asyncio -------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected, and said that it speaks HTTP/2."""
        self._transport = cast(asyncio.Transport, transport)
        self._socket = transport.get_extra_info("socket")
        self._server.connections.add(self)
        self.frames.local_settings = Settings(client=False, initial_values=_SETTINGS)
        self.frames.initiate_connection()
        self.frames.increment_flow_control_window(_WINDOW_BYTES)
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone; what it was being sent ends."""
        self._transport = None
        self._server.connections.discard(self)
        streams, self._streams = self._streams, {}
        for stream in streams.values():
            stream.abandon()

    def data_received(self, data: bytes) -> None:
        """Frames of the client."""
        try:
            for event in self.frames.receive_data(data):
                self._handle(event)
        except ProtocolError:
            self.close()
            return
        self.flush()
        self._server.between()

    def pause_writing(self) -> None:
        """The reader does not keep up."""
        self.paused = True

    def resume_writing(self) -> None:
        """The reader has caught up."""
        self.paused = False
        self._resume(0)
        self.flush()

    # --- events --------------------------------------------------------------------------------------------------

    def _handle(self, event: Event) -> None:
        handler = _HANDLERS.get(type(event))
        if handler is not None:
            handler(self, event)

    def _begin(self, event: RequestReceived) -> None:
        self._streams[event.stream_id] = Http2Stream(self, event.stream_id, event.headers)

    def _receive(self, event: DataReceived) -> None:
        self.frames.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        stream = self._streams.get(event.stream_id)
        if stream is not None and len(stream.body) <= BODY_BYTES_MAX:
            stream.body += event.data

    def _answer(self, event: StreamEnded) -> None:
        stream = self._streams.get(event.stream_id)
        if stream is None:
            return
        if len(stream.body) > BODY_BYTES_MAX:
            stream.respond(json_response(413, {"message": f"the body exceeds {BODY_BYTES_MAX} bytes"}))
            return
        headers = stream.headers
        request = request_from(
            headers[":method"], headers[":path"], headers, bytes(stream.body), self._server.waited_s(self._socket)
        )
        response = self._server.handle(request, stream)
        if response is not None:
            stream.respond(response)

    def _give_up(self, event: StreamReset) -> None:
        stream = self._streams.pop(event.stream_id, None)
        if stream is not None:
            stream.abandon()

    def _open(self, event: WindowUpdated) -> None:
        self._resume(event.stream_id)

    def _settle(self, event: RemoteSettingsChanged) -> None:
        self._resume(0)

    def _end(self, event: ConnectionTerminated) -> None:
        if not self._streams:
            self.close()

    def _resume(self, number: int) -> None:
        """Go on with a stream, or with all of them for 0."""
        chosen = list(self._streams.values()) if number == 0 else [self._streams.get(number)]
        for stream in chosen:
            if stream is not None:
                stream.resume()

    # --- what streams do with it ---------------------------------------------------------------------------------

    def holds(self, number: int) -> bool:
        """Whether the stream is still open."""
        return self._transport is not None and number in self._streams

    def forget(self, number: int) -> None:
        """A stream has ended."""
        stream = self._streams.pop(number, None)
        if stream is not None:
            stream.let_go()

    def reset(self, number: int) -> None:
        """Break a stream off."""
        if self.holds(number):
            self.forget(number)
            self.frames.reset_stream(number, ErrorCodes.INTERNAL_ERROR)
            self.flush()

    def flush(self) -> None:
        """Hand the frames made so far to the socket."""
        data = self.frames.data_to_send()
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        """Say that the end has come, and close when what was written is out."""
        self.flush()
        if self._transport is not None:
            self._transport.close()


_HANDLERS: dict[type[Event], Callable[..., None]] = {
    RequestReceived: Http2Connection._begin,
    DataReceived: Http2Connection._receive,
    StreamEnded: Http2Connection._answer,
    StreamReset: Http2Connection._give_up,
    WindowUpdated: Http2Connection._open,
    RemoteSettingsChanged: Http2Connection._settle,
    ConnectionTerminated: Http2Connection._end,
}
