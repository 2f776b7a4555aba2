"""JSON values of a stream, each as it ends: in an array, in lines, or one right behind the other, however it is spaced.

Google's streams are such arrays (`streamGenerateContent` of Gemini). What stands between values (brackets, commas,
`data:`) is passed over; numbers and words on the top level are too, for nothing tells where they end.
"""

from __future__ import annotations

import re

VALUE_BYTES_MAX = 1024 * 1024
"""A value that is longer is an attack on our memory, and on our time: every read looks at a text without an end."""
_PART = re.compile(rb'"(?:[^"\\]|\\.)*+"|[{}"]', re.DOTALL)
_STEPS = {b"{": 1, b"}": -1}


_ESCAPE = re.compile(r"\\u[dD][89abAB]..\\u[dD][c-fC-F]..|(\\u[dD][89a-fA-F]..)|\\.")


def readable(data: bytes) -> str:
    """JSON that a strict reader refuses for one character: bytes that are no UTF-8, or half of a surrogate pair.

    A server that cuts text by UTF-16 units escapes the two halves of an emoji in two events.
    """
    return _ESCAPE.sub(lambda part: "\\ufffd" if part[1] else part[0], data.decode("utf-8", "replace"))


class JsonStreamError(ValueError):
    """A stream that cannot be one of JSON values."""


class JsonValues:
    """Incremental; a chunk may end anywhere."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._at = 0  # nothing before it needs another look
        self._depth = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Objects and strings completed by these bytes, in order.

        Raises:
            JsonStreamError: a value longer than `VALUE_BYTES_MAX`.
        """
        self._data += data
        values, start = [], 0
        for part in _PART.finditer(self._data, self._at):
            kind = part[0]
            if kind == b'"':  # a string whose end is still to come
                self._at = part.start()
                break
            self._at = part.end()
            if self._depth == 0:
                start = part.start()
            self._depth = max(0, self._depth + _STEPS.get(kind, 0))
            if self._depth == 0 and self._data[start : self._at] != b"}":
                values.append(bytes(self._data[start : self._at]))
                start = self._at
        else:
            self._at = len(self._data)
        if self._depth == 0:
            start = self._at
        del self._data[:start]
        self._at -= start
        if len(self._data) > VALUE_BYTES_MAX:
            raise JsonStreamError(f"a value of more than {VALUE_BYTES_MAX >> 20} MiB")
        return values
