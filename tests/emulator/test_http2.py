"""HTTP/2 by prior knowledge, as the AWS SDK for JavaScript speaks it; the client here is h2 over a socket."""

import gc
import json
import socket
import weakref
from collections import defaultdict
from types import SimpleNamespace

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, ResponseReceived, StreamEnded, StreamReset
from h2.settings import SettingCodes, Settings

from emulator.http.http2 import Http2Stream
from tests.emulator.conftest import FAST

BODY = json.dumps({"model": "custom-8b", "prompt": [1, 2, 3], "max_tokens": 3, "stream": True}).encode()
NOVA = "/model/us.amazon.nova-pro-v1:0/converse-stream"
HELLO = json.dumps({"messages": [{"role": "user", "content": [{"text": "hello"}]}]}).encode()


class Client:
    """One connection. What came is kept by stream: status and headers, body, and how it ended."""

    def __init__(self, url: str, window: int = 65_535) -> None:
        host, port = url.removeprefix("http://").split(":")
        self._begin(socket.create_connection((host, int(port)), timeout=120), window)

    @classmethod
    def over(cls, link: socket.socket) -> "Client":
        """On a connection that stands, such as one of TLS."""
        made = cls.__new__(cls)
        made._begin(link, 65_535)
        return made

    def _begin(self, link: socket.socket, window: int) -> None:
        self.socket = link
        self.h2 = H2Connection(H2Configuration(header_encoding="utf-8"))
        self.h2.local_settings = Settings(initial_values={SettingCodes.INITIAL_WINDOW_SIZE: window})
        self.h2.initiate_connection()
        self.heads: dict[int, dict[str, str]] = {}
        self.bodies: dict[int, bytes] = defaultdict(bytes)
        self.ends: dict[int, str] = {}

    def flush(self) -> None:
        self.socket.sendall(self.h2.data_to_send())

    def ask(self, path: str = "/v1/completions", body: bytes = BODY) -> int:
        number = self.h2.get_next_available_stream_id()
        head = {":method": "POST" if body else "GET", ":scheme": "http", ":authority": "127.0.0.1", ":path": path}
        self.h2.send_headers(number, [*head.items(), ("authorization", "Bearer key")], end_stream=not body)
        if body:
            self.h2.send_data(number, body, end_stream=True)
        self.flush()
        return number

    def read(self, done) -> None:
        """Take frames until `done()`; what was received is acknowledged, so that windows open again."""
        while not done():
            data = self.socket.recv(65_536)
            assert data, "the server closed the connection"
            for event in self.h2.receive_data(data):
                if isinstance(event, ResponseReceived):
                    self.heads[event.stream_id] = dict(event.headers)
                elif isinstance(event, DataReceived):
                    self.bodies[event.stream_id] += event.data
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, StreamEnded | StreamReset):
                    self.ends[event.stream_id] = type(event).__name__
            self.flush()

    def answer(self, number: int) -> bytes:
        self.read(lambda: number in self.ends)
        return self.bodies[number]


@pytest.fixture
def client(emulator):
    made = Client(emulator.url)
    yield made
    made.socket.close()


def test_streams_of_one_connection_are_answered_at_once(client):
    """Twenty requests on one connection: each has its own whole answer, without HTTP/1.1's headers in it."""
    numbers = [client.ask() for _ in range(20)]
    assert {client.answer(number).count(b"data: [DONE]") for number in numbers} == {1}
    assert {client.heads[number][":status"] for number in numbers} == {"200"}
    assert "transfer-encoding" not in client.heads[numbers[0]]
    assert client.heads[numbers[0]]["x-peakday-simulated"] == "1"


def test_an_answer_equals_that_of_http_1(emulator, client):
    """The same page by both protocols."""
    number = client.ask("/v1/models", b"")
    assert json.loads(client.answer(number))["data"][0]["id"] == emulator.get("/v1/models")["data"][0]["id"]


def test_small_windows_hold_an_answer_up_and_lose_nothing(emulator):
    """A window of 300 bytes for a stream of 20 frames of events: all of it comes, piece by piece."""
    client = Client(emulator.url, window=300)
    number = client.ask(NOVA, HELLO)
    assert client.answer(number).count(b"contentBlockDelta") == 20
    client.socket.close()


def test_a_preface_may_come_in_pieces(emulator):
    """Byte by byte, and it is still HTTP/2."""
    client = Client(emulator.url)
    for byte in client.h2.data_to_send():
        client.socket.sendall(bytes([byte]))
    assert client.answer(client.ask("/health", b""))
    client.socket.close()


def test_a_client_that_says_goodbye_still_gets_its_answers(client):
    """GOAWAY opens no more streams; the one under way ends well."""
    number = client.ask(NOVA, HELLO)
    client.socket.sendall(
        b"\x00\x00\x08\x07\x00\x00\x00\x00\x00" + b"\x00" * 8
    )  # frame type 7, last stream 0, no error
    assert client.answer(number).count(b"metadata") == 1


def test_a_request_that_is_given_up_ends_as_aborted(emulator, client):
    """A reset frees the engine; the next stream of the connection is answered."""
    long = {"model": "custom-8b", "prompt": [1], "max_tokens": 4000, "ignore_eos": True, "stream": True}
    number = client.ask("/v1/completions", json.dumps(long).encode())
    client.read(lambda: client.bodies[number])
    client.h2.reset_stream(number)
    assert client.answer(client.ask("/health", b""))
    [row] = emulator.get("/truth?last=1")["requests"]
    assert (row["status"], row["chunks"] < 4000) == ("aborted", True)


def test_a_fault_that_cuts_breaks_its_own_stream_only(emulator, client):
    """cut_stream: that stream is reset, the connection goes on."""
    emulator.control("profiles", {"nova-pro": FAST})
    emulator.control("faults", [{"kind": "cut_stream", "length_s": 60}])
    number = client.ask(NOVA, HELLO)
    client.read(lambda: number in client.ends)
    assert client.ends[number] == "StreamReset"
    assert client.answer(client.ask("/health", b""))


def test_what_is_no_frame_is_refused(client):
    """A frame on a stream of the server's: the connection ends with a GOAWAY, the emulator goes on."""
    client.flush()
    client.socket.sendall(b"\x00\x00\x01\x00\x01\x00\x00\x00\x02x")
    with pytest.raises((AssertionError, OSError)):
        client.read(lambda: False)


@pytest.mark.parametrize("how", ["let_go", "abandon"])
def test_a_request_that_is_over_leaves_nothing_that_waits_for_the_collector(how):
    """The parser of its answer holds it, and it holds the body of the request."""
    stream = Http2Stream(SimpleNamespace(holds=lambda _: False), 1, [(b":authority", b"127.0.0.1")])
    getattr(stream, how)()
    stream.send(b"HTTP/1.1 200 OK\r\n\r\n")
    gone = weakref.ref(stream)
    gc.disable()
    try:
        del stream
        assert gone() is None
    finally:
        gc.enable()
