"""Answers of targets without a mapping, taken apart for `ask`, `detect` and `check`; never in a load run.

Each reads with what reads the same bytes in a load run. Content that no customer reads (reasoning, a tool's arguments)
is a signal `content`: a first token too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from random import Random

import orjson

from host.json_values import mapping, objects
from loadgen.job import LoadJob, TargetSpec
from loadgen.schedule.session import SessionState
from loadgen.targets.base import Shared
from loadgen.targets.bedrock import USAGE, BedrockTarget
from loadgen.targets.module import ModuleTarget
from loadgen.targets.openai import usage_columns
from loadgen.targets.signals import Reader, Signal, SignalAnswer
from loadgen.targets.usage import count
from loadgen.transport.answer import BadAnswer, as_event
from loadgen.transport.connection import Endpoint
from scenarios.sessions import Interaction, Session, Turn
from wire.eventstream import EventStreamDecoder, Message
from wire.openai_stream import ChatEvent, read_event
from wire.sse import SseParser

MAX_TOKENS = 256
"""Of an answer to `ask`, which has no scenario."""
_KEYS_SHOWN = 12


class OwnReader:
    """`ignored` gathers a reason for each event that gave no signal."""

    def __init__(self) -> None:
        self.ignored: list[str] = []

    def feed(self, data: bytes) -> list[Signal]:
        """Signals of every event that these bytes complete."""
        raise NotImplementedError

    def close(self) -> list[Signal]:
        """Signals known only at the end of the body."""
        return []

    def reasons(self, signals: list[Signal]) -> list[str]:
        """Why what was read since the last call gave no signal."""
        reasons, self.ignored = self.ignored, []
        return reasons or ([] if signals else ["a comment, or part of an event so far"])


class ChatReader(OwnReader):
    """Chunks of an OpenAI-compatible server."""

    def __init__(self) -> None:
        super().__init__()
        self._sse = SseParser()
        self._body: bytes | None = b""  # while it may be one of JSON; None once it is a stream

    def feed(self, data: bytes) -> list[Signal]:
        """Signals of every event that these bytes complete."""
        if self._body is not None:
            self._body += data
            if self._body.lstrip()[:1] in (b"{", b""):
                return []
            data, self._body = self._body, None
        signals = []
        for event in self._sse.feed(data):
            found = list(_of_chat(read_event(event.event, event.data)))
            if not found:
                self.ignored.append(_no_chat(event.data.strip()))
            signals += found
        return signals

    def close(self) -> list[Signal]:
        """The last event may lack its blank line, and one JSON body is read here."""
        whole, self._body = self._body, None
        return self.feed((as_event(whole) if whole else b"") + b"\n\n")


def _of_chat(event: ChatEvent) -> Iterator[Signal]:
    if event.failure is not None:
        code, message = event.failure.code, event.failure.message
        yield Signal("error", f"{code}: {message}" if message not in ("", code) else code)
    if event.text:
        yield Signal("text", event.text)
    elif event.content_key is not None:
        yield Signal("content", event.content_key)
    for choice in event.choices:
        for call in objects(mapping(choice.get("delta") or choice.get("message")).get("tool_calls")):
            if name := mapping(call.get("function")).get("name"):
                yield Signal("tool", name)
    if event.usage:
        yield Signal("usage", {name: value for name, value in usage_columns(event.usage).items() if value is not None})
    if event.done or event.finish_reason is not None:
        yield Signal("end", event.finish_reason or "[DONE]")


def _no_chat(data: bytes) -> str:
    """Why an event says nothing."""
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        return "no JSON: it only keeps the connection alive"
    keys = ", ".join(map(str, list(value)[:_KEYS_SHOWN])) if isinstance(value, dict) else type(value).__name__
    return f"no content, usage, finish reason or error in it; it has {keys}"


class ConverseReader(OwnReader):
    """Frames of Bedrock's Converse stream."""

    def __init__(self) -> None:
        super().__init__()
        self._frames = EventStreamDecoder()

    def feed(self, data: bytes) -> list[Signal]:
        """Signals of every frame that these bytes complete."""
        signals = []
        for frame in self._frames.feed(data):
            found = list(_of_converse(frame))
            if not found:
                self.ignored.append(f"{frame.name}: no content, stop reason or usage in it")
            signals += found
        return signals


def _of_converse(frame: Message) -> Iterator[Signal]:
    value = mapping(orjson.loads(frame.payload or b"{}"))
    if frame.kind != "event":
        yield Signal("error", f"{frame.name}: {value.get('message', '')}")
    elif frame.name == "contentBlockDelta":
        delta = mapping(value.get("delta"))
        yield from (
            Signal("text", part) if key == "text" else Signal("content", key) for key, part in delta.items() if part
        )
    elif frame.name == "contentBlockStart":
        if name := mapping(mapping(value.get("start")).get("toolUse")).get("name"):
            yield Signal("tool", name)
    elif frame.name == "messageStop":
        yield Signal("end", value.get("stopReason"))
    elif frame.name == "metadata" and (usage := mapping(value.get("usage"))):
        yield Signal("usage", {name: count(usage[name], name) for name in USAGE if usage.get(name) is not None})


class ModuleReader(OwnReader):
    """What the user's own class makes of the bytes."""

    def __init__(self, reader: Reader) -> None:
        super().__init__()
        self._reader = reader

    def feed(self, data: bytes) -> list[Signal]:
        """Its signals, and its word for bytes that gave none."""
        return self._signals(self._reader.feed(data))

    def close(self) -> list[Signal]:
        """Its signals at the end of the body."""
        return self._signals(self._reader.close())

    @staticmethod
    def _signals(pairs: Iterable[tuple[str, object]] | None) -> list[Signal]:
        signals = [Signal(*pair) for pair in pairs or ()]
        known = ("text", "end", "error", "usage", "tool", "conversation_id")
        if unknown := [signal.kind for signal in signals if signal.kind not in known]:
            raise BadAnswer(f"unknown signal {unknown[0]!r}; known: {', '.join(known)}")
        return signals


def own_call(spec: TargetSpec, where: Endpoint, message: str, fields: Mapping[str, object]) -> tuple[bytes, OwnReader]:
    """The request of one question to a `bedrock` or `module` target as a load worker sends it, and its reader.

    fields: `messages` (the conversation so far, the question last), `turn_index` and `conversation_id`.
    """
    job = LoadJob(
        scenario={"assistant": {"max_tokens": MAX_TOKENS}}, scenario_hash="", seed=0, messages="", window=(0.0, 1.0),
        run_dir="", run_id="ask", targets=(spec,), keep_text=True,
    )  # fmt: skip
    shared = Shared(job, {"asked": {"text": message}}, Random())
    target: BedrockTarget | ModuleTarget
    target = (BedrockTarget if spec.kind == "bedrock" else ModuleTarget)(spec, where, shared)
    number = int(str(fields.get("turn_index", 0)))
    turns = [Turn("asked", 0.0, None, None)] * (number + 1)
    state = SessionState(Session(0, 0, "c000001", "en_US", [Interaction(0.0, turns)]), spec.region, target, "ask")
    state.turn_index = number
    state.conversation_id = str(known) if (known := fields.get("conversation_id")) is not None else None
    said = objects(fields.get("messages"))[:-1]
    state.history = [(str(one["role"]), str(one["content"])) for one in said]
    request, answer = target.turn(state)
    return request, ModuleReader(answer.reader) if isinstance(answer, SignalAnswer) else ConverseReader()
