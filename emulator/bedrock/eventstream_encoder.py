"""The AWS event-stream frames of ConverseStream. Encoder only: the project's decoder (wire/) shares nothing with it.

A frame: total length, header length, CRC32 of those 8 bytes; headers; payload; CRC32 of all before. Big-endian.
Source: smithy.io, "Amazon Event Stream Specification"; checked here against botocore's parser.
"""

from __future__ import annotations

import random
import struct
from functools import cache
from zlib import crc32

import orjson

_STRING = 7  # header value type
_PRELUDE = struct.Struct("!II")
_WORD = struct.Struct("!I")
_FILLER = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


def _header(name: str, value: str) -> bytes:
    raw = value.encode()
    return struct.pack("!B", len(name)) + name.encode() + struct.pack("!BH", _STRING, len(raw)) + raw


@cache
def _headers(message_type: str, name: str) -> bytes:
    kind = ":exception-type" if message_type == "exception" else ":event-type"
    return _header(kind, name) + _header(":content-type", "application/json") + _header(":message-type", message_type)


def _frame(headers: bytes, payload: bytes) -> bytes:
    prelude = _PRELUDE.pack(16 + len(headers) + len(payload), len(headers))
    start = prelude + _WORD.pack(crc32(prelude)) + headers + payload
    return start + _WORD.pack(crc32(start))


def event(name: str, payload: bytes) -> bytes:
    """One event frame; `payload` is the JSON of the event's members."""
    return _frame(_headers("event", name), payload)


def exception(name: str, message: str) -> bytes:
    """An exception inside the stream, such as throttlingException; nothing follows it."""
    return _frame(_headers("exception", name), orjson.dumps({"message": message}))


def with_bad_crc(frame: bytes) -> bytes:
    """The frame with its last checksum byte flipped."""
    return frame[:-1] + bytes([frame[-1] ^ 0xFF])


def filler(seed: int) -> str:
    """The padding member `p`, by which the service hides token lengths; any length from 1 to 62."""
    return _FILLER[: random.Random(seed).randint(1, len(_FILLER))]
