"""Claude's own body and answer on Bedrock: Anthropic's Messages API, version bedrock-2023-05-31.

Source: Bedrock User Guide, Anthropic Claude Messages API; docs.anthropic.com, Messages and streaming events.
"""

from __future__ import annotations

from itertools import groupby
from typing import Any

import orjson

from emulator.bedrock.answers import EVENT_STREAM, STOP, Outcome, json_pieces, parsed
from emulator.bedrock.model_ids import base_of
from emulator.bedrock.native.chunks import chunk, invocation_metrics, token_headers
from emulator.http.connection import http_head
from emulator.http.stream import Wire


def converse_body(body: dict[str, Any]) -> dict[str, Any]:
    """The same request as Converse has it. Another form raises KeyError, TypeError, AttributeError or ValueError."""
    made: dict[str, Any] = {
        "messages": _messages(body["messages"]),
        "inferenceConfig": {"maxTokens": body["max_tokens"]},
    }
    if body.get("system"):
        made["system"] = _blocks(body["system"])
    choice = body.get("tool_choice") or {}
    if body.get("tools"):
        made["toolConfig"] = {"tools": [item for tool in body["tools"] for item in _tool(tool)]}
        if choice.get("type") == "any":
            made["toolConfig"]["toolChoice"] = {"any": {}}
        elif choice.get("type") == "tool":
            made["toolConfig"]["toolChoice"] = {"tool": {"name": choice["name"]}}
    if choice:
        made["additionalModelRequestFields"] = {"tool_choice": choice}
    form = (body.get("output_config") or {}).get("format") or body.get("output_format")
    if form and form["type"] == "json_schema":
        schema = orjson.dumps(form["schema"]).decode()
        made["outputConfig"] = {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": schema}}}}
    return made


def _messages(messages: object) -> list[dict[str, object]]:
    """Messages that alternate: Claude's own API joins neighbours of one role."""
    if not isinstance(messages, list):
        raise TypeError("messages is no list")
    joined = []
    for role, group in groupby(messages, lambda message: message["role"]):
        joined.append({"role": role, "content": [block for message in group for block in _blocks(message["content"])]})
    return joined


def _blocks(content: Any) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"text": content}]
    return [made for block in content for made in (*_block(block), *_point(block))]


def _point(block: dict[str, Any]) -> list[dict[str, Any]]:
    control = block.get("cache_control")
    if not control:
        return []
    point = {"type": "default"} | ({"ttl": control["ttl"]} if control.get("ttl") else {})
    return [{"cachePoint": point}]


def _block(block: dict[str, Any]) -> list[dict[str, Any]]:
    kind = block["type"]
    if kind == "text":
        return [{"text": block["text"]}]
    if kind in ("image", "document"):
        source = block["source"]
        form = source["media_type"].split("/")[1] if source["type"] == "base64" else "txt"
        named = {"name": "document"} if kind == "document" else {}
        return [{kind: {"format": form, **named, "source": {"bytes": source["data"]}}}]
    if kind == "tool_use":
        return [{"toolUse": {"toolUseId": block["id"], "name": block["name"], "input": block["input"]}}]
    if kind == "tool_result":
        result = {"toolUseId": block["tool_use_id"], "content": _blocks(block.get("content") or " ")}
        return [{"toolResult": result | ({"status": "error"} if block.get("is_error") else {})}]
    if kind == "thinking":
        return [{"reasoningContent": {"reasoningText": {"text": block["thinking"]}}}]
    raise ValueError(f"content blocks of type {kind} are not read here")


def _tool(tool: dict[str, Any]) -> list[dict[str, Any]]:
    spec = {"name": tool["name"], "inputSchema": {"json": tool.get("input_schema") or {}}}
    if tool.get("description"):
        spec["description"] = tool["description"]
    return [{"toolSpec": spec}, *_point(tool)]


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
        content: list[dict[str, Any]] = [{"type": "text", "text": self._reply.text}] if self._reply.text else []
        for tool in self._reply.tools:
            content.append({"type": "tool_use", "id": tool.id, "name": tool.name, "input": parsed(tool.arguments)})
        body = orjson.dumps(self._message(content, STOP[self._reply.stop], self._reply.tokens))
        headers = self._outcome.headers | token_headers(self._outcome, now_s)
        return http_head(200, "application/json", headers, len(body)) + body

    def _message(self, content: list[dict[str, Any]], stop: str | None, output_tokens: int) -> dict[str, Any]:
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
