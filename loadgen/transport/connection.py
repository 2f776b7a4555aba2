"""One HTTP/1.1 connection on the event loop: watchers with callbacks, no greenlet, nothing that blocks.

Connecting, handshakes and sends that do not fit wait on a write watcher. The time of a read is taken right after
recv. Every callback is guarded: what it raises ends the turn as stream_error and is reported, so that the run is void.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from host.fetch import own_addresses
from loadgen.transport.answer import UNREADABLE, Answer, BadAnswer
from loadgen.transport.event_loop import Loop
from loadgen.transport.tls import UNTRUSTED, TlsLayer, default_context
from wire import http_response
from wire.eventstream import EventStreamError
from wire.web_socket import SocketError, SocketReader

_READ = 1
_WRITE = 2
_READ_BYTES = 32_768
STALE_WITHIN_NS = 100_000_000
"""A kept-alive connection that ends this soon after a request was closed while idle: the request is sent again."""
MALFORMED = (*UNREADABLE, EventStreamError, SocketError, *http_response.MALFORMED)
_IN_PROGRESS = (errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EAGAIN)
ANSWER_BYTES_MAX = 64 * 1024 * 1024
"""A body that is longer is no answer: what it would take of memory and time belongs to the other turns."""
now_ns = time.monotonic_ns


@dataclass(frozen=True)
class Endpoint:
    """Where to connect: addresses to try in order, as the guard resolved them, never a name.

    `tls` None is plain text. `host_header` also serves as the TLS server name.
    """

    addresses: tuple[str, ...]
    port: int
    host_header: str
    path: str
    tls: ssl.SSLContext | None = None


def endpoint(
    url: str,
    admitted: Mapping[str, tuple[str, ...]] | None = None,
    tls_context: Callable[[], ssl.SSLContext] = default_context,
) -> Endpoint:
    """The endpoint of a URL. No name is looked up here: a second look-up may mean another machine.

    Args:
        admitted: host -> addresses, of the hosts that the guard admitted; one that can only be this machine needs none.

    Raises:
        OSError: the host was not admitted.
    """
    parts = urlsplit(url)
    addresses = (admitted or {}).get(parts.hostname or "") or own_addresses(parts.hostname)
    if not addresses:
        raise OSError(errno.EACCES, "not loopback and not admitted")
    secure = parts.scheme in ("https", "wss")
    port = parts.port or (443 if secure else 80)
    context = tls_context() if secure else None
    return Endpoint(tuple(addresses), port, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), context)


Stale = Callable[[bytes, Answer], None]
"""What becomes of a request that its server never read, and of its answer."""


class Connection:
    """A connection that carries one request at a time.

    Args:
        loop: a gevent loop (anything with `io(fd, events)` watchers).
        where: the endpoint.
        socket_type: an unpatched `socket.socket`.
        on_fault: called with every exception a callback raised.
        on_stale: given the request and its answer when the server had closed the idle connection before it was sent;
            None where nothing may be sent twice.
    """

    __slots__ = (
        "_loop", "_on_fault", "_on_stale", "_reader", "_received", "_recv", "_request", "_response", "_reused", "_send",
        "_sock", "_socket_type", "_take", "_tls", "_tried", "_unsendable", "_unsent", "_writer", "answer", "open",
        "where",
    )  # fmt: skip
    reusable = True
    """Whether another conversation may go over it."""

    def __init__(
        self,
        loop: Loop,
        where: Endpoint,
        socket_type: type[socket.socket],
        on_fault: Callable[[BaseException], None],
        on_stale: Stale | None,
    ) -> None:
        self.where = where
        self.answer: Answer | None = None
        self.open = True
        self._on_fault = on_fault
        self._on_stale = on_stale
        self._reused = False
        self._request = b""
        self._unsent: bytes | memoryview = b""
        self._response: http_response.ResponseReader | SocketReader = http_response.ResponseReader()
        self._take: Callable[[int, bytes], None] | None = None
        self._received = 0
        self._unsendable = ""  # why the rest of the request could not be sent
        self._loop = loop
        self._socket_type = socket_type
        self._tried = 0
        self._tls = TlsLayer(where.tls, urlsplit(f"//{where.host_header}").hostname or "") if where.tls else None
        self._connect()

    # --- connecting and sending ----------------------------------------------------------------------------------

    def _connect(self) -> None:
        """Begin to connect to the next address of the endpoint."""
        address = self.where.addresses[self._tried]
        self._tried += 1
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            self._sock = self._socket_type(family, socket.SOCK_STREAM)
        except OSError as error:
            if error.errno == errno.EAFNOSUPPORT and self._tried < len(self.where.addresses):
                return self._connect()  # a system without IPv6
            raise
        self._sock.setblocking(False)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._recv = self._sock.recv if self._tls is None else self._recv_tls
        self._send = self._sock.send
        self._reader = self._loop.io(self._sock.fileno(), _READ)
        self._writer = self._loop.io(self._sock.fileno(), _WRITE)
        code = self._sock.connect_ex((address, self.where.port))
        if code in _IN_PROGRESS:
            self._writer.start(self._on_connected)
        else:
            self._connected(code)

    def _on_connected(self) -> None:
        self._guard(lambda: self._connected(self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)))

    def _connected(self, code: int) -> None:
        self._writer.stop()
        if code and self._tried < len(self.where.addresses):
            self._release()
            self._connect()
            return
        if code:
            self._lost("http_error", "connect_" + errno.errorcode.get(code, str(code)).lower())
            return
        self._reader.start(self._on_readable)
        if self._tls is not None:
            self._unsent = self._tls.hello()
        self._flush()

    def request(self, request: bytes, answer: Answer) -> None:
        """Send a request now, or as soon as the connection stands; `answer.on_end(answer)` is called at its end.

        `answer.start_ns` is the moment this was called: waiting for the connection is the target's time, not ours.
        """
        if not answer.start_ns:
            answer.start_ns = now_ns()
        if not self.open:
            answer.fail(answer.start_ns, "http_error", "connection_closed")
            answer.on_end(answer)
            return
        self.answer = answer
        self._request = request
        if self._tls is None:
            self._unsent = request
        elif self._tls.established:
            self._unsent = self._tls.encrypt(request)
        else:
            return  # sent when the handshake is over
        if not self._writer.active:
            self._flush()

    def _flush(self) -> None:
        if not self._unsent:
            return
        try:
            sent = self._send(self._unsent)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError as error:  # a server that answers what it has not read to its end: its answer may be here
            self._unsendable = "send_" + errno.errorcode.get(error.errno or 0, "failed").lower()
            sent = len(self._unsent)
        if sent < len(self._unsent):
            self._unsent = memoryview(self._unsent)[sent:]
            if not self._writer.active:
                self._writer.start(self._on_writable)
            return
        self._unsent = b""
        if self._writer.active:
            self._writer.stop()

    def push(self, data: bytes) -> None:
        """Send something beside a request, after what still waits to be sent."""
        self._unsent = bytes(self._unsent) + (data if self._tls is None else self._tls.encrypt(data))
        if not self._writer.active:
            self._flush()

    def _on_writable(self) -> None:
        self._guard(self._flush)

    def _recv_tls(self, size: int) -> bytes:
        """Plain bytes of the next records; raises BlockingIOError when they hold none."""
        assert self._tls is not None
        data = self._sock.recv(size)
        if not data:
            return b""
        waited = not self._tls.established
        plain, reply = self._tls.receive(data)
        if waited and self._tls.established and self._request:
            reply += self._tls.encrypt(self._request)
        if reply:
            self._unsent = bytes(self._unsent) + reply
            self._flush()
        if self._tls.closed:
            if not plain:
                return b""
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_RD)  # nothing more is to come: the next read says so
        if not plain:
            raise BlockingIOError
        return plain

    # --- reading --------------------------------------------------------------------------------------------------

    def _on_readable(self) -> None:
        try:
            recv = self._recv  # a slot that is called as a method is looked up in the type each time
            try:
                data = recv(_READ_BYTES)
            except (BlockingIOError, InterruptedError):
                return
            except ssl.SSLError as error:
                why = UNTRUSTED if isinstance(error, ssl.SSLCertVerificationError) else ""
                self._lost("http_error", "tls_" + (error.reason or "failed").lower(), why)
                return
            except OSError as error:
                self._cut("stream_error", "read_" + errno.errorcode.get(error.errno or 0, "failed").lower())
                return
            now = now_ns()
            if not data:
                self._at_eof(now)
                return
            self._received += len(data)  # all of it: trailers and chunk extensions have no end of their own
            if self._received > ANSWER_BYTES_MAX:
                raise BadAnswer(f"an answer of more than {ANSWER_BYTES_MAX >> 20} MiB")
            response = self._response
            feed = response.feed
            try:
                feed(data)
            except MALFORMED:
                if not response.complete:
                    raise
                response.keep_alive = False  # the answer is whole; what follows it is nobody's
            take = self._take
            if take is None and response.has_head and self.answer is not None:
                take = self._take = self.answer.on_headers(now, response.status, response.headers)
            body = response.body
            if body:  # as `take_body` does, without a call: this is the hot path
                piece = body[0] if len(body) == 1 else b"".join(body)
                body.clear()
                if take is not None:
                    take(now, piece)
            if response.complete:
                self._end(now)
            elif take is not None and (answer := self.answer) is not None and answer.said_ns:
                self._end_said(answer)
        except BaseException as error:  # the hub must go on: the turn ends, and the run is void
            self._fault(error)

    def _end_said(self, answer: Answer) -> None:
        """The answer said its end, and its body goes on: it ends there and then, if nothing of use can follow.

        The connection stays as it is: it may carry another request once the body has ended.
        """
        if answer.end_ns or answer.on_said is None:
            return
        if answer.over:
            answer.complete(answer.said_ns)
        answer.on_said(answer)

    def end_here(self) -> None:
        """End the present answer where it said its end, and close: its body is not waited for."""
        self._guard(self._end_here)

    def _end_here(self) -> None:
        answer = self.answer
        assert answer is not None
        if not answer.end_ns:
            answer.complete(answer.said_ns)
        self.forget()
        answer.on_end(answer)

    def _end(self, now: int) -> None:
        answer = self.answer
        if answer is not None and not answer.end_ns:
            answer.complete(now)
        rest = self._unsendable or (self._unsent and self.reusable)  # of the request: it would go before the next one
        if answer is None or rest or not self._response.keep_alive:
            self.close()
        else:
            self._response.reset()
        self.answer = None
        self._request = b""
        self._take = None
        self._received = 0
        self._reused = True
        if answer is not None:
            answer.on_end(answer)

    def _at_eof(self, now: int) -> None:
        if self._take is not None and self._response.ends_at_close() and (self._tls is None or self._tls.closed):
            self._response.keep_alive = False
            self._end(now)
        else:
            code = "closed_early" if self._take is not None else "closed_before_answer"
            self._cut("stream_error", code)

    def _cut(self, status: str, code: str) -> None:
        """Nothing more comes, or is waited for: an answer that had said its end before is whole all the same."""
        answer = self.answer
        if answer is not None and answer.said_ns and answer.said_ns >= answer.last_ns:
            self._end_here()
        elif self._unsendable and not self._response.begun:
            self._lost("http_error", self._unsendable)
        else:
            self._lost(status, code)

    # --- the end --------------------------------------------------------------------------------------------------

    def _guard(self, step: Callable[[], None]) -> None:
        try:
            step()
        except BaseException as error:  # as in `_on_readable`
            self._fault(error)

    def _fault(self, error: BaseException) -> None:
        if isinstance(error, MALFORMED):  # the target's doing, not ours
            self._reused = False  # for bytes came: the request was read, and is not sent twice
            if isinstance(error, http_response.MALFORMED):
                self._lost("stream_error", "not_http", str(error))
            else:
                damaged = isinstance(error, EventStreamError)  # on its way: its checksum does not fit
                text = f"{type(error).__name__}: {error}"
                self._lost("stream_error" if damaged else "malformed", "malformed", text)
            return
        self._on_fault(error)
        self._lost("stream_error", "callback_exception")

    def _lost(self, status: str, code: str, text: str = "") -> None:
        self.close()
        answer, self.answer = self.answer, None
        if answer is None:
            return
        now = now_ns()
        on_stale = self._on_stale
        if (
            on_stale is not None
            and self._reused
            and not self._response.begun
            and not answer.ttfb_ns
            and now - answer.start_ns < STALE_WITHIN_NS
        ):
            try:
                on_stale(self._request, answer)
                return
            except Exception as error:  # no more sockets, say: the turn must end all the same
                self._on_fault(error)
                status, code = "stream_error", "resend_failed"
        if not answer.end_ns:
            answer.fail(now, status, code, text)
            answer.on_end(answer)
        elif answer.over:  # it had ended, and its body goes no further
            answer.on_end(answer)

    def leave(self) -> None:
        """Close in good manners, where the protocol has some."""
        self.close()

    def forget(self) -> None:
        """Close, and leave the present answer to the caller."""
        self.answer = None
        self.close()

    def abort(self, status: str, code: str) -> None:
        """Give the present request up: close, and end its answer so."""
        self._reused = False
        self._guard(lambda: self._cut(status, code))

    def close(self) -> None:
        """Close the socket and free its watchers; harmless when closed."""
        if not self.open:
            return
        self.open = False
        self._take = None  # it knows the answer, which knows us
        self._release()
        self._response.close()

    def _release(self) -> None:
        """Close the socket and free its watchers."""
        for watcher in (self._reader, self._writer):
            watcher.stop()
            watcher.close()
        self._sock.close()
