"""One outcome of a call in the two forms of Converse: a JSON body, or event-stream frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import orjson

from emulator.bedrock import eventstream_encoder as encode
from emulator.bedrock.messages import ConverseBody
from emulator.bedrock.prompt import Prompt
from emulator.bedrock.prompt_cache import CacheUse
from emulator.calls import Call
from emulator.http.connection import http_head
from emulator.http.stream import Wire
from emulator.replies import Reply, ToolCall

EVENT_STREAM = "application/vnd.amazon.eventstream"
STOP = {"end": "end_turn", "tools": "tool_use", "length": "max_tokens"}
_TOOL_JSON_CHUNK = 24


@dataclass(frozen=True)
class Outcome:
    """What a call comes to: the reply, what of the prompt was cached, and when it was received."""

    reply: Reply
    prompt: Prompt
    use: CacheUse
    body: ConverseBody
    call: Call
    received_s: float

    @property
    def uncached(self) -> int:
        """Input tokens that were neither read from a cache nor written to one."""
        return self.prompt.tokens - self.use.read - self.use.write

    @property
    def first_s(self) -> float:
        """When the first unit was sent; when the request came, before that."""
        return self.call.first_s or self.received_s

    @property
    def pieces(self) -> list[str]:
        """The text as it streams, a piece for each chunk of the model."""
        return self.call.emulated.corpus.pieces(self.reply.text)

    @property
    def headers(self) -> dict[str, str]:
        """Of every answer."""
        return {"x-amzn-RequestId": self.call.id}


class Answer(Protocol):
    """An outcome on the wire."""

    def stream(self) -> Wire:
        """As event-stream frames."""

    def whole(self) -> Wire:
        """As one JSON body."""


Form = Callable[[Outcome], Answer]


def text_unit(text: str, index: int) -> bytes:
    """One contentBlockDelta frame of text in block 0, padded as the service pads it."""
    payload = {"contentBlockIndex": 0, "delta": {"text": text}, "p": encode.filler(index)}
    return encode.event("contentBlockDelta", orjson.dumps(payload))


def json_pieces(tool: ToolCall) -> list[str]:
    """A tool's input as a model streams it."""
    return [tool.arguments[at : at + _TOOL_JSON_CHUNK] for at in range(0, len(tool.arguments), _TOOL_JSON_CHUNK)]


def parsed(arguments: str) -> object:
    """The input of a tool; its text where a fault has spoilt it."""
    try:
        return orjson.loads(arguments)
    except orjson.JSONDecodeError:
        return arguments


class ConverseAnswer:
    """One reply in the two forms of the protocol."""

    def __init__(self, outcome: Outcome) -> None:
        self._outcome, self._reply = outcome, outcome.reply

    def stream(self) -> Wire:
        """As event-stream frames."""
        reply = self._reply
        units = _tool_units(reply.tools) if reply.tools else reply.text_units
        return Wire(
            http_head(200, EVENT_STREAM, self._outcome.headers, None),
            encode.event("messageStart", b'{"role":"assistant","p":"abcdef"}'),
            units,
            self._stream_tail,
        )

    def whole(self) -> Wire:
        """As one JSON body."""
        return Wire(b"", b"", [b""], self._whole_body, chunked=False)

    def _stream_tail(self, now_s: float) -> bytes:
        reply = self._reply
        frames = (
            []
            if reply.tools
            else [*_citation_frames(reply), encode.event("contentBlockStop", b'{"contentBlockIndex":0}')]
        )
        frames.append(encode.event("messageStop", orjson.dumps({"stopReason": STOP[reply.stop]})))
        frames.append(encode.event("metadata", orjson.dumps(self._metadata(now_s))))
        return b"".join(frames)

    def _whole_body(self, now_s: float) -> bytes:
        reply = self._reply
        content: list[dict[str, object]] = [{"text": reply.text}] if reply.text else []
        for tool in reply.tools:
            content.append({"toolUse": {"toolUseId": tool.id, "name": tool.name, "input": parsed(tool.arguments)}})
        if reply.cited:
            content[0] = {
                "citationsContent": {
                    "content": [{"text": reply.text}],
                    "citations": [_citation(page) for page in reply.cited],
                }
            }
        value = {
            "output": {"message": {"role": "assistant", "content": content}},
            "stopReason": STOP[reply.stop],
            **self._metadata(now_s),
        }
        body = orjson.dumps(value)
        return http_head(200, "application/json", self._outcome.headers, len(body)) + body

    def _metadata(self, now_s: float) -> dict[str, object]:
        use, reply, body = self._outcome.use, self._reply, self._outcome.body
        usage: dict[str, object] = {
            "inputTokens": self._outcome.uncached,
            "outputTokens": reply.tokens,
            "totalTokens": self._outcome.prompt.tokens + reply.tokens,
            "cacheReadInputTokens": use.read,
            "cacheWriteInputTokens": use.write,
        }
        details = [
            {"ttl": ttl, "inputTokens": tokens}
            for ttl, tokens in (("1h", use.write_1h), ("5m", use.write_5m))
            if tokens
        ]
        if details:
            usage["cacheDetails"] = details
        metrics = {"latencyMs": round((now_s - self._outcome.received_s) * 1000)}
        echoed = {"performanceConfig": body.get("performanceConfig"), "serviceTier": body.get("serviceTier")}
        return {"usage": usage, "metrics": metrics, **{name: value for name, value in echoed.items() if value}}


def _tool_units(tools: tuple[ToolCall, ...]) -> list[bytes]:
    """Frames of toolUse blocks: start with the first piece of input, stop with the last."""
    units = []
    for index, tool in enumerate(tools):
        start = {"contentBlockIndex": index, "start": {"toolUse": {"toolUseId": tool.id, "name": tool.name}}}
        frames = [
            encode.event(
                "contentBlockDelta", orjson.dumps({"contentBlockIndex": index, "delta": {"toolUse": {"input": piece}}})
            )
            for piece in json_pieces(tool)
        ]
        frames[0] = encode.event("contentBlockStart", orjson.dumps(start)) + frames[0]
        frames[-1] += encode.event("contentBlockStop", orjson.dumps({"contentBlockIndex": index}))
        units += frames
    return units


def _citation(page: tuple[str, str]) -> dict[str, object]:
    url, title = page
    return {"title": title, "location": {"web": {"url": url, "domain": url.split("/")[2] if "//" in url else url}}}


def _citation_frames(reply: Reply) -> list[bytes]:
    return [
        encode.event(
            "contentBlockDelta", orjson.dumps({"contentBlockIndex": 0, "delta": {"citation": _citation(page)}})
        )
        for page in reply.cited
    ]
