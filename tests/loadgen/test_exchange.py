"""One blocking request: the same answers as a load worker's, and an end whatever the server does."""

import socket

import pytest

from loadgen.transport.answer import BadAnswer
from loadgen.transport.exchange import Exchange
from wire.http_response import ResponseError

OK = b"HTTP/1.1 200 OK\r\n"
LENGTH = b"Content-Length: 2\r\n\r\nhi"


def exchanged(wire: bytes, within_s: float = 30.0, bytes_max: int = 200_000, stays: bool = False) -> tuple[int, bytes]:
    """Status and body of a server that writes this, and closes unless it stays."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(wire)
        if not stays:
            theirs.shutdown(socket.SHUT_WR)
        exchange = Exchange(ours, within_s, bytes_max)
        exchange.send(b"GET / HTTP/1.1\r\n\r\n")
        return exchange.status, exchange.read(1_000_000)


@pytest.mark.parametrize(
    "wire",
    [
        OK + LENGTH,
        OK + b"".join(b"X-%d: v\r\n" % n for n in range(150)) + LENGTH,
        b"HTTP/1.1 103 Early Hints\r\nLink: </s>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + OK + LENGTH,
        OK + LENGTH + b"and more",
        b"HTTP/1.0 200 OK\r\n\r\nhi",
        OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX: y\r\n\r\n",
    ],
    ids=["plain", "150 headers", "interim", "bytes behind", "end by close", "trailers"],
)
def test_what_a_load_run_reads_is_read(wire):
    assert exchanged(wire) == (200, b"hi")


@pytest.mark.parametrize(
    ("wire", "error", "words"),
    [
        (b"", ConnectionError, "closed without an answer"),
        (OK + b"Content-Length: 9\r\n\r\nhi", ConnectionError, "closed before its end"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", ResponseError, "no HTTP/1.1, it begins with b'SSH-2.0"),
        (b"\x15\x03\x01\x00\x02\x02\x46", ResponseError, "it speaks TLS: name it by https://"),
        (b"\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0d", ResponseError, "it speaks HTTP/2 alone"),
    ],
    ids=["nothing", "cut", "SSH", "TLS", "HTTP/2"],
)
def test_what_is_no_answer_says_what_it_is(wire, error, words):
    with pytest.raises(error, match=words):
        exchanged(wire)


@pytest.mark.parametrize(
    ("wire", "words"),
    [(b"", "no answer within"), (OK + b"\r\nhi", "no end within"), (OK + b"X: y", "no end within")],
    ids=["silent", "body", "head"],
)
def test_a_server_that_keeps_the_connection_is_given_up(wire, words):
    with pytest.raises(TimeoutError, match=words):
        exchanged(wire, within_s=0.02, stays=True)


def test_an_answer_without_end_is_given_up():
    """Every byte of it would be kept: memory is bounded."""
    with pytest.raises(BadAnswer, match="and no end"):
        exchanged(OK + b"\r\n" + b"w" * 60_000, bytes_max=50_000)
