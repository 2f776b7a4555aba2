"""Nova's own body and answer on Bedrock: the messages-v1 schema, which is near to Converse.

Source: Amazon Nova User Guide, complete request schema and invocation with response stream.
"""

from __future__ import annotations

from typing import Required, TypedDict

import orjson

from emulator.bedrock.answers import EVENT_STREAM, STOP, Outcome, json_pieces, parsed
from emulator.bedrock.messages import Block, ConverseBody, Message, ToolConfig
from emulator.bedrock.native.chunks import chunk, invocation_metrics, token_headers
from emulator.http.connection import http_head
from emulator.http.stream import Wire

_MAX_TOKENS = ("maxTokens", "max_new_tokens", "max_tokens", "maxNewTokens")


class NovaBody(TypedDict, total=False):
    """A request of Nova's own; its limit has one of several names."""

    messages: Required[list[Message]]
    system: list[Block]
    toolConfig: ToolConfig
    inferenceConfig: dict[str, int]


def converse_body(body: NovaBody) -> ConverseBody:
    """The same request as Converse has it; sampling parameters have no effect here."""
    made: ConverseBody = {"messages": body["messages"]}
    if body.get("system"):
        made["system"] = body["system"]
    if body.get("toolConfig"):
        made["toolConfig"] = body["toolConfig"]
    config = body.get("inferenceConfig") or {}
    limit = next((config[name] for name in _MAX_TOKENS if config.get(name) is not None), None)
    if limit is not None:
        made["inferenceConfig"] = {"maxTokens": limit}
    return made


class NovaAnswer:
    """An outcome in Nova's own form."""

    def __init__(self, outcome: Outcome) -> None:
        self._outcome, self._reply = outcome, outcome.reply

    def stream(self) -> Wire:
        """As the events of Converse without their event names, each a chunk."""
        units = self._tool_units()
        if not self._reply.tools:
            units = [
                chunk({"contentBlockDelta": {"delta": {"text": piece}, "contentBlockIndex": 0}}, number)
                for number, piece in enumerate(self._outcome.pieces)
            ]
        headers = self._outcome.headers | {"x-amzn-bedrock-content-type": "application/json"}
        head = chunk({"messageStart": {"role": "assistant"}})
        return Wire(http_head(200, EVENT_STREAM, headers, None), head, units, self._tail)

    def whole(self) -> Wire:
        """As one JSON body."""
        return Wire(b"", b"", [b""], self._body, chunked=False)

    def _tool_units(self) -> list[bytes]:
        units = []
        for index, tool in enumerate(self._reply.tools):
            start = {"start": {"toolUse": {"toolUseId": tool.id, "name": tool.name}}, "contentBlockIndex": index}
            frames = [
                chunk(
                    {"contentBlockDelta": {"delta": {"toolUse": {"input": piece}}, "contentBlockIndex": index}}, number
                )
                for number, piece in enumerate(json_pieces(tool))
            ]
            frames[0] = chunk({"contentBlockStart": start}) + frames[0]
            frames[-1] += chunk({"contentBlockStop": {"contentBlockIndex": index}})
            units += frames
        return units

    def _tail(self, now_s: float) -> bytes:
        stopped = b"" if self._reply.tools else chunk({"contentBlockStop": {"contentBlockIndex": 0}})
        metadata = {"usage": self._usage(), "metrics": {}, "trace": {}}
        end = {"metadata": metadata, "amazon-bedrock-invocationMetrics": invocation_metrics(self._outcome, now_s)}
        return stopped + chunk({"messageStop": {"stopReason": STOP[self._reply.stop]}}) + chunk(end)

    def _body(self, now_s: float) -> bytes:
        content: list[dict[str, object]] = [{"text": self._reply.text}] if self._reply.text else []
        for tool in self._reply.tools:
            content.append({"toolUse": {"toolUseId": tool.id, "name": tool.name, "input": parsed(tool.arguments)}})
        body = orjson.dumps(
            {
                "output": {"message": {"content": content, "role": "assistant"}},
                "stopReason": STOP[self._reply.stop],
                "usage": self._usage(),
            }
        )
        headers = self._outcome.headers | token_headers(self._outcome, now_s)
        return http_head(200, "application/json", headers, len(body)) + body

    def _usage(self) -> dict[str, int]:
        outcome = self._outcome
        return {
            "inputTokens": outcome.uncached,
            "outputTokens": self._reply.tokens,
            "totalTokens": outcome.prompt.tokens + self._reply.tokens,
            "cacheReadInputTokenCount": outcome.use.read,
            "cacheWriteInputTokenCount": outcome.use.write,
        }
