"""AWS event stream: frames of `application/vnd.amazon.eventstream` -> messages. Decoding only.

Frame: total length (4 bytes), headers length (4), CRC-32 of those 8 (4), headers, payload, CRC-32 of all before (4);
big-endian. Source: Smithy event stream specification (amazon.eventstream); checked against botocore in the tests.
The encoder lives in the emulator, so that what is tested and what tests it share no codec.
"""

from __future__ import annotations

import struct
import uuid
from binascii import crc32
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

_PRELUDE = struct.Struct(">III")
_U16 = struct.Struct(">H")
_U32 = struct.Struct(">I")
_FRAME_BYTES_MIN = _PRELUDE.size + 4
FRAME_BYTES_MAX = 24 * 1024 * 1024
"""botocore accepts no larger frame (16 MiB payload and its headers), and neither do we."""
HEADERS_BYTES_MAX = 128 * 1024


class EventStreamError(ValueError):
    """Bytes that are no event stream, or a checksum that does not hold: nothing after it can be trusted."""


@dataclass(frozen=True, slots=True)
class Message:
    """One frame. Header values are text, whatever their wire type."""

    headers: Mapping[str, str]
    payload: bytes

    @property
    def kind(self) -> str:
        """`event`, `exception` or `error`."""
        return self.headers.get(":message-type", "event")

    @property
    def name(self) -> str:
        """The event's or exception's type."""
        return (
            self.headers.get(":event-type")
            or self.headers.get(":exception-type")
            or self.headers.get(":error-code", "")
        )


class EventStreamDecoder:
    """Incremental decoder; a chunk may end anywhere."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        """Messages completed by these bytes, in order.

        Raises:
            EventStreamError: a bad checksum or an impossible length.
        """
        buffer = self._buffer
        buffer += data
        messages = []
        start = 0
        while len(buffer) - start >= _PRELUDE.size:
            total = _checked_total(buffer, start)
            if len(buffer) - start < total:
                break
            messages.append(_message(bytes(buffer[start : start + total])))
            start += total
        if start:
            del buffer[:start]
        return messages

    @property
    def pending_bytes(self) -> int:
        """Bytes of a frame not complete yet; not zero at the end of a stream means it was cut."""
        return len(self._buffer)


def _checked_total(buffer: bytearray, start: int) -> int:
    """Total length of the frame at start, its prelude checked."""
    total, headers_length, checksum = _PRELUDE.unpack_from(buffer, start)
    if crc32(buffer[start : start + 8]) != checksum:
        raise EventStreamError("prelude checksum does not hold")
    if not _FRAME_BYTES_MIN + headers_length <= total <= FRAME_BYTES_MAX or headers_length > HEADERS_BYTES_MAX:
        raise EventStreamError(f"impossible frame: {total} bytes with {headers_length} bytes of headers")
    return int(total)


def _message(frame: bytes) -> Message:
    (checksum,) = _U32.unpack_from(frame, len(frame) - 4)
    if crc32(frame[:-4]) != checksum:
        raise EventStreamError("message checksum does not hold")
    (headers_length,) = _U32.unpack_from(frame, 4)
    end = _PRELUDE.size + headers_length
    return Message(_headers(frame[_PRELUDE.size : end]), frame[end:-4])


@lru_cache(maxsize=256)
def _headers(data: bytes) -> Mapping[str, str]:
    """Headers from their bytes; cached, since every text delta of a stream carries the same ones."""
    headers: dict[str, str] = {}
    at = 0
    try:
        while at < len(data):
            name_end = at + 1 + data[at]
            name = data[at + 1 : name_end].decode()
            value, at = _READERS[data[name_end]](data, name_end + 1)
            headers[name] = value
    except (IndexError, KeyError, struct.error, UnicodeDecodeError, ValueError) as error:
        raise EventStreamError(f"headers cannot be read: {error}") from None
    if at != len(data):
        raise EventStreamError("headers end inside a value")
    return MappingProxyType(headers)


def _number(code: str) -> Callable[[bytes, int], tuple[str, int]]:
    form = struct.Struct(code)

    def read(data: bytes, at: int) -> tuple[str, int]:
        return str(form.unpack_from(data, at)[0]), at + form.size

    return read


def _text(data: bytes, at: int) -> tuple[str, int]:
    (length,) = _U16.unpack_from(data, at)
    return data[at + 2 : at + 2 + length].decode(), at + 2 + length


def _bytes(data: bytes, at: int) -> tuple[str, int]:
    (length,) = _U16.unpack_from(data, at)
    return data[at + 2 : at + 2 + length].hex(), at + 2 + length


_READERS: dict[int, Callable[[bytes, int], tuple[str, int]]] = {
    0: lambda data, at: ("true", at),
    1: lambda data, at: ("false", at),
    2: _number(">b"),
    3: _number(">h"),
    4: _number(">i"),
    5: _number(">q"),
    6: _bytes,
    7: _text,
    8: _number(">q"),  # milliseconds since the epoch
    9: lambda data, at: (str(uuid.UUID(bytes=data[at : at + 16])), at + 16),
}
