"""Target `assistant`: our own agent's HTTP API (docs/api.md), or anything that speaks it."""

from __future__ import annotations

import contextlib
from array import array
from collections.abc import Mapping
from typing import Any

import orjson

from loadgen.job import TargetSpec
from loadgen.schedule.session import SessionState
from loadgen.targets.base import BatchRefused, Fetch, Refused, RequestTemplate, Shared, picture_data, post
from loadgen.targets.usage import count
from loadgen.transport.answer import Answer, BadAnswer, SseAnswer
from loadgen.transport.connection import Endpoint
from wire.openai_stream import StreamEventError, event_object
from wire.sse import SseParser

SESSIONS_PER_BATCH = 500
_PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="  # a 1x1 PNG


class AssistantTarget:
    """Turns over `POST /v1/turns`; customers are signed in ahead, in batches."""

    def __init__(self, spec: TargetSpec, where: Endpoint, shared: Shared) -> None:
        self.spec = spec
        self.where = where
        self._shared = shared
        self._request = RequestTemplate(where, "/v1/turns", shared.random)

    def prepare(self, states: list[SessionState], fetch: Fetch) -> None:
        """Sign the states' customers in; raises `BatchRefused` when the assistant will not."""
        try:
            for low in range(0, len(states), SESSIONS_PER_BATCH):
                self._sign_in(states[low : low + SESSIONS_PER_BATCH], fetch)
        except Refused as refusal:
            raise BatchRefused(str(refusal)) from None

    def _sign_in(self, states: list[SessionState], fetch: Fetch) -> None:
        body = orjson.dumps({"customer_ids": [state.session.customer_id for state in states]})
        request = post(self.where, "/v1/sessions", body, {"Accept-Encoding": "identity"})
        status, answer, _ = fetch(request)
        if not 200 <= status < 300:
            raise Refused(f"sign_in_{status}")
        for state, token in zip(states, _session_tokens(answer, len(states)), strict=True):
            state.token = token

    def turn(self, state: SessionState) -> tuple[bytes, Answer]:
        """The present turn as a request."""
        turn = state.turn
        message = self._shared.messages[turn.message_id]
        body: dict[str, object] = {
            "interaction_id": state.interaction_id,
            "turn_index": state.turn_index,
            "message": message["text"],
            "locale": state.session.locale,
        }
        if state.region is not None:
            body["region"] = state.region
        if message.get("page_product_id"):
            body["page"] = {"product_id": message["page_product_id"]}
        if message.get("image"):
            body["images"] = [{"format": "png", "data": _PIXEL}]
        if message.get("images"):
            body["images"] = [picture_data(url) for url in message["images"]]
        if turn.confirm is not None and state.pending_confirmation is not None:
            body["confirm"] = {"token": state.pending_confirmation, "accept": turn.confirm}
        answer = AssistantAnswer(self._shared.gaps_ns, self._shared.job.keep_text)
        sign_in = b"Authorization: Bearer %b\r\n" % str(state.token).encode()
        request, answer.meta["trace_id"] = self._request.fill(orjson.dumps(body), sign_in)
        return request, answer

    def learn(self, state: SessionState, answer: Answer) -> None:
        """Keep the confirmation the assistant asked for."""
        pending = answer.meta.get("pending_confirmation")
        state.pending_confirmation = pending["token"] if pending else None


def _session_tokens(answer: bytes, count: int) -> list[str]:
    """The session tokens of a sign-in, one a customer; raises `Refused` when they are anything else."""
    try:
        sessions = orjson.loads(answer)["sessions"]
        tokens = [session["session_token"] for session in sessions]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise Refused("sign_in_malformed") from None
    if len(tokens) != count:
        raise Refused("sign_in_too_few" if len(tokens) < count else "sign_in_too_many")
    if not all(isinstance(token, str) and token.isascii() and token.isprintable() for token in tokens):
        raise Refused("sign_in_malformed")
    return tokens


_DELTA = b"event: delta\n"
_EMPTY_DELTAS = (b'{"text":""', b'{"text": ""')
META = ("intent", "complexity", "region", "route", "route_s", "prefetch_s", "guard_action", "escalated")
"""What of a `meta` event is kept: the columns of a turn, and no key of ours."""
EVENTS = ("meta", "usage", "tool", "done", "error")
_OTHER_EVENTS = tuple(b"event: " + name + b"\n" for name in (b"usage", b"tool", b"done", b"error", b"meta"))


class AssistantAnswer(SseAnswer):
    """Reads meta, delta, tool, usage, done and error events."""

    __slots__ = ("counting", "done", "stream_first_ns")

    def __init__(self, gaps_ns: array[int], keep_text: bool = False) -> None:
        super().__init__(gaps_ns, keep_text)
        self.counting = False
        self.done = False
        self.stream_first_ns = 0  # first content of the model call that streams now

    def mixed(self, now_ns: int, block: bytes) -> None:
        """Count deltas while no other event is among them, read the others."""
        position, length = 0, len(block)
        while position < length:
            end = self._deltas_end(block, position) if self.counting else position
            if end > position:
                chunks = block.count(_DELTA, position, end)
                chunks -= sum(block.count(empty, position, end) for empty in _EMPTY_DELTAS)
                if chunks:
                    self.content(now_ns, chunks)
                position = end
                continue
            event_end = block.index(b"\n\n", position) + 2
            self.read_block(now_ns, block[position:event_end])
            position = event_end

    def _deltas_end(self, block: bytes, start: int) -> int:
        """Where the first event that is no delta begins. A raw line break cannot stand inside JSON: names are exact."""
        if block.count(b"event: ", start) == block.count(_DELTA, start):
            return len(block)
        places = [block.find(name, start) for name in _OTHER_EVENTS]
        return min((place for place in places if place >= 0), default=len(block))

    def read(self, now_ns: int, name: str, data: bytes) -> None:
        """Read one event."""
        if name == "delta":
            if data.startswith(_EMPTY_DELTAS):
                return
            self.content(now_ns, 1)
            self.stream_first_ns = self.stream_first_ns or now_ns
            self.counting = True
            return
        if self.over or name not in EVENTS:
            return  # a heartbeat, or an event of a later version
        value = event_object(data.strip())
        if value is None:
            raise BadAnswer(f"{name}: no object")
        if name == "usage":
            self._call(value)
        elif name == "meta":
            self.meta.update({key: value[key] for key in (*META, "simulated") if key in value})
        elif name == "tool":
            self.tools.append(value)
        elif name == "done":
            self._done(value)
            self.say_end(now_ns, over=True)
        elif name == "error":
            self._error(value)
            self.say_end(now_ns, over=True)

    def _call(self, data: dict[str, object]) -> None:
        """A model call ended: what streamed since the last one was its answer."""
        self.calls.append(data)
        tokens = count(data.get("output_tokens") or 0, "output_tokens")
        self.tpot_s = self.time_per_token_s(tokens, self.stream_first_ns) or self.tpot_s
        self.stream_first_ns = 0
        self.counting = False

    def _done(self, data: dict[str, Any]) -> None:
        self.done = True
        self.output_tokens = data.get("output_tokens")
        self.cost_usd = data.get("cost_usd")
        pending = data.get("pending_confirmation")
        if pending is not None and not (isinstance(pending, dict) and isinstance(pending.get("token"), str)):
            raise BadAnswer("pending_confirmation: no object with a token")
        self.meta["pending_confirmation"] = pending

    def _error(self, data: Mapping[str, object]) -> None:
        http_status = data.get("status")
        code = f"{http_status}:{data.get('code')}" if http_status else data.get("code")
        self.refuse("throttled" if http_status == 429 else "stream_error", code, data.get("message") or "")

    def full_text(self) -> str:
        """The text of all deltas, read after the answer has ended."""
        pieces = []
        for event in SseParser().feed(b"".join(self.text or []) + b"\n\n"):
            if event.event == "done":
                break
            with contextlib.suppress(StreamEventError):
                text = (event_object(event.data) or {}).get("text") if event.event == "delta" else None
                pieces.append(text if isinstance(text, str) else "")
        return "".join(pieces)

    def finish(self) -> None:
        """A whole answer ends with `done`."""
        self.decide(self.done, "no_done")
