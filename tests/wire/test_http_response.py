"""The one HTTP/1.1 response reader: the same response however its bytes are cut, and one response at a time."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.http_response import HEAD_BYTES_MAX, MALFORMED, ResponseReader, retry_after

CHUNKED = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nhello\r\n7\r\n, world\r\n0\r\n\r\n"
)


def read(*pieces):
    """A reader that was fed the pieces, and the body it gave."""
    reader, body = ResponseReader(), b""
    for piece in pieces:
        reader.feed(piece)
        body += reader.take_body()
    return reader, body


@given(cuts=st.lists(st.integers(0, len(CHUNKED)), max_size=8))
def test_a_response_is_the_same_however_it_is_cut(cuts):
    edges = [0, *sorted(cuts), len(CHUNKED)]
    reader, body = read(*(CHUNKED[a:b] for a, b in pairwise(edges) if a < b))
    assert (reader.status, body, reader.complete, reader.keep_alive) == (200, b"hello, world", True, True)
    assert reader.headers[b"content-type"] == b"text/event-stream"


def test_the_next_response_follows_a_reset():
    reader, _ = read(CHUNKED)
    reader.reset()
    assert (reader.begun, reader.has_head, reader.complete) == (False, False, False)
    reader.feed(b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno")
    assert (reader.status, reader.take_body(), reader.complete) == (404, b"no", True)


def test_an_interim_response_is_passed_over():
    reader, body = read(b"HTTP/1.1 100 Continue\r\nX-Interim: 1\r\n\r\n", CHUNKED)
    assert (reader.status, body, reader.complete) == (200, b"hello, world", True)
    assert b"x-interim" not in reader.headers


@pytest.mark.parametrize(
    ("head", "ends"), [(b"", True), (b"Content-Length: 5\r\n", False), (b"Transfer-Encoding: chunked\r\n", False)]
)
def test_only_a_response_without_a_length_ends_with_its_connection(head, ends):
    reader, _ = read(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n")
    assert reader.ends_at_close() is ends
    assert not ResponseReader().ends_at_close()


def test_connection_close_keeps_nothing_alive():
    reader, _ = read(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    assert (reader.complete, reader.keep_alive) == (True, False)


@pytest.mark.parametrize(
    "data",
    [
        b"<html>not http</html>\r\n\r\n",
        CHUNKED + CHUNKED,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * HEAD_BYTES_MAX,
    ],
    ids=["no http", "two responses", "bad chunk", "two lengths", "endless head"],
)
def test_what_is_no_single_response_is_malformed(data):
    with pytest.raises(MALFORMED):
        read(data)


def test_an_endless_head_is_refused_however_slowly_it_comes():
    line = b"X-Padding: " + b"a" * 100 + b"\r\n"
    with pytest.raises(MALFORMED):
        read(b"HTTP/1.1 200 OK\r\n", *[line] * 1000)


@given(data=st.binary(max_size=200))
def test_any_bytes_are_a_response_or_malformed(data):
    reader = ResponseReader()
    try:
        reader.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"[: len(data)] + data)
    except MALFORMED:
        return
    assert reader.status in (0, 200) or reader.has_head


def test_a_closed_reader_takes_no_bytes():
    reader, _ = read(CHUNKED)
    reader.close()
    with pytest.raises(MALFORMED, match="closed"):
        reader.feed(b"x")


@pytest.mark.parametrize(
    ("headers", "again"),
    [
        ({b"retry-after": b" 7 "}, "7 s"),
        ({b"retry-after": b"Wed, 21 Oct 2026 07:28:00 GMT"}, "Wed, 21 Oct 2026 07:28:00 GMT"),
        ({b"retry-after": b"2", b"retry-after-ms": b"1500"}, "1.5 s"),
        ({b"retry-after-ms": b"soon", b"retry-after": b"3"}, "3 s"),
        ({b"retry-after": b"x" * 5_000}, "x" * 40),
        ({}, ""),
    ],
)
def test_when_to_come_back_is_read_in_each_of_its_forms(headers, again):
    assert retry_after(headers) == again
