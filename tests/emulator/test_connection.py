"""HTTP/1.1 as clients really speak it, over a bare socket."""

import gc
import json
import socket
import weakref
from types import SimpleNamespace

import pytest

from emulator.http.connection import Connection, Server

BODY = json.dumps({"model": "custom-8b", "prompt": [1, 2, 3], "max_tokens": 3}).encode()
STREAM = json.dumps({"model": "custom-8b", "prompt": [1, 2, 3], "max_tokens": 3, "stream": True}).encode()


@pytest.fixture
def wire(emulator):
    host, port = emulator.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=120) as made:
        yield made


def request(body: bytes, extra: str = "", path: str = "/v1/completions") -> bytes:
    return f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(body)}\r\n{extra}\r\n".encode() + body


def read_until(wire, done) -> bytes:
    data = b""
    while not done(data):
        part = wire.recv(65536)
        if not part:
            break
        data += part
    return data


def test_requests_sent_at_once_are_answered_in_order(wire):
    """Pipelining: the second waits for the end of the first one's stream."""
    wire.sendall(request(STREAM) + request(BODY) + b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n")
    data = read_until(wire, lambda data: b'{"ok":true' in data)
    assert data.count(b"HTTP/1.1 200 OK") == 3
    assert data.index(b"[DONE]") < data.index(b'"completion_tokens":3') < data.index(b'{"ok":true')


def test_a_request_split_anywhere_is_one_request(wire):
    """Byte by byte, headers and body alike."""
    for byte in request(BODY):
        wire.sendall(bytes([byte]))
    assert b'"completion_tokens":3' in read_until(wire, lambda data: b"completion_tokens" in data)


def test_a_chunked_body_is_read(wire):
    """Its length need not be known before."""
    head = b"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n"
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (BODY[:10], BODY[10:]))
    wire.sendall(head + chunks + b"0\r\n\r\n")
    assert b'"completion_tokens":3' in read_until(wire, lambda data: b"completion_tokens" in data)


@pytest.mark.parametrize("size", [1, 100_000])
def test_a_client_that_offers_http_2_is_answered_in_http_1(wire, size):
    """`Upgrade: h2c`, as curl and Java send it beside a body: the whole request is read, and so is the next one."""
    offered = request(BODY, "connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n")
    for at in range(0, len(offered), size):
        wire.sendall(offered[at : at + size])
    assert b'"completion_tokens":3' in read_until(wire, lambda data: b"completion_tokens" in data)
    wire.sendall(request(BODY))
    assert read_until(wire, lambda data: b"completion_tokens" in data).startswith(b"HTTP/1.1 200")


def test_another_upgrade_is_refused(wire):
    """No WebSocket is served."""
    wire.sendall(request(b"", "connection: Upgrade\r\nupgrade: websocket\r\n"))
    assert read_until(wire, lambda data: b"no upgrade is offered" in data).startswith(b"HTTP/1.1 400")


def test_a_client_that_asks_for_leave_to_send_gets_it(wire):
    """Expect: 100-continue."""
    sent = request(BODY, "expect: 100-continue\r\n")
    wire.sendall(sent[: -len(BODY)])
    assert read_until(wire, lambda data: b"\r\n\r\n" in data).startswith(b"HTTP/1.1 100 Continue")
    wire.sendall(BODY)
    assert b"200 OK" in read_until(wire, lambda data: b"completion_tokens" in data)


def test_connection_close_is_kept(wire):
    """After the answer the connection ends."""
    wire.sendall(request(BODY, "connection: close\r\n"))
    assert b'"completion_tokens":3' in read_until(wire, lambda data: False)


@pytest.mark.parametrize("garbage", [b"\x16\x03\x01\x02\x00", b"NONSENSE\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"])
def test_what_is_no_http_is_refused_and_closed(wire, garbage):
    """A TLS hello, a bare word, a version that does not exist: 400, then the end."""
    wire.sendall(garbage)
    assert read_until(wire, lambda data: False).startswith(b"HTTP/1.1 400")


def test_a_client_that_leaves_frees_its_request(emulator, wire):
    """Its stream ends as aborted, and the engine makes no more tokens of it."""
    long = json.dumps({"model": "custom-8b", "prompt": [1], "max_tokens": 4000, "ignore_eos": True, "stream": True})
    wire.sendall(request(long.encode()))
    read_until(wire, lambda data: b"data: " in data)
    wire.close()
    for _ in range(200):
        rows = emulator.get("/truth?last=1")["requests"]
        if rows:
            break
    assert (rows[0]["status"], rows[0]["chunks"] < 4000) == ("aborted", True)


def test_accepted_connections_are_counted(emulator, wire):
    """So that whoever watches /metrics sees a client that does not keep its connections."""

    def counted() -> int:
        wire.sendall(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n")
        head, _, page = read_until(wire, lambda data: b"planned_seconds_count" in data).partition(b"\r\n\r\n")
        size = int(head.lower().partition(b"content-length: ")[2].split()[0])
        page += read_until(wire, lambda data: len(page) + len(data) >= size)
        [line] = [line for line in page.splitlines() if line.startswith(b"peakday_emulator_connections_total ")]
        return int(line.split()[1])

    before = counted()
    emulator.get("/health")
    assert counted() == before + 1


class Transport:
    """A transport over one end of a socket pair; what is written through it is kept, and out when `flush` is called."""

    def __init__(self, end: socket.socket) -> None:
        self.end, self.kept = end, b""

    def get_extra_info(self, name):
        return self.end if name == "socket" else None

    def get_write_buffer_size(self) -> int:
        return len(self.kept)

    def is_closing(self) -> bool:
        return False

    def write(self, data: bytes) -> None:
        self.kept += data

    def flush(self) -> bytes:
        kept, self.kept = self.kept, b""
        return kept


def drained(end: socket.socket) -> bytes:
    data = b""
    while True:
        try:
            data += end.recv(1 << 20)
        except BlockingIOError:
            return data


def test_what_the_socket_does_not_take_waits_in_order():
    """Bytes past a full socket go through the transport's buffer, and so do later ones until it is empty."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        transport = Transport(ours)
        connection = Connection(Server(lambda request, connection: None, lambda: 0.0, lambda: None))
        connection.connection_made(transport)
        big = bytes(range(256)) * 20_000
        connection.send(big)
        connection.send(b"later")
        assert transport.kept.endswith(b"later")
        got = drained(theirs) + transport.flush()
        connection.send(b"last")
        assert got + drained(theirs) == big + b"later" + b"last"
        assert transport.kept == b""


def test_a_reader_that_does_not_keep_up_blocks_its_own_stream():
    """The transport says so; the stream waits, and goes on when it is told."""

    class Stream:
        blocked, resumed = False, False

        def resume(self) -> None:
            self.resumed = True

    connection = Connection(Server(lambda request, connection: None, lambda: 0.0, lambda: None))
    connection.stream = stream = Stream()
    connection.pause_writing()
    assert stream.blocked
    connection.resume_writing()
    assert stream.resumed


@pytest.mark.parametrize("sent", [request(BODY), request(BODY)[:-5], b""], ids=["answered", "half a body", "nothing"])
def test_a_client_that_went_leaves_nothing_that_waits_for_the_collector(sent):
    """The parser holds the connection, and that the last body: thirty kilobytes each, a hundred times a minute."""
    ours, theirs = socket.socketpair()
    transport = SimpleNamespace(get_extra_info={"socket": ours}.get, is_closing=lambda: True)
    server = Server(lambda request, connection: None, lambda: 0.0, lambda: None)
    connection = Connection(server)
    connection.connection_made(transport)
    connection.data_received(sent)
    connection.connection_lost(None)
    gone = weakref.ref(connection)
    gc.disable()
    try:
        del connection
        assert gone() is None
    finally:
        gc.enable()
        ours.close()
        theirs.close()
