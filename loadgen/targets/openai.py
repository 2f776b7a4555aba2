"""Target `openai`: any OpenAI-compatible server, by chat completions, or by completions of exact lengths."""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np
import orjson

from loadgen.answer import Answer, BadAnswer, SseAnswer
from loadgen.job import TargetSpec
from loadgen.targets.base import Fetch, RequestTemplate, Shared
from loadgen.visit import Visit
from loadgen.worker.connection import Endpoint
from wire.sse import SseEvent

_CONTENT_KEYS = ("content", "reasoning_content", "reasoning", "refusal", "text")


class OpenAiTarget:
    """Chat completions with streaming and usage; `/completions` with drawn token ids where lengths are replayed."""

    def __init__(self, spec: TargetSpec, where: Endpoint, shared: Shared) -> None:
        self.spec = spec
        self.where = where
        self._shared = shared
        self._chat = RequestTemplate(where, "/chat/completions", shared.random)
        self._completion = RequestTemplate(where, "/completions", shared.random)
        self._max_tokens = shared.job.scenario["assistant"]["max_tokens"]

    def prepare(self, visits: list[Visit], fetch: Fetch) -> None:
        """Draw the prompts of visits whose lengths are replayed."""
        for visit in visits:
            if visit.lengths is not None:
                visit.prompt = self._exact(visit.session.index, *visit.lengths)

    def _exact(self, index: int, input_tokens: int, output_tokens: int) -> bytes:
        """A completion request of exactly these lengths; its ids depend on the session and the seed alone."""
        draws = np.random.default_rng([self._shared.job.seed, index])
        body = {
            "model": self.spec.model,
            "prompt": draws.integers(*self.spec.token_ids, size=input_tokens).tolist(),
            "max_tokens": output_tokens,
            "min_tokens": output_tokens,
            "ignore_eos": True,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        return orjson.dumps(body)

    def turn(self, visit: Visit) -> tuple[bytes, Answer]:
        """The present turn as a request."""
        keep = self._shared.job.keep_text or visit.more_turns
        exact = visit.prompt is not None
        answer = OpenAiAnswer(self._shared.gaps_ns, self.spec, None if exact else self._max_tokens, keep)
        if visit.prompt is not None:
            request, answer.meta["trace_id"] = self._completion.fill(visit.prompt)
            return request, answer
        text = self._shared.messages[visit.turn.message_id]["text"]
        visit.history.append(("user", text))
        body = {
            "model": self.spec.model,
            "messages": [{"role": role, "content": content} for role, content in visit.history],
            "max_tokens": self._max_tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        request, answer.meta["trace_id"] = self._chat.fill(orjson.dumps(body))
        return request, answer

    def learn(self, visit: Visit, answer: Answer) -> None:
        """Keep the reply as history of the next turn."""
        if answer.text is not None and visit.prompt is None:
            visit.history.append(("assistant", answer.said()))


class OpenAiAnswer(SseAnswer):
    """Reads completion chunks. The first content shows how this server writes it; from then on content is counted."""

    __slots__ = ("_end_markers", "_marker", "done", "finish_reason", "max_tokens", "spec", "usage")

    def __init__(
        self, gaps_ns: array[int], spec: TargetSpec, max_tokens: int | None = None, keep_text: bool = False
    ) -> None:
        super().__init__(gaps_ns, keep_text)
        self.spec = spec
        self.max_tokens = max_tokens
        self.usage: dict[str, Any] | None = None
        self.finish_reason: str | None = None
        self.done = False
        self._marker = b""
        self._end_markers = (b"", b"", b"")

    def plain_end(self, block: bytes, start: int) -> int:
        """Up to the event with the finish reason, which comes before usage and [DONE] and near the end of a block."""
        finish, usage, done = self._end_markers
        found = block.rfind(finish, start)
        if found < 0:
            found = block.find(usage, start)
        if found < 0:
            found = block.find(done, start)
        if found < 0:
            return len(block)
        before = block.rfind(b"\n\n", start, found)
        return before + 2 if before >= 0 else start

    def count(self, block: bytes, start: int, end: int) -> int:
        """Chunks with a content field; a token that decodes to nothing is a chunk too."""
        return block.count(self._marker, start, end)

    def read(self, now_ns: int, events: list[SseEvent]) -> None:
        """Read chunks one by one."""
        chunks = 0
        for event in events:
            if event.data == b"[DONE]":
                self.done = True
                continue
            data = orjson.loads(event.data)
            if not isinstance(data, dict):
                raise BadAnswer("a chunk that is no object")
            if data.get("error"):
                self._error(data["error"])
            self.usage = data.get("usage") or self.usage
            for choice in data.get("choices") or ():
                self.finish_reason = choice.get("finish_reason") or self.finish_reason
                key = content_key(choice)
                if key is not None:
                    chunks += 1
                    self._learn_marker(key, event.data)
        if chunks:
            self.content(now_ns, chunks)

    def _learn_marker(self, key: str, data: bytes) -> None:
        """How this server writes content: with or without a space after the colon."""
        compact = b'"' + key.encode() + b'":"'
        spaced = b'"' + key.encode() + b'": "'
        self._marker = compact if compact in data else spaced
        colon = b'":' if compact in data else b'": '
        self._end_markers = (b'"finish_reason' + colon + b'"', b'"usage' + colon + b"{", b"data: [DONE]")
        self.counting = True

    def _error(self, error: Any) -> None:
        code = error.get("code") or error.get("type") if isinstance(error, dict) else error
        self.status = "throttled" if str(code) == "429" else "stream_error"
        self.error_code = str(code)

    def finish(self) -> None:
        """A whole answer ends with a finish reason, usage or [DONE]."""
        whole = self.done or self.finish_reason is not None or self.usage is not None
        self.status = "ok" if whole else "stream_error"
        self.error_code = None if whole else "no_end"
        usage = self.usage or {}
        self.output_tokens = usage.get("completion_tokens")
        if self.first_ns and (self.output_tokens or 0) >= 2:
            self.tpot_s = (self.last_ns - self.first_ns) * 1e-9 / (self.output_tokens - 1)  # type: ignore[operator]
        self.calls.append(self._call(usage))

    def said(self) -> str:
        """The text of all chunks, read after the answer has ended."""
        return answer_text(self.text or [])

    def _call(self, usage: dict[str, Any]) -> dict[str, Any]:
        prompt = usage.get("prompt_tokens")
        cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens")
        return {
            "call_index": 0,
            "start_s": 0.0,
            "timed_by": "loadgen",
            "status": self.status,
            "purpose": "answer",
            "model": self.spec.model,
            "supply": "self_hosted",
            "endpoint": self.spec.url,
            "region": self.spec.region,
            "max_tokens": self.max_tokens,
            "input_tokens": None if prompt is None else prompt - (cached or 0),
            "cache_read_tokens": cached,
            "output_tokens": self.output_tokens,
            "ttft_s": (self.first_ns - self.start_ns) * 1e-9 if self.first_ns else None,
            "tpot_s": self.tpot_s,
            "e2e_s": (self.last_ns - self.start_ns) * 1e-9 if self.last_ns else None,
            "attempts": 1,
            "stop_reason": self.finish_reason,
        }


def content_key(choice: dict[str, Any]) -> str | None:
    """The key that holds content in a streamed choice; None for a role-only or final chunk."""
    holder = choice.get("delta") or choice
    for key in _CONTENT_KEYS:
        if holder.get(key):
            return key
    calls = holder.get("tool_calls")
    return "arguments" if calls else None


def answer_text(blocks: list[bytes]) -> str:
    """The text of a streamed answer, read after it has ended."""
    pieces = []
    for block in blocks:
        for line in block.split(b"\n"):
            if line.startswith(b"data: {"):
                for choice in orjson.loads(line[6:]).get("choices") or ():
                    holder = choice.get("delta") or choice
                    pieces.append(holder.get("content") or holder.get("text") or "")
    return "".join(pieces)
