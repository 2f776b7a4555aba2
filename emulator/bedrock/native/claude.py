"""Claude's own body and answer on Bedrock: Anthropic's Messages API, version bedrock-2023-05-31.

Source: Bedrock User Guide, Anthropic Claude Messages API; docs.anthropic.com, Messages and streaming events.
"""

from __future__ import annotations

from itertools import groupby

import orjson

from emulator.bedrock.answers import EVENT_STREAM, STOP, Outcome, json_pieces, parsed
from emulator.bedrock.messages import (
    Block,
    CacheControl,
    CachePoint,
    ClaudeBlock,
    ClaudeBody,
    ClaudeMessage,
    ClaudeOutputConfig,
    ClaudeTool,
    ClaudeToolChoice,
    ConverseBody,
    Message,
    Tool,
    ToolResult,
    ToolSpec,
)
from emulator.bedrock.model_ids import base_of
from emulator.bedrock.native.chunks import chunk, invocation_metrics, token_headers
from emulator.http.connection import http_head
from emulator.http.stream import Wire


def converse_body(body: ClaudeBody) -> ConverseBody:
    """The same request as Converse has it. Another form raises KeyError, TypeError, AttributeError or ValueError."""
    made: ConverseBody = {"messages": _messages(body["messages"]), "inferenceConfig": {"maxTokens": body["max_tokens"]}}
    if body.get("system"):
        made["system"] = _blocks(body["system"])
    choice = body.get("tool_choice") or ClaudeToolChoice()
    if body.get("tools"):
        made["toolConfig"] = {"tools": [item for tool in body["tools"] for item in _tool(tool)]}
        if choice.get("type") == "any":
            made["toolConfig"]["toolChoice"] = {"any": {}}
        elif choice.get("type") == "tool":
            made["toolConfig"]["toolChoice"] = {"tool": {"name": choice["name"]}}
    if choice:
        made["additionalModelRequestFields"] = {"tool_choice": choice}
    form = (body.get("output_config") or ClaudeOutputConfig()).get("format") or body.get("output_format")
    if form and form["type"] == "json_schema":
        schema = orjson.dumps(form["schema"]).decode()
        made["outputConfig"] = {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": schema}}}}
    return made


def _messages(messages: list[ClaudeMessage]) -> list[Message]:
    """Messages that alternate: Claude's own API joins neighbours of one role."""
    if not isinstance(messages, list):
        raise TypeError("messages is no list")
    joined: list[Message] = []
    for role, group in groupby(messages, lambda message: message["role"]):
        joined.append({"role": role, "content": [block for message in group for block in _blocks(message["content"])]})
    return joined


def _blocks(content: str | list[ClaudeBlock]) -> list[Block]:
    if isinstance(content, str):
        return [{"text": content}]
    made: list[Block] = []
    for block in content:
        made += _block(block)
        made += [{"cachePoint": point} for point in _point(block.get("cache_control"))]
    return made


def _point(control: CacheControl | None) -> list[CachePoint]:
    if not control:
        return []
    return [{"type": "default", "ttl": control["ttl"]} if control.get("ttl") else {"type": "default"}]


def _block(block: ClaudeBlock) -> list[Block]:
    kind = block["type"]
    if kind == "text":
        return [{"text": block["text"]}]
    if kind in ("image", "document"):
        source = block["source"]
        form = source["media_type"].split("/")[1] if source["type"] == "base64" else "txt"
        held = {"bytes": source["data"]}
        if kind == "image":
            return [{"image": {"format": form, "source": held}}]
        return [{"document": {"format": form, "name": "document", "source": held}}]
    if kind == "tool_use":
        return [{"toolUse": {"toolUseId": block["id"], "name": block["name"], "input": block["input"]}}]
    if kind == "tool_result":
        result: ToolResult = {"toolUseId": block["tool_use_id"], "content": _blocks(block.get("content") or " ")}
        if block.get("is_error"):
            result["status"] = "error"
        return [{"toolResult": result}]
    if kind == "thinking":
        return [{"reasoningContent": {"reasoningText": {"text": block["thinking"]}}}]
    raise ValueError(f"content blocks of type {kind} are not read here")


def _tool(tool: ClaudeTool) -> list[Tool]:
    spec: ToolSpec = {"name": tool["name"], "inputSchema": {"json": tool.get("input_schema") or {}}}
    if tool.get("description"):
        spec["description"] = tool["description"]
    made: list[Tool] = [{"toolSpec": spec}]
    return made + [Tool(cachePoint=point) for point in _point(tool.get("cache_control"))]


class ClaudeAnswer:
    """An outcome in Claude's own form."""

    def __init__(self, outcome: Outcome) -> None:
        self._outcome, self._reply = outcome, outcome.reply

    def stream(self) -> Wire:
        """As the events of Anthropic's stream, each a chunk."""
        begun = {"type": "message_start", "message": self._message([], None, 1)}
        units, head = self._tool_units(), chunk(begun)
        if not self._reply.tools:
            head += chunk({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
            units = [
                chunk(
                    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}}, number
                )
                for number, piece in enumerate(self._outcome.pieces)
            ]
        headers = self._outcome.headers | {"x-amzn-bedrock-content-type": "application/json"}
        return Wire(http_head(200, EVENT_STREAM, headers, None), head, units, self._tail)

    def whole(self) -> Wire:
        """As one JSON body."""
        return Wire(b"", b"", [b""], self._body, chunked=False)

    def _tool_units(self) -> list[bytes]:
        units = []
        for index, tool in enumerate(self._reply.tools):
            block = {"type": "tool_use", "id": tool.id, "name": tool.name, "input": {}}
            frames = [
                chunk({"type": "content_block_delta", "index": index,
                       "delta": {"type": "input_json_delta", "partial_json": piece}}, number)
                for number, piece in enumerate(json_pieces(tool))
            ]  # fmt: skip
            frames[0] = chunk({"type": "content_block_start", "index": index, "content_block": block}) + frames[0]
            frames[-1] += chunk({"type": "content_block_stop", "index": index})
            units += frames
        return units

    def _tail(self, now_s: float) -> bytes:
        delta = {"stop_reason": STOP[self._reply.stop], "stop_sequence": None}
        stopped = b"" if self._reply.tools else chunk({"type": "content_block_stop", "index": 0})
        usage = {"output_tokens": self._reply.tokens}
        end = {"type": "message_stop", "amazon-bedrock-invocationMetrics": invocation_metrics(self._outcome, now_s)}
        return stopped + chunk({"type": "message_delta", "delta": delta, "usage": usage}) + chunk(end)

    def _body(self, now_s: float) -> bytes:
        content: list[dict[str, object]] = [{"type": "text", "text": self._reply.text}] if self._reply.text else []
        for tool in self._reply.tools:
            content.append({"type": "tool_use", "id": tool.id, "name": tool.name, "input": parsed(tool.arguments)})
        body = orjson.dumps(self._message(content, STOP[self._reply.stop], self._reply.tokens))
        headers = self._outcome.headers | token_headers(self._outcome, now_s)
        return http_head(200, "application/json", headers, len(body)) + body

    def _message(self, content: list[dict[str, object]], stop: str | None, output_tokens: int) -> dict[str, object]:
        outcome, use = self._outcome, self._outcome.use
        base = base_of(outcome.call.emulated.model.model_id)
        return {
            "model": base.removeprefix("anthropic.").removesuffix("-v1:0"),
            "id": f"msg_bdrk_{outcome.call.id.replace('-', '')[:24]}",
            "type": "message",
            "role": "assistant",
            "content": content,
            "stop_reason": stop,
            "stop_sequence": None,
            "usage": {
                "input_tokens": outcome.uncached,
                "cache_creation_input_tokens": use.write,
                "cache_read_input_tokens": use.read,
                "cache_creation": {
                    "ephemeral_5m_input_tokens": use.write_5m,
                    "ephemeral_1h_input_tokens": use.write_1h,
                },
                "output_tokens": output_tokens,
            },
        }
