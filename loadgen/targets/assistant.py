"""Target `assistant`: our own agent's HTTP API (docs/api.md), or anything that speaks it."""

from __future__ import annotations

from array import array
from typing import Any

import orjson

from loadgen.job import TargetSpec
from loadgen.schedule.session import SessionState
from loadgen.targets.base import Fetch, Refused, RequestTemplate, Shared, post
from loadgen.transport.answer import Answer, BadAnswer, SseAnswer
from loadgen.transport.connection import Endpoint
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
        """Sign the states' customers in; raises `Refused` when the assistant will not."""
        for low in range(0, len(states), SESSIONS_PER_BATCH):
            batch = states[low : low + SESSIONS_PER_BATCH]
            body = orjson.dumps({"customer_ids": [state.session.customer_id for state in batch]})
            status, answer = fetch(post(self.where, "/v1/sessions", body, {"Accept-Encoding": "identity"}))
            if status != 200:
                raise Refused(f"sign_in_{status}")
            for state, session in zip(batch, orjson.loads(answer)["sessions"], strict=True):
                state.token = session["session_token"]

    def turn(self, state: SessionState) -> tuple[bytes, Answer]:
        """The present turn as a request."""
        turn = state.turn
        message = self._shared.messages[turn.message_id]
        body: dict[str, Any] = {
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


_DELTA = b"event: delta\n"
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
                self.content(now_ns, block.count(_DELTA, position, end))
                position = end
                continue
            event_end = block.index(b"\n\n", position) + 2
            self.read_block(now_ns, block[position:event_end])
            position = event_end

    def _deltas_end(self, block: bytes, start: int) -> int:
        """Where the first event that is no delta begins. A raw line break cannot stand inside JSON: names are exact."""
        if block.count(b"event: ", start) == block.count(_DELTA, start):
            return len(block)
        found = [block.find(name, start) for name in _OTHER_EVENTS]
        return min((place for place in found if place >= 0), default=len(block))

    def read(self, now_ns: int, name: str, data: bytes) -> None:
        """Read one event."""
        if name == "delta":
            self.content(now_ns, 1)
            self.stream_first_ns = self.stream_first_ns or now_ns
            self.counting = True
            return
        value = orjson.loads(data)
        if not isinstance(value, dict):
            raise BadAnswer("an event that is no object")
        if name == "usage":
            self._call(value)
        elif name == "meta":
            self.meta.update(value)
        elif name == "tool":
            self.tools.append(value)
        elif name == "done":
            self._done(value)
        elif name == "error":
            self._error(value)

    def _call(self, data: dict[str, Any]) -> None:
        """A model call ended: what streamed since the last one was its answer."""
        self.calls.append(data)
        tokens = data.get("output_tokens") or 0
        if self.stream_first_ns and tokens >= 2 and self.last_ns > self.stream_first_ns:
            self.tpot_s = (self.last_ns - self.stream_first_ns) * 1e-9 / (tokens - 1)
        self.stream_first_ns = 0
        self.counting = False

    def _done(self, data: dict[str, Any]) -> None:
        self.done = True
        self.output_tokens = data.get("output_tokens")
        self.cost_usd = data.get("cost_usd")
        self.meta["pending_confirmation"] = data.get("pending_confirmation")

    def _error(self, data: dict[str, Any]) -> None:
        http_status = data.get("status")
        self.status = "throttled" if http_status == 429 else "stream_error"
        self.error_code = f"{http_status}:{data.get('code')}" if http_status else str(data.get("code"))

    def full_text(self) -> str:
        """The text of all deltas, read after the answer has ended."""
        events = SseParser().feed(b"".join(self.text or []))
        return "".join(orjson.loads(event.data).get("text", "") for event in events if event.event == "delta")

    def finish(self) -> None:
        """A whole answer ends with `done`."""
        self.status = "ok" if self.done else "stream_error"
        self.error_code = None if self.done else "no_done"
