"""An assistant behind a WebSocket, as a mapping with such a URL describes it: a socket a conversation."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from loadgen.job import TargetSpec
from loadgen.schedule.session import SessionState
from loadgen.targets.base import new_trace, trace_headers
from loadgen.targets.http import HttpTarget
from loadgen.targets.mapping import fill
from loadgen.targets.signals import MappedReader, SignalAnswer
from loadgen.transport.answer import Answer
from wire.web_socket import CLOSED_WELL, SWITCHED, Opening


@dataclass(frozen=True)
class Turn:
    """One question: how its socket is opened where it has none, what is sent first there, and its messages."""

    opening: Opening
    first: tuple[str, ...]
    messages: tuple[str, ...]


class SocketAnswer(SignalAnswer):
    """An answer that ends with the mapping's `end`, an error, or the socket."""

    __slots__ = ("turn",)

    def __init__(
        self, gaps_ns: array[int], reader: MappedReader, spec: TargetSpec, turn: Turn, keep_text: bool = False
    ) -> None:
        super().__init__(gaps_ns, reader, spec, keep_text)
        self.turn = turn

    @property
    def good(self) -> bool:
        """A handshake that was accepted."""
        return self.http_status == SWITCHED

    def feed(self, now_ns: int, data: bytes) -> None:
        """Read whole messages; the socket hears where they end the answer."""
        super().feed(now_ns, data)
        if self.ended or self.status:
            self.connection.finish()

    def finish(self) -> None:
        """A close with a code that tells of an error is named by it."""
        super().finish()
        closed = self.connection.socket.closed
        if not self.ended and closed is not None and closed not in CLOSED_WELL:
            self.refuse("stream_error", f"closed_{closed}", self.connection.socket.reason)


class SocketTarget(HttpTarget):
    """Turns of a conversation over one socket, opened by its first."""

    def turn(self, state: SessionState) -> tuple[bytes, Answer]:
        """The present turn's messages; a new conversation leaves the last one's socket."""
        if state.turn_index == 0 and state.connection is not None:
            state.connection.leave()
            state.connection = None
        assert self._shared is not None
        trace_id, span_id = new_trace(self._shared.random)
        fields, keep = self.turn_fields(state)
        turn = self.messages(fields, trace_headers(trace_id, span_id))
        answer = SocketAnswer(self._shared.gaps_ns, MappedReader(self._mapping), self.spec, turn, keep)
        answer.meta["trace_id"] = trace_id
        return b"", answer

    def messages(self, fields: Mapping[str, object], more: Mapping[str, str]) -> Turn:
        """One question, its templates filled."""
        opening = Opening(self.where.host_header, self.path(fields), {**more, **self.headers(fields)})
        return Turn(opening, _messages(self._mapping.get("open", []), fields), _messages(self._mapping["body"], fields))


def _messages(template: object, fields: Mapping[str, object]) -> tuple[str, ...]:
    """Each item of a list is a message of its own; a text is sent as it is, anything else as JSON."""
    filled = fill(template, fields)
    items = filled if isinstance(filled, list) else [filled]
    return tuple(item if isinstance(item, str) else orjson.dumps(item).decode() for item in items)
