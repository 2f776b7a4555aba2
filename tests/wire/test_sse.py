"""Server-sent events are understood however the network cuts them."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.sse import SseError, SseEvent, SseParser, encode

STREAM = (
    b'event: meta\ndata: {"a":1}\n\n: comment\ndata: one\ndata: two\n\nid: 7\n\ndata:bare\r\n\r\nevent: x\rdata: y\r\r'
)
EVENTS = [
    SseEvent("meta", b'{"a":1}'),
    SseEvent("message", b"one\ntwo"),
    SseEvent("message", b"bare"),
    SseEvent("x", b"y"),
]


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_any_split_of_the_stream_gives_the_same_events(cuts):
    """Events do not depend on where reads end, with LF, CRLF and CR line ends in one stream."""
    edges = [0, *sorted(cuts), len(STREAM)]
    parser = SseParser()
    seen = [event for start, end in itertools.pairwise(edges) for event in parser.feed(STREAM[start:end])]
    assert seen == EVENTS


def test_a_byte_order_mark_is_not_part_of_the_first_field():
    """A leading BOM is dropped, even when it arrives byte by byte."""
    parser = SseParser()
    seen = [event for byte in b"\xef\xbb\xbfdata: x\n\n" for event in parser.feed(bytes([byte]))]
    assert seen == [SseEvent("message", b"x")]


def test_an_event_without_data_is_not_dispatched():
    """An event name alone says nothing."""
    assert SseParser().feed(b"event: ping\n\ndata: 1\n\n") == [SseEvent("message", b"1")]


def test_what_we_encode_we_read_back():
    """encode and the parser agree."""
    assert SseParser().feed(encode("delta", b'{"text":"a"}')) == [SseEvent("delta", b'{"text":"a"}')]


def test_a_line_of_four_mebibytes_is_waited_for_and_one_byte_more_is_refused():
    parser = SseParser()
    assert parser.feed(b"x" * (4 * 1024 * 1024)) == []
    with pytest.raises(SseError, match=r"a line of more than 4 MiB"):
        parser.feed(b"x")


def test_a_byte_order_mark_within_the_stream_is_text():
    parser = SseParser()
    assert parser.feed(b"data: a\n") == []
    assert parser.feed(b"\xef\xbb\xbfdata: b\n\n") == [SseEvent("message", b"a")]


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_an_event_is_dispatched_with_its_last_byte_whatever_ends_its_lines(end):
    """A stream of bare CRs gives its first token when it came, not with the second."""
    parser = SseParser()
    assert [len(parser.feed(b"data: x" + end + end)) for _ in range(3)] == [1, 1, 1]
