"""Builds a `Reply` out of stream events, whatever the wire."""

from __future__ import annotations

from collections.abc import Callable

import orjson

from assistant.errors import ModelError
from assistant.models.protocol import Block, Reply, ToolUse, Usage


class ReplyBuilder:
    """Collects one streamed reply; `clock` returns seconds, and its origin is the builder's birth.

    `opened`: the provider accepted the request (HTTP 200), whether or not content has come.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._started_s = clock()
        self._first_s: float | None = None
        self._last_s: float | None = None
        self._texts: dict[int, list[str]] = {}
        self._tools: dict[int, tuple[str, str, list[str]]] = {}
        self.citations: list[str] = []
        self.stop_reason: str | None = None
        self.usage: Usage | None = None
        self.tier_resolved: str | None = None
        self.latency_mode: str | None = None
        self.attempts = 1
        self.opened = False

    def text(self, index: int, text: str) -> None:
        """A text fragment of a content block."""
        self._content_came()
        parts = self._texts.get(index)
        if parts is None:
            self._texts[index] = [text]
        else:
            parts.append(text)

    def tool_start(self, index: int, tool_use_id: str, name: str) -> None:
        """A toolUse block begins."""
        self._content_came()
        self._tools[index] = (tool_use_id, name, [])

    def tool_input(self, index: int, fragment: str) -> None:
        """A fragment of a toolUse block's JSON input; blocks may be interleaved."""
        self._content_came()
        if index not in self._tools:
            raise ModelError(502, "bad_stream", f"tool input for block {index}, which never began", streaming=True)
        self._tools[index][2].append(fragment)

    def build(self) -> Reply:
        """The finished reply.

        Raises:
            ModelError: the stream ended before the model said that it stopped.
        """
        if self.stop_reason is None:
            raise ModelError(502, "cut_stream", "the model's stream ended before its stop event", streaming=True)
        content: list[Block] = []
        uses: list[ToolUse] = []
        for index in sorted({*self._texts, *self._tools}):
            if index in self._tools:
                use = _tool_use(*self._tools[index])
                uses.append(use)
                content.append(
                    {"toolUse": {"toolUseId": use.tool_use_id, "name": use.name, "input": dict(use.input or {})}}
                )
            elif text := "".join(self._texts[index]):
                content.append({"text": text})
        return Reply(
            content=content,
            tool_uses=uses,
            stop_reason=self.stop_reason,
            usage=self.usage,
            ttft_s=None if self._first_s is None else self._first_s - self._started_s,
            tpot_s=self._tpot_s(),
            e2e_s=self._clock() - self._started_s,
            tier_resolved=self.tier_resolved,
            latency_mode=self.latency_mode,
            citations=self.citations,
            attempts=self.attempts,
        )

    @property
    def elapsed_s(self) -> float:
        """Seconds since the request was handed over."""
        return self._clock() - self._started_s

    @property
    def ttft_s(self) -> float | None:
        """Seconds to the first content, if any came yet."""
        return None if self._first_s is None else self._first_s - self._started_s

    def _content_came(self) -> None:
        self._last_s = self._clock()
        if self._first_s is None:
            self._first_s = self._last_s

    def _tpot_s(self) -> float | None:
        tokens = self.usage.output_tokens if self.usage else 0
        if tokens < 2 or self._first_s is None or self._last_s is None:
            return None
        return (self._last_s - self._first_s) / (tokens - 1)


def _tool_use(tool_use_id: str, name: str, fragments: list[str]) -> ToolUse:
    try:
        value: object = orjson.loads("".join(fragments) or "{}")
    except orjson.JSONDecodeError as error:
        return ToolUse(tool_use_id, name, None, f"the arguments are not JSON: {error}")
    if not isinstance(value, dict):
        return ToolUse(tool_use_id, name, None, "the arguments are not a JSON object")
    return ToolUse(tool_use_id, name, value)
