"""Signals: what was recognised in a foreign answer, whatever its form. Readers turn bytes into them."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol

import orjson

from loadgen.job import TargetSpec, without_query
from loadgen.targets.mapping import at
from loadgen.transport.answer import Answer, BadAnswer
from wire.sse import SseParser


class Signal(NamedTuple):
    """`text` (its value is the text), `end`, `error` (a code), `usage` (tokens by column), `conversation_id`."""

    kind: str
    value: Any = None


class Reader(Protocol):
    """Bytes of one answer -> signals, incrementally."""

    def feed(self, data: bytes) -> Iterable[Signal]:
        """Signals completed by these bytes."""

    def close(self) -> Iterable[Signal]:
        """Signals known only at the end of the body."""


class MappedReader:
    """Reads SSE, NDJSON, or one JSON body as a mapping says."""

    def __init__(self, mapping: Mapping[str, Any]) -> None:
        self._mapping = mapping
        self._format = mapping["format"]
        self._sse = SseParser()
        self._tail = b""

    def feed(self, data: bytes) -> list[Signal]:
        """Signals of every event these bytes complete."""
        if self._format in ("sse", "responses"):
            return [found for event in self._sse.feed(data) for found in self.recognise(event.event, event.data)]
        self._tail += data
        if self._format == "json":
            return []
        *lines, self._tail = self._tail.split(b"\n")
        return [found for line in lines if line.strip() for found in self.recognise("", line)]

    def close(self) -> list[Signal]:
        """The last line of NDJSON may lack its newline; one JSON body is read here."""
        rest, self._tail = self._tail, b""
        if not rest.strip():
            return []
        found = self.recognise("", rest)
        return [*found, Signal("end")] if self._format == "json" else found

    def recognise(self, name: str, data: bytes) -> list[Signal]:
        """What one event means."""
        mapping = self._mapping
        end = mapping.get("end", {})
        if "data" in end and data == str(end["data"]).encode():
            return [Signal("end")]
        value = orjson.loads(data)
        name = str(at(value, mapping["event_name"])) if "event_name" in mapping else name
        signals = []
        for kind in ("conversation_id", "text", "error"):
            part = mapping.get(kind)
            if part and part.get("event") in (None, name) and (found := at(value, part.get("path"))):
                signals.append(Signal(kind, found))
        if usage := self._usage(name, value):
            signals.append(Signal("usage", usage))
        if end and "data" not in end and end.get("event") in (None, name) and at(value, end.get("path")):
            signals.append(Signal("end"))
        return signals

    def _usage(self, name: str, value: Any) -> dict[str, Any]:
        part = self._mapping.get("usage")
        if not part or part.get("event") not in (None, name):
            return {}
        found = {key: at(value, path) for key, path in part.items() if key != "event"}
        return {key: number for key, number in found.items() if number is not None}


class SignalAnswer(Answer):
    """An answer read through signals."""

    __slots__ = ("ended", "reader", "spec", "usage")

    def __init__(self, gaps_ns: array[int], reader: Reader, spec: TargetSpec, keep_text: bool = False) -> None:
        super().__init__(gaps_ns, keep_text)
        self.reader = reader
        self.spec = spec
        self.ended = False
        self.usage: dict[str, Any] = {}

    def feed(self, now_ns: int, data: bytes) -> None:
        """Read what these bytes complete; `now_ns` is when they came."""
        self._take(now_ns, self.reader.feed(data))

    def _take(self, now_ns: int, signals: Iterable[Signal]) -> None:
        chunks = 0
        for kind, value in signals:
            if kind == "text":
                chunks += 1
                if self.text is not None:
                    self.text.append(str(value).encode())
            elif kind == "end":
                self.ended = True
            elif kind == "error":
                self.status = "throttled" if str(value) == "429" else "stream_error"
                self.error_code = str(value)[:100]
            elif kind == "usage":
                self.usage.update(value)
            elif kind == "conversation_id":
                self.meta["conversation_id"] = value
            else:
                raise BadAnswer(f"unknown signal {kind!r}")
        if chunks:
            self.content(now_ns, chunks)

    def complete(self, now_ns: int) -> None:
        """The body ended: one JSON answer is read now, and its first token is its last."""
        if self.http_status == 200 and not self.status:
            self._take(now_ns, self.reader.close())
        super().complete(now_ns)

    def finish(self) -> None:
        """A whole answer has its end."""
        self.status = "ok" if self.ended else "stream_error"
        self.error_code = None if self.ended else "no_end"
        self.output_tokens = self.usage.get("output_tokens")
        self.cost_usd = self.usage.get("cost_usd")
        if self.output_tokens is not None and self.output_tokens >= 2 and self.last_ns > self.first_ns:
            self.tpot_s = (self.last_ns - self.first_ns) * 1e-9 / (self.output_tokens - 1)
        if self.usage:
            self.calls.append(
                {"call_index": 0, "start_s": 0.0, "timed_by": "loadgen", "status": self.status, "purpose": "answer",
                 "endpoint": without_query(self.spec.url), "region": self.spec.region, "tpot_s": self.tpot_s,
                 **self.usage}
            )  # fmt: skip
