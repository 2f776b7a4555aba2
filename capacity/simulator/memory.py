"""Results of a pure function, kept by the content of its arguments: the same simulation is never made twice.

A plan looks results up some hundred times, so that is where one that nobody waits for can end (`ended_by`).
"""

from __future__ import annotations

import contextlib
import hashlib
from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import is_dataclass
from typing import Generic, TypeVar

import numpy as np

_Result = TypeVar("_Result")
_GO_ON: ContextVar[Callable[[], None] | None] = ContextVar("go_on", default=None)


@contextlib.contextmanager
def ended_by(go_on: Callable[[], None]) -> Iterator[None]:
    """Have `go_on()` called before each look-up in a block, in this thread: what it raises ends the block."""
    before = _GO_ON.set(go_on)
    try:
        yield
    finally:
        _GO_ON.reset(before)


class Memory(Generic[_Result]):
    """The newest results, at most so many. `heard`: who is told before one is made, for as long as a block runs."""

    def __init__(self, entries_max: int) -> None:
        self._entries_max = entries_max
        self._results: OrderedDict[str, _Result] = OrderedDict()
        self._tell: Callable[..., None] | None = None

    @contextlib.contextmanager
    def heard(self, tell: Callable[..., None]) -> Iterator[None]:
        """Have `tell(*label)` called before each result that is not known yet."""
        self._tell, before = tell, self._tell
        try:
            yield
        finally:
            self._tell = before

    def get(self, key: str, make: Callable[[], _Result], label: tuple[str, ...] = ()) -> _Result:
        """The result of this key; made now where it is not known."""
        if (go_on := _GO_ON.get()) is not None:
            go_on()
        if key not in self._results:
            if self._tell is not None:
                self._tell(*label)
            self._results[key] = make()
            while len(self._results) > self._entries_max:
                self._results.popitem(last=False)
        self._results.move_to_end(key)
        return self._results[key]


def content_key(*values: object) -> str:
    """64 hex digits over the content: arrays and tuples of floats by bytes, a float by its shortest exact form."""
    digest = hashlib.sha256()
    for value in values:
        digest.update(_content(value))
        digest.update(b"\0")
    return digest.hexdigest()


def _content(value: object) -> bytes:
    if isinstance(value, np.ndarray):
        return f"{value.dtype.str} {value.shape} ".encode() + np.ascontiguousarray(value).tobytes()
    if is_dataclass(value) and not isinstance(value, type):
        fields = [getattr(value, name) for name in value.__dataclass_fields__]
        return type(value).__name__.encode() + b"".join(_content(part) + b"\1" for part in fields)
    if isinstance(value, tuple):  # its own text would round an array's numbers
        if set(map(type, value)) == {float}:  # a timeline has thousands: all at once
            return f"({len(value)} floats ".encode() + array("d", value).tobytes()
        return b"(" + b"".join(_content(part) + b"\1" for part in value)
    return repr(value).encode()
