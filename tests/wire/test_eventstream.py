"""The event-stream decoder agrees with botocore's, and trusts nothing that fails a checksum."""

import itertools
import struct
from binascii import crc32

from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from wire.eventstream import EventStreamDecoder, EventStreamError


def frame(headers: dict[str, str], payload: bytes) -> bytes:
    """A frame by the specification, written out for the tests alone."""
    head = b"".join(
        bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value.encode())) + value.encode()
        for name, value in headers.items()
    )
    prelude = struct.pack(">II", 16 + len(head) + len(payload), len(head))
    body = prelude + struct.pack(">I", crc32(prelude)) + head + payload
    return body + struct.pack(">I", crc32(body))


NAMES = st.text(st.characters(codec="ascii", categories=["L"]), min_size=1, max_size=20)
MESSAGES = st.lists(
    st.tuples(st.dictionaries(NAMES, st.text(max_size=40), max_size=4), st.binary(max_size=200)), max_size=4
)


@given(MESSAGES, st.lists(st.integers(0, 2000), max_size=6))
def test_any_split_decodes_as_botocore_does(messages, cuts):
    """Same headers and payloads as botocore, wherever the reads end."""
    stream = b"".join(frame(headers, payload) for headers, payload in messages)
    theirs = EventStreamBuffer()
    theirs.add_data(stream)
    expected = [(message.headers, message.payload) for message in theirs]
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    decoder = EventStreamDecoder()
    ours = [m for a, b in itertools.pairwise(edges) for m in decoder.feed(stream[a:b])]
    assert [(message.headers, message.payload) for message in ours] == expected
    assert decoder.pending_bytes == 0


@given(st.integers(0, 59), st.integers(1, 255))
def test_one_flipped_byte_is_never_read_as_a_message(position, flip):
    """A damaged frame raises, or waits for bytes that a longer length promises; it never yields."""
    good = frame({":event-type": "metadata"}, b'{"usage": {"inputTokens": 1}}')
    bad = bytearray(good)
    bad[position % len(good)] ^= flip
    decoder = EventStreamDecoder()
    try:
        messages = decoder.feed(bytes(bad))
    except EventStreamError:
        messages = []
    assert messages == []


def test_an_exception_frame_names_its_kind():
    """An exception in the stream is told from an event."""
    (message,) = EventStreamDecoder().feed(
        frame({":message-type": "exception", ":exception-type": "throttlingException"}, b"{}")
    )
    assert (message.kind, message.name) == ("exception", "throttlingException")


def test_every_header_type_becomes_text():
    """Booleans, integers, bytes, timestamps and UUIDs are read by their own length."""
    values = b"\x01a\x00\x01b\x01\x01c\x02\xff\x01d\x03\xff\xfe\x01e\x04\x00\x00\x00\x05"
    values += b"\x01f\x05" + bytes(7) + b"\x06" + b"\x01g\x06\x00\x02\xab\xcd" + b"\x01h\x08" + bytes(7) + b"\x09"
    values += b"\x01i\x09" + bytes(16)
    prelude = struct.pack(">II", 16 + len(values), len(values))
    body = prelude + struct.pack(">I", crc32(prelude)) + values
    (message,) = EventStreamDecoder().feed(body + struct.pack(">I", crc32(body)))
    assert list(message.headers.values())[:8] == ["true", "false", "-1", "-2", "5", "6", "abcd", "9"]
    assert message.headers["i"] == "00000000-0000-0000-0000-000000000000"
