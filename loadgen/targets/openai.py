"""Target `openai`: any OpenAI-compatible server, by chat completions, plain ones, or completions of exact lengths."""

from __future__ import annotations

import contextlib
from array import array
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

import numpy as np
import orjson

from loadgen.job import TargetSpec
from loadgen.schedule.replayed import CallState
from loadgen.schedule.session import SessionState
from loadgen.targets.base import Fetch, RequestTemplate, Shared
from loadgen.targets.mapping import expand_headers
from loadgen.targets.openai_options import OpenAiOptions
from loadgen.targets.usage import spoken_tokens, tokens
from loadgen.transport.answer import THROTTLED_STATUS, Answer, BadAnswer, SseAnswer
from loadgen.transport.connection import Endpoint
from scenarios.replay.prompts import prompt_ids
from wire.openai_stream import ChatEvent, StreamEventError, answer_text, answer_token_ids, read_event
from wire.plain_events import PlainEvents

COMPLETION = ("completion_tokens", "output_tokens")
_NOTHING_PLAIN = PlainEvents()
"""Learns nothing: of an answer that is over."""


class OpenAiTarget:
    """Chat completions with streaming and usage; `/completions` with drawn token ids where lengths are replayed."""

    def __init__(self, spec: TargetSpec, where: Endpoint, shared: Shared) -> None:
        self.spec = spec
        self.where = where
        self._shared = shared
        self._options = options = OpenAiOptions(**(spec.request or {}))
        query, headers = urlsplit(spec.url).query, expand_headers(options.headers)
        self._chat = RequestTemplate(where, "/chat/completions", shared.random, headers, query)
        self._completion = RequestTemplate(where, "/completions", shared.random, headers, query)
        self._max_tokens = options.tokens_max(shared.job.scenario["assistant"]["max_tokens"])
        self._opening = [("system", options.system)] if options.system is not None else []
        self._plain = PlainEvents()
        self._steps = PlainEvents(empty=True)
        self._first_bodies: dict[str, bytes] = {}

    def prepare(self, states: list[SessionState], fetch: Fetch) -> None:
        """Draw the prompts of states whose lengths are replayed."""
        for state in states:
            if state.lengths is not None and not isinstance(state, CallState):
                state.prompt = self._exact(state.session.index, *state.lengths)

    def _exact(self, index: int, input_tokens: int, output_tokens: int) -> bytes:
        """A completion request of exactly these lengths; its ids depend on the session and the seed alone."""
        draws = np.random.default_rng([self._shared.job.seed, index])
        ids = draws.integers(*self.spec.token_ids, size=input_tokens).tolist()
        return orjson.dumps(self._options.fields(self.spec.model, _of_length(ids, output_tokens), output_tokens))

    def _replayed(self, state: CallState) -> tuple[bytes, Answer]:
        """A call of a trace: its blocks as token ids, the target's own answers before it in their places."""
        live = state.session.live_output
        ids = prompt_ids(state.session.trace, state.call, *self.spec.token_ids)
        if live:
            ids = state.graph.outputs.apply(state.call, ids)
        length = state.call.output_tokens
        asked = _of_length(ids, length) | ({"return_token_ids": True} if live else {})
        body = self._options.fields(self.spec.model, asked, length)
        answer = OpenAiAnswer(self._shared.gaps_ns, self.spec, None, live, self._steps, token_by_token=True)
        request, answer.meta["trace_id"] = self._completion.fill(orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY))
        return request, answer

    def turn(self, state: SessionState) -> tuple[bytes, Answer]:
        """The present turn as a request."""
        if isinstance(state, CallState):
            return self._replayed(state)
        keep = self._shared.job.keep_text or state.more_turns
        exact = state.prompt is not None
        max_tokens = None if exact else self._tokens_max(state.turn.message_id)
        plain = self._steps if exact else self._plain
        answer = OpenAiAnswer(self._shared.gaps_ns, self.spec, max_tokens, keep, plain, token_by_token=exact)
        if state.prompt is not None:
            request, answer.meta["trace_id"] = self._completion.fill(state.prompt)
            return request, answer
        template = self._chat if self._options.chat else self._completion
        request, answer.meta["trace_id"] = template.fill(self._body(state))
        return request, answer

    def _tokens_max(self, message_id: str) -> int | None:
        """The longest answer: a question's own limit where it has one and `max_tokens` is sent."""
        if "max_tokens" in self._options.extra_body:
            return self._max_tokens
        limit: int | None = self._shared.messages[message_id].get("max_tokens") or self._max_tokens
        return limit

    def _body(self, state: SessionState) -> bytes:
        """The conversation so far and the present message; a conversation's first request is built once."""
        message_id = state.turn.message_id
        body = None if state.history else self._first_bodies.get(message_id)
        state.ask(self._shared.messages[message_id])
        if body is None:
            asked = self._conversation(state)
            body = orjson.dumps(self._options.fields(self.spec.model, asked, self._tokens_max(message_id)))
            if len(state.history) == 1:
                self._first_bodies[message_id] = body
        return body

    def _conversation(self, state: SessionState) -> dict[str, object]:
        """The messages of a chat; of plain completions their texts, a line between two."""
        if not self._options.chat:
            return {"prompt": "\n\n".join(content for _, content in (*self._opening, *state.history))}
        opening = [{"role": role, "content": content} for role, content in self._opening]
        asked = [
            {"role": role, "content": _content(text, state.pictures.get(place))}
            for place, (role, text) in enumerate(state.history)
        ]
        return {"messages": [*opening, *asked]}

    def learn(self, state: SessionState, answer: Answer) -> None:
        """Keep the reply as history of the next turn."""
        if isinstance(state, CallState):
            state.graph.outputs.add(state.call, answer_token_ids(b"".join(answer.text or [])))
        elif answer.text is not None and state.prompt is None:
            state.history.append(("assistant", answer.full_text()))


def _of_length(ids: object, output_tokens: int) -> dict[str, object]:
    """A prompt of token ids, whose answer has this length whatever the model would say."""
    return {"prompt": ids, "min_tokens": output_tokens, "ignore_eos": True}


def _content(text: str, pictures: Sequence[str] | None) -> str | list[dict[str, object]]:
    """A message's content: its text, and its pictures after it."""
    if not pictures:
        return text
    shown: list[dict[str, object]] = [{"type": "image_url", "image_url": {"url": url}} for url in pictures]
    return [{"type": "text", "text": text}, *shown]


class OpenAiAnswer(SseAnswer):
    """Reads completion chunks: events of plain content are counted, all else is read as JSON.

    token_by_token: each chunk of a plain completion is a step of the engine, even if its token has no text yet, since
    bytes are held back until they are a character.
    """

    __slots__ = ("_plain", "_token_by_token", "done", "finish_reason", "max_tokens", "spec", "usage")

    def __init__(
        self,
        gaps_ns: array[int],
        spec: TargetSpec,
        max_tokens: int | None = None,
        keep_text: bool = False,
        plain: PlainEvents | None = None,
        *,
        token_by_token: bool = False,
    ) -> None:
        super().__init__(gaps_ns, keep_text)
        self.spec = spec
        self.max_tokens = max_tokens
        self.usage: dict[str, object] | None = None
        self.finish_reason: str | None = None
        self.done = False
        self._plain = plain if plain is not None else PlainEvents(empty=token_by_token)
        self._token_by_token = token_by_token

    def feed(self, now_ns: int, data: bytes) -> None:
        """Read body bytes: count the events of plain content that they begin with, mostly all; the rest is read."""
        found = self._plain.one(data) if not self.tail and self.parser is None else None
        if found is None:
            super().feed(now_ns, data)
            return
        end, chunks = found.end(), 1
        if end != len(data) and (found := self._plain.run(data, end)) is not None:
            end = found.end()
            chunks = data.count(b"\n", 0, end) // 2
        if self.text is not None:
            self.text.append(data[:end])
        if self.first_ns:  # `content`, inlined: this is the hot path
            self.chunks += chunks
            gap = now_ns - self.last_ns
            self.last_ns = now_ns
            self.gaps_ns.append(gap)
            if gap > self.gap_ns_max:
                self.gap_ns_max = gap
        else:
            self.content(now_ns, chunks)
        if end != len(data):
            super().feed(now_ns, data[end:])

    def mixed(self, now_ns: int, block: bytes) -> None:
        """Count events of plain content, and read what stands between them."""
        plain, position, length = self._plain, 0, len(block)
        while position < length:
            found = plain.run(block, position)
            end = found.end() if found is not None else position
            if end > position:
                self.content(now_ns, block.count(b"\n", position, end) // 2)
            else:
                end = block.index(b"\n\n", position) + 2
                self.read_block(now_ns, block[position:end])
            position = end

    def read(self, now_ns: int, name: str, data: bytes) -> None:
        """Read one event."""
        if self.over:
            with contextlib.suppress(StreamEventError):
                self.late_chunks += read_event(name, data).content_key is not None
            return
        event = read_event(name, data)
        if event.done:
            self.done = True
            self._is_over(now_ns)
        if event.failure is not None:
            failure = event.failure
            throttled = failure.status == THROTTLED_STATUS
            self.refuse("throttled" if throttled else "stream_error", failure.code, failure.message)
            self._is_over(now_ns)
        self.usage = event.usage or self.usage
        self.finish_reason = event.finish_reason or self.finish_reason
        key = event.content_key
        if key is None and self._token_by_token and self._a_step(event):
            key = "text"
        if key is not None:
            self.content(now_ns, 1)
            if event.plain:
                self._plain.learn(key, data)
        if event.finish_reason is not None or (event.usage is not None and not event.choices):
            self.say_end(now_ns, over=False)  # usage, or [DONE], or another choice may follow

    def _is_over(self, now_ns: int) -> None:
        """Nothing more counts: what follows is read event by event, and no fast way takes it for content."""
        self.say_end(now_ns, over=True)
        self._plain = _NOTHING_PLAIN

    def _a_step(self, event: ChatEvent) -> bool:
        """Whether a chunk of a plain completion is a step of the engine, though its token has no text yet."""
        return event.finish_reason is None and any("text" in choice for choice in event.choices)

    def finish(self) -> None:
        """A whole answer ends with a finish reason, usage or [DONE]."""
        self.decide(self.done or self.finish_reason is not None or self.usage is not None, "no_end")
        usage = self.usage or {}
        self.output_tokens = spoken_tokens(tokens(usage, *COMPLETION), self.first_ns)
        self.tpot_s = self.time_per_token_s(self.output_tokens, self.first_ns)
        self.calls.append(self._call(usage))

    def full_text(self) -> str:
        """The text of all chunks, read after the answer has ended."""
        return answer_text(b"".join(self.text or []))

    def _call(self, usage: Mapping[str, object]) -> dict[str, object]:
        return {
            "call_index": 0,
            "start_s": 0.0,
            "timed_by": "loadgen",
            "status": self.status,
            "purpose": "answer",
            "model": self.spec.model,
            "supply": "self_hosted",
            "endpoint": self.spec.shown,
            "region": self.spec.region,
            "max_tokens": self.max_tokens,
            **usage_columns(usage),
            "output_tokens": self.output_tokens,
            "ttft_s": (self.first_ns - self.start_ns) * 1e-9 if self.first_ns else None,
            "tpot_s": self.tpot_s,
            "e2e_s": (self.last_ns - self.start_ns) * 1e-9 if self.last_ns else None,
            "attempts": 1,
            "stop_reason": self.finish_reason,
        }


def usage_columns(usage: Mapping[str, object]) -> dict[str, int | None]:
    """Usage as a call's columns: input without what was read from cache, which DeepSeek and Moonshot count elsewhere.

    Raises:
        BadAnswer: figures that no usage can have.
    """
    prompt = tokens(usage, "prompt_tokens", "input_tokens") or None  # a server that counts nothing says 0
    details = usage.get("prompt_tokens_details") or {}
    if not isinstance(details, dict):
        raise BadAnswer("prompt_tokens_details is no object")
    cached = tokens(details, "cached_tokens")
    if cached is None:
        cached = tokens(usage, "prompt_cache_hit_tokens", "cached_tokens")
    if cached is not None and cached > (prompt or 0):
        raise BadAnswer(f"{cached} cached tokens of a prompt of {prompt}")
    uncached = None if prompt is None else prompt - (cached or 0)
    return {"input_tokens": uncached, "cache_read_tokens": cached, "output_tokens": tokens(usage, *COMPLETION)}
