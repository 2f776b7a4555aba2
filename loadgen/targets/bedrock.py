"""Target `bedrock`: the Converse stream of Amazon Bedrock Runtime, signed and decoded here; no SDK in the hot path."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

import orjson

from facts import reader
from host.ports import is_loopback
from host.redaction import shown_url
from loadgen.job import LoadError, TargetSpec
from loadgen.schedule.replayed import CallState
from loadgen.schedule.session import SessionState
from loadgen.targets.base import COMMON_HEADERS, Fetch, Shared, new_trace, picture_data, trace_headers
from loadgen.targets.credentials import EVERY_S, Signer
from loadgen.targets.usage import count
from loadgen.transport.answer import SAMPLE_LENGTH_MAX, Answer, BadAnswer
from loadgen.transport.connection import Endpoint
from scenarios.replay.prompts import prompt_ids, prompt_text
from wire.eventstream import EventStreamDecoder, Message

USAGE = ("inputTokens", "outputTokens", "cacheReadInputTokens", "cacheWriteInputTokens")
_THROTTLED = ("throttlingException", "ThrottlingException")


class BedrockTarget:
    """Turns straight to a model, without an assistant in between."""

    def __init__(self, spec: TargetSpec, where: Endpoint, shared: Shared) -> None:
        if spec.model is None:
            raise LoadError(f"target bedrock={shown_url(spec.url)}: which model? Name one with --model")
        self.spec = spec
        self.where = where
        self._shared = shared
        self._max_tokens = shared.job.scenario["assistant"]["max_tokens"]
        parts = urlsplit(spec.url)
        self._path = f"{parts.path.rstrip('/')}/model/{quote(spec.model, safe='')}/converse-stream"
        self._url = f"{parts.scheme}://{parts.netloc}{self._path}"
        self._signer = Signer("bedrock", spec.region or region_of(spec.url), loopback=is_loopback(where.addresses[0]))

    refresh_every_s = EVERY_S

    def prepare(self, states: list[SessionState], fetch: Fetch) -> None:
        """Have credentials that are still good for a while."""
        self.refresh()

    def refresh(self) -> None:
        """Take the newest credentials."""
        self._signer.refresh()

    def turn(self, state: SessionState) -> tuple[bytes, Answer]:
        """The present turn as a signed request."""
        max_tokens = self._max_tokens
        if isinstance(state, CallState):  # a call of a trace: its blocks as words, and as long an answer at most
            call = state.call
            ids = prompt_ids(state.session.trace, call, *self.spec.token_ids)
            state.history = [("user", prompt_text(ids))]
            max_tokens = call.output_tokens
        else:
            state.ask(self._shared.messages[state.turn.message_id])
        body: dict[str, object] = {
            "messages": [
                {"role": role, "content": [*_pictures(state.pictures.get(place, ())), {"text": text}]}
                for place, (role, text) in enumerate(state.history)
            ]
        }
        if max_tokens is not None:
            body["inferenceConfig"] = {"maxTokens": max_tokens}
        data = orjson.dumps(body)
        trace_id, span_id = new_trace(self._shared.random)
        headers = {"Content-Type": "application/json", **COMMON_HEADERS, **trace_headers(trace_id, span_id)}
        signed = self._signer.sign("POST", self._url, headers, data, datetime.now(UTC))
        keep = state.more_turns or self._shared.job.keep_text
        answer = ConverseAnswer(self._shared.gaps_ns, self.spec, max_tokens, keep)
        answer.meta["trace_id"] = trace_id
        head = [f"POST {self._path} HTTP/1.1", *(f"{name}: {value}" for name, value in signed.items())]
        return "\r\n".join([*head, f"Content-Length: {len(data)}", "", ""]).encode() + data, answer

    def learn(self, state: SessionState, answer: Answer) -> None:
        """Keep the reply as history of the next turn."""
        if answer.text is not None:
            state.history.append(("assistant", answer.full_text()))


def _pictures(urls: Sequence[str]) -> list[dict[str, object]]:
    """Blocks of a Converse message."""
    pictures = map(picture_data, urls)
    return [{"image": {"format": one["format"], "source": {"bytes": one["data"]}}} for one in pictures]


class ConverseAnswer(Answer):
    """Reads event-stream frames: text deltas, stop reason, usage, and exceptions inside the stream."""

    __slots__ = ("decoder", "max_tokens", "spec", "stop_reason", "usage")

    def __init__(
        self, gaps_ns: array[int], spec: TargetSpec, max_tokens: int | None = None, keep_text: bool = False
    ) -> None:
        super().__init__(gaps_ns, keep_text)
        self.spec = spec
        self.max_tokens = max_tokens
        self.decoder = EventStreamDecoder()
        self.usage: dict[str, object] = {}
        self.stop_reason: object = None

    def feed(self, now_ns: int, data: bytes) -> None:
        """Read the frames these bytes complete."""
        chunks = 0
        for message in self.decoder.feed(data):
            if message.kind == "event" and message.name == "contentBlockDelta":
                chunks += 1 if self.over else self._delta(_object(_payload(message), "delta"))
                continue
            if chunks:
                self.content(now_ns, chunks)
                chunks = 0
            if not self.over:
                self._other(now_ns, message)
        if chunks:
            self.content(now_ns, chunks)

    def _other(self, now_ns: int, message: Message) -> None:
        """A frame without content: usage follows the stop, and nothing follows usage."""
        if message.kind != "event":
            self._exception(message)
            self.say_end(now_ns, over=True)
        elif message.name == "messageStop":
            self.stop_reason = _payload(message).get("stopReason")
            self.say_end(now_ns, over=False)
        elif message.name == "metadata":
            self.usage = _object(_payload(message), "usage")
            if self.stop_reason is not None:
                self.say_end(now_ns, over=True)

    def _delta(self, delta: Mapping[str, object]) -> int:
        """1 when the delta holds content: text, reasoning or the input of a tool."""
        text = delta.get("text")
        if text is not None and not isinstance(text, str):
            raise BadAnswer("a delta whose text is no text")
        if self.text is not None and text:
            self.text.append(text.encode("utf-8", "replace"))
        return int(any(delta.values()))

    def _exception(self, message: Message) -> None:
        text = message.payload[:SAMPLE_LENGTH_MAX].decode("utf-8", "replace")
        self.refuse("throttled" if message.name in _THROTTLED else "stream_error", message.name, text)

    def finish(self) -> None:
        """A whole answer has a stop reason; usage follows it."""
        whole = self.stop_reason is not None and not self.decoder.pending_bytes
        self.decide(whole, "no_stop")
        usage = {name: count(value, name) for name, value in self.usage.items() if name in USAGE and value is not None}
        self.output_tokens = usage.get("outputTokens")
        self.tpot_s = self.time_per_token_s(self.output_tokens, self.first_ns)
        self.cost_usd = converse_cost_usd(self.spec.model, usage)
        self.calls.append(self._call(usage))

    def _call(self, usage: Mapping[str, int]) -> dict[str, object]:
        return {
            "call_index": 0,
            "start_s": 0.0,
            "timed_by": "loadgen",
            "status": self.status,
            "purpose": "answer",
            "model": self.spec.model,
            "supply": "bedrock",
            "endpoint": self.spec.shown,
            "region": self.spec.region,
            "max_tokens": self.max_tokens,
            "input_tokens": usage.get("inputTokens"),
            "cache_read_tokens": usage.get("cacheReadInputTokens"),
            "cache_write_tokens_5m": usage.get("cacheWriteInputTokens"),
            "output_tokens": self.output_tokens,
            "ttft_s": (self.first_ns - self.start_ns) * 1e-9 if self.first_ns else None,
            "tpot_s": self.tpot_s,
            "e2e_s": (self.last_ns - self.start_ns) * 1e-9 if self.last_ns else None,
            "attempts": 1,
            "stop_reason": self.stop_reason,
            "cost_usd": self.cost_usd,
        }


def _payload(message: Message) -> dict[str, object]:
    value = orjson.loads(message.payload)
    if not isinstance(value, dict):
        raise BadAnswer(f"{message.name}: no object")
    return value


def _object(payload: dict[str, object], name: str) -> dict[str, object]:
    value = payload.get(name) or {}
    if not isinstance(value, dict):
        raise BadAnswer(f"{name} is no object")
    return value


def prices_of(model_id: str | None) -> reader.TokenPrices | None:
    """List prices of a model by its id on Bedrock; None for one that the price file does not know."""
    prices = next((one.prices for one in reader.models().values() if one.model_id == model_id), None)
    return prices or reader.token_prices().get(model_id or "")


def converse_cost_usd(model_id: str | None, usage: Mapping[str, int]) -> float | None:
    """List price of one call; None for a model the price file does not know, or without usage."""
    prices = prices_of(model_id)
    if prices is None or not usage:
        return None
    return prices.cost_usd(
        usage.get("inputTokens", 0),
        usage.get("cacheReadInputTokens", 0) or 0,
        usage.get("cacheWriteInputTokens", 0) or 0,
        0,
        usage.get("outputTokens", 0),
    )


def region_of(url: str) -> str:
    """The region in a Bedrock host name; us-east-1 where the name holds none."""
    parts = (urlsplit(url).hostname or "").split(".")
    return parts[1] if parts[0].startswith("bedrock-runtime") and len(parts) > 2 else "us-east-1"
