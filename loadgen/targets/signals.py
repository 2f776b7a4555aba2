"""Signals: what was recognised in a foreign answer, whatever its form. Readers turn bytes into them."""

from __future__ import annotations

import binascii
import codecs
import contextlib
import re
from array import array
from codecs import BOM_UTF8
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol, cast

import orjson

from loadgen.job import TargetSpec
from loadgen.targets.mapping import BASE64, FRAMING, PARTS, PLAIN, at, is_one_body, is_socket
from loadgen.targets.mapping_form import Rule, TargetMapping
from loadgen.targets.usage import count, figure, spoken_tokens
from loadgen.transport.answer import Answer, BadAnswer, Take
from wire.eventstream import EventStreamDecoder, Message
from wire.http_response import SET_COOKIE
from wire.json_values import JsonValues, readable
from wire.sse import LINE_BYTES_MAX, SseParser

ID_LENGTH_MAX = 2_000
LABEL_LENGTH_MAX = 200
"""Characters of a tool's or a model's name."""
JSON_STARTS = (b"{", b"[", b'"')
NO_JSON = object()
_THROTTLED = re.compile(r"^429$|throttl|rate_?limit|resource_exhausted|too_?many_?requests", re.IGNORECASE)
"""Codes by which providers say, inside an accepted answer, that a quota is used up."""


class Signal(NamedTuple):
    """`text` (its value is the text), `end`, `error` (a code), `usage` (tokens by column), `tool` (a name),
    `conversation_id`."""

    kind: str
    value: Any = None


class Reader(Protocol):
    """Bytes of one answer -> signals, incrementally.

    Where it has an attribute `over`, that says whether anything of use can still follow the end that it gave.
    """

    def feed(self, data: bytes) -> Iterable[Signal]:
        """Signals completed by these bytes."""

    def close(self) -> Iterable[Signal]:
        """Signals known only at the end of the body."""


class MappedReader:
    """Reads SSE, lines or values of JSON, plain text, or one JSON body as a mapping says."""

    def __init__(self, mapping: TargetMapping) -> None:
        self._format = mapping["format"]
        self._event_name: str | None = mapping.get("event_name")
        self._rules = {kind: rules_of(mapping, kind) for kind in PARTS}
        self._messages = is_socket(mapping.get("url"))
        self._one_body = is_one_body(mapping)
        whole = self._one_body or (self._format == "text" and not (self._messages and self._rules["end"]))
        self._ends_by_close = whole or any("close" in rule for rule in self._rules["end"])
        self._data_ends = [rule for rule in self._rules["end"] if "data" in rule]
        self._plain = [rule for rule in self._rules["text"] if _plain(rule)]
        self._others = {
            name for kind in PARTS if kind != "text" for rule in self._rules[kind] for name in _events(rule)
        }
        self._named = {name for rules in self._rules.values() for rule in rules for name in _events(rule) or ("",)}
        self._sse = SseParser(bare=True)
        self._values = JsonValues()
        self._text = codecs.getincrementaldecoder("utf-8")("replace")
        self._tail = bytearray()
        self._frames = EventStreamDecoder() if mapping.get("framing") == FRAMING else None
        self._awaited = _awaited(self._rules)
        self.over = False

    def feed(self, data: bytes) -> list[Signal]:
        """Signals of every event these bytes complete."""
        if self._frames is None:
            return self._feed(data)
        signals: list[Signal] = []
        for message in self._frames.feed(data):
            signals += self._of_frame(message)
        return signals

    def _of_frame(self, frame: Message) -> list[Signal]:
        """What a frame means: an event by itself where its payload is JSON, else a part of what is framed."""
        if frame.kind != "event":
            return [Signal("error", frame.name)]
        return self.recognise(frame.name, frame.payload) if self._format == "json" else self._feed(frame.payload)

    def _feed(self, data: bytes) -> list[Signal]:
        if self._messages:
            return [signal for event in self._sse.feed(data) for signal in self._of_message(event.data)]
        if self._format == "text":
            text = self._text.decode(data)
            return [Signal("text", text)] if text else []
        if self._format in ("sse", "responses"):
            return [signal for event in self._sse.feed(data) for signal in self.recognise(event.event, event.data)]
        if self._format == "json-stream":
            return [signal for value in self._values.feed(data) for signal in self.recognise("", value)]
        self._tail += data
        if self._format == "json":
            return []
        *lines, self._tail = self._tail.split(b"\n")
        if len(self._tail) > LINE_BYTES_MAX:
            raise BadAnswer(f"a line of more than {LINE_BYTES_MAX >> 20} MiB")
        return [signal for line in lines if line.strip() for signal in self._of_line(bytes(line))]

    def _of_line(self, line: bytes) -> list[Signal]:
        """What a line means: JSON, or the name of an event before it and a colon."""
        name, _, data = line.partition(b":") if self._format == "named-lines" else (b"", b"", line)
        return self.recognise(name.decode("utf-8", "replace"), data)

    def close(self) -> list[Signal]:
        """The last event may lack its line end; one JSON body is read here."""
        signals: list[Signal] = []
        if self._messages or self._format in ("sse", "responses"):
            with contextlib.suppress(orjson.JSONDecodeError):  # an event that was cut has not come
                signals += self._feed(b"\n\n")
        rest = bytes(self._tail).strip()
        self._tail = bytearray()
        if rest:
            signals += self._of_line(rest)
        return [*signals, Signal("end")] if self._ends_by_close else signals

    def _of_message(self, data: bytes) -> list[Signal]:
        """What a message of a WebSocket means: JSON as any event, or a piece of the text unless it ends it."""
        if self._format != "text" or any(_written(rule["data"]) == data.strip() for rule in self._data_ends):
            return self.recognise("", data)
        return [Signal("text", data.decode("utf-8", "replace"))] if data else []

    def recognise(self, name: str, data: bytes) -> list[Signal]:
        """What one event means. One that no rule is about, or that holds no JSON, only keeps the connection alive."""
        stripped = data.strip()
        ends = self._rules["end"]
        if any(_written(rule["data"]) == stripped and about(rule, name) for rule in self._data_ends):
            self.over = True  # a sentinel, behind everything else
            return [Signal("end")]
        if self._event_name is None and "" not in self._named and name not in self._named:
            return []
        if data and any(about(rule, name) and (name not in self._others or _events(rule)) for rule in self._plain):
            return [Signal("text", data.decode("utf-8", "replace"))]
        value = self._value(stripped)
        if value is NO_JSON:
            return self._end(ends, name, None, {})
        if self._event_name is not None:
            name = str(at(value, self._event_name))
        signals = []
        for kind in ("conversation_id", "text", "error"):
            contents = (_content(rule, value) for rule in self._rules[kind] if about(rule, name) and not _plain(rule))
            content = next((one for one in contents if one and (kind != "text" or isinstance(one, str))), None)
            if content is not None:
                self._awaited.discard(kind)
                signals.append(Signal(kind, content))
        signals += [Signal("tool", tool) for tool in self._tools(name, value)]
        usage: dict[str, object] = {}
        for rule in self._rules["usage"]:
            if about(rule, name):
                usage |= _usage(rule, value)
        if usage:
            self._awaited -= usage.keys()
            signals.append(Signal("usage", usage))
        return signals + self._end(ends, name, value, usage)

    def _end(self, ends: list[Rule], name: str, value: object, usage: Mapping[str, object]) -> list[Signal]:
        """The end, where an event says it.

        Where usage is looked for, something that is said of an event (a finish reason, say) is not the last one's to
        say, unless it counts the tokens itself: a running count goes on behind it.
        """
        said = [rule for rule in ends if _ends(rule, name, value)]
        if not said:
            return []
        own_event = any(rule.keys() == {"event"} for rule in said)
        self.over = self.over or (not self._awaited and (own_event or bool(usage) or not self._rules["usage"]))
        return [Signal("end")]

    def _tools(self, name: str, value: object) -> list[str]:
        """Tools that an event names: a name, or a list of names or of objects with `name`."""
        contents = (at(value, rule.get("path")) for rule in self._rules["tools"] if about(rule, name))
        entries = [entry for one in contents if one for entry in (one if isinstance(one, list) else [one])]
        names = (entry.get("name") if isinstance(entry, dict) else entry for entry in entries)
        return [str(name)[:LABEL_LENGTH_MAX] for name in names if name]

    def _value(self, data: bytes) -> object:
        """The JSON of an event, or `NO_JSON` for what cannot be meant as such: a comment, a word, nothing."""
        if not self._one_body and data[:1] not in JSON_STARTS:
            return NO_JSON
        try:
            return orjson.loads(data.removeprefix(BOM_UTF8) if self._one_body else data)
        except orjson.JSONDecodeError:
            if not self._one_body and (self.over or data[:1] != b"{"):
                return NO_JSON
            return orjson.loads(readable(data))


def rules_of(mapping: TargetMapping, kind: str) -> list[Rule]:
    """The rules of one kind: one, a list of them, or none."""
    part = mapping.get(kind)
    return [] if part is None else part if isinstance(part, list) else [cast(Rule, part)]


def _awaited(rules: Mapping[str, list[Rule]]) -> set[str]:
    """What an answer is to say beside its text, by the rules of its mapping: its output tokens, its conversation."""
    awaited = {key for rule in rules["usage"] for key in rule if key == "output_tokens"}
    return awaited | ({"conversation_id"} if rules["conversation_id"] else set())


def _content(rule: Rule, value: object) -> object:
    """What stands at a rule's path, decoded where the rule names an encoding."""
    content = at(value, rule.get("path"))
    if rule.get("encoding") != BASE64 or not isinstance(content, str):
        return content
    try:
        return binascii.a2b_base64(content).decode("utf-8", "replace")
    except ValueError:
        raise BadAnswer(f"{rule.get('path')} is no {BASE64}") from None


def _plain(rule: Rule) -> bool:
    """Whether a rule is about data that are no JSON."""
    return rule.get("encoding") == PLAIN


def _events(rule: Rule) -> tuple[str, ...]:
    """The names of events that a rule is about; none: about all."""
    event = rule.get("event")
    return () if event is None else tuple(event) if isinstance(event, list) else (event,)


def about(rule: Rule, name: str) -> bool:
    """Whether a rule is about an event of this name."""
    names = _events(rule)
    return not names or name in names


def _written(data: object) -> bytes:
    """The data of an end as a mapping writes it: a text as it is, anything else as compact JSON."""
    return data.strip().encode() if isinstance(data, str) else orjson.dumps(data)


def _ends(rule: Rule, name: str, value: object) -> bool:
    """Whether an event is the end: by its name alone, or by what is, is equal or is absent at a path."""
    if "data" in rule or "close" in rule or not about(rule, name):
        return False
    if "absent" in rule:
        return isinstance(value, dict) and at(value, rule["absent"]) is None
    if "equals" in rule:
        return value is not None and _alike(at(value, rule.get("path")), rule["equals"])
    if "path" not in rule:
        return bool(_events(rule)) or value is not None
    return bool(at(value, rule["path"]))


def _usage(rule: Mapping[str, object], value: object) -> dict[str, object]:
    paths = {key: path for key, path in rule.items() if key != "event" and isinstance(path, str)}
    figures = {key: at(value, path) for key, path in paths.items()}
    usage: dict[str, object] = {key: _checked(key, number) for key, number in figures.items() if number is not None}
    if usage.keys() <= {"model"}:  # which many protocols name in every event
        return {}
    if rule.get("input_includes_cached"):
        usage["input_includes_cached"] = True
    return usage


def _alike(value: object, expected: object) -> bool:
    """Equality as YAML and JSON share it: `true` is no 1."""
    return type(value) is type(expected) and value == expected


def _checked(key: str, value: object) -> str | float:
    if key == "model":
        return str(value)[:LABEL_LENGTH_MAX]
    return figure(value, key) if key == "cost_usd" else count(value, key)


class SignalAnswer(Answer):
    """An answer read through signals."""

    __slots__ = ("cookies", "ended", "reader", "spec", "statuses", "usage")

    def __init__(self, gaps_ns: array[int], reader: Reader, spec: TargetSpec, keep_text: bool = False) -> None:
        super().__init__(gaps_ns, keep_text)
        self.reader = reader
        self.spec = spec
        self.ended = False
        self.statuses: tuple[int, ...] = tuple((spec.mapping or {}).get("statuses", ()))
        self.usage: dict[str, Any] = {}
        self.cookies: dict[str, str] = {}

    def on_headers(self, now_ns: int, http_status: int, headers: Mapping[bytes, bytes]) -> Take:
        """As every answer, and the cookies that it sets."""
        if SET_COOKIE in headers:
            pairs = (line.partition(b";")[0].partition(b"=") for line in headers[SET_COOKIE].split(b"\n"))
            self.cookies = {name.strip().decode("latin-1"): value.strip().decode("latin-1") for name, _, value in pairs}
        return super().on_headers(now_ns, http_status, headers)

    @property
    def good(self) -> bool:
        """One of the mapping's `statuses`, or any 2xx where it names none."""
        return self.http_status in self.statuses if self.statuses else super().good

    def feed(self, now_ns: int, data: bytes) -> None:
        """Read what these bytes complete; `now_ns` is when they came."""
        self._take(now_ns, self.reader.feed(data))

    def _take(self, now_ns: int, signals: Iterable[Signal]) -> None:
        chunks = 0
        for kind, value in signals:
            if kind == "text":
                chunks += 1
                if self.text is not None and not self.over:
                    self.text.append(str(value).encode())
            elif kind in ("end", "error"):
                if chunks:
                    self.content(now_ns, chunks)
                    chunks = 0
                self._end_or_error(now_ns, kind, value)
            elif kind == "usage":
                self.usage.update(value)
            elif kind == "tool":
                self.tools.append({"tool": value, "status": "ok"})
            elif kind == "conversation_id":
                self.meta["conversation_id"] = _identifier(value)
            else:
                raise BadAnswer(f"unknown signal {kind!r}")
        if chunks:
            self.content(now_ns, chunks)

    def _end_or_error(self, now_ns: int, kind: str, value: object) -> None:
        """An end, which usage may follow where a mapping looks for some; nothing follows an error."""
        if kind == "end":
            self.ended = True
            self.say_end(now_ns, over=getattr(self.reader, "over", bool(self.usage)))
        elif not self.over:
            self.refuse("throttled" if _THROTTLED.search(str(value)) else "stream_error", value, value)
            self.say_end(now_ns, over=True)

    def complete(self, now_ns: int) -> None:
        """The body ended: one JSON answer is read now, and its first token is its last."""
        if self.good and not self.status:
            self._take(now_ns, self.reader.close())
        super().complete(now_ns)

    def finish(self) -> None:
        """A whole answer has its end."""
        self.decide(self.ended, "no_end")
        self._take_cached_out()
        if "output_tokens" in self.usage:
            self.usage["output_tokens"] = spoken_tokens(self.usage["output_tokens"], self.first_ns)
        self.output_tokens = self.usage.get("output_tokens")
        self.cost_usd = self.usage.get("cost_usd")
        self.tpot_s = self.time_per_token_s(self.output_tokens, self.first_ns)
        if self.usage:
            self.calls.append(
                {"call_index": 0, "start_s": 0.0, "timed_by": "loadgen", "status": self.status, "purpose": "answer",
                 "endpoint": self.spec.shown, "region": self.spec.region, "tpot_s": self.tpot_s,
                 **self.usage}
            )  # fmt: skip

    def _take_cached_out(self) -> None:
        """`input_tokens` are the uncached ones alone: a mapping says where the provider counts the cached ones in."""
        includes = self.usage.pop("input_includes_cached", False)
        prompt = self.usage.get("input_tokens")
        cached = (self.usage.get("cache_read_tokens") or 0) + (self.usage.get("cache_write_tokens_5m") or 0)
        if includes and prompt is not None:
            if cached > prompt:
                raise BadAnswer(f"{cached} cached tokens of a prompt of {prompt}")
            self.usage["input_tokens"] = prompt - cached


def _identifier(value: object) -> str:
    """A conversation's id, which goes into the next request: one line of text, or a number as text."""
    text = str(value) if type(value) is int else value
    if not isinstance(text, str) or not text.isprintable() or len(text) > ID_LENGTH_MAX:
        raise BadAnswer("conversation_id is no identifier")
    return text
