"""The Responses API, read as a chat request and answered in its own events. Nothing is stored between requests.

Source: OpenAI API reference, responses and their streaming events; vLLM serves the same path.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from itertools import count
from typing import cast

import orjson

from emulator.calls import Call, Refused, Work
from emulator.http.connection import http_head
from emulator.http.stream import Wire
from emulator.models import EmulatedModel
from emulator.openai.answers import json_pieces
from emulator.openai.messages import ChatBody
from emulator.openai.requests import Asked, bad, read_chat
from emulator.replies import Reply
from host.json_values import items

_COPIED = ("model", "stream", "parallel_tool_calls", "min_tokens", "ignore_eos", "temperature", "top_p")
_ECHOED = ("instructions", "metadata", "max_output_tokens", "temperature", "top_p", "user", "reasoning", "truncation")


def read_responses(body: dict[str, object], emulated: EmulatedModel) -> Asked:
    """The request as chat completions have it.

    Raises:
        Refused: what this server lacks (stored responses, background work, tools of its own), or a wrong form.
    """
    if body.get("previous_response_id") is not None:
        name = body["previous_response_id"]
        raise Refused(404, "NotFoundError", f"Response with id '{name}' not found: nothing is stored here.")
    if body.get("background"):
        raise bad("background is not offered here.")
    chat = {name: body[name] for name in _COPIED if name in body}
    chat["messages"] = _messages(body)
    if body.get("max_output_tokens") is not None:
        chat["max_completion_tokens"] = body["max_output_tokens"]
    if body.get("tools"):
        chat["tools"] = [_tool(tool) for tool in _list(body, "tools")]
    choice = body.get("tool_choice")
    if choice is not None:
        chat["tool_choice"] = {"function": {"name": choice.get("name")}} if isinstance(choice, dict) else choice
    text = body.get("text")
    form = text.get("format") if isinstance(text, dict) else None
    if isinstance(form, dict):
        chat["response_format"] = {"type": form.get("type"), "json_schema": form}
    asked = read_chat(cast(ChatBody, chat), emulated)  # which refuses what is of another form
    asked.given = body
    return asked


def _list(body: Mapping[str, object], name: str) -> list[dict[str, object]]:
    value = body.get(name)
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise bad(f"{name} must be a list of objects.")
    return value


def _messages(body: Mapping[str, object]) -> list[dict[str, object]]:
    made: list[dict[str, object]] = []
    if body.get("instructions"):
        made.append({"role": "system", "content": str(body["instructions"])})
    if isinstance(body.get("input"), str):
        return [*made, {"role": "user", "content": body["input"]}]
    for item in _list(body, "input"):
        made += _message(item)
    return made


def _message(item: dict[str, object]) -> list[dict[str, object]]:
    """One item of the input; reasoning is passed over."""
    kind = item.get("type") or "message"
    if kind == "message":
        role = "system" if item.get("role") == "developer" else item.get("role")
        return [{"role": role, "content": _content(item.get("content"))}]
    if kind == "function_call":
        function = {"name": str(item.get("name")), "arguments": str(item.get("arguments") or "")}
        call = {"id": item.get("call_id"), "type": "function", "function": function}
        return [{"role": "assistant", "content": None, "tool_calls": [call]}]
    if kind == "function_call_output":
        return [{"role": "tool", "tool_call_id": item.get("call_id"), "content": _content(item.get("output"))}]
    if kind == "reasoning":
        return []
    raise bad(f"input items of type {kind} are not read here.")


def _content(content: object) -> object:
    if not isinstance(content, list):
        return content
    parts = []
    for part in content:
        if not isinstance(part, dict):
            raise bad("content must be a string or a list of parts.")
        image = part.get("type") == "input_image"
        parts.append({"type": "image_url"} if image else {"type": "text", "text": part.get("text")})
    return parts


def _tool(tool: dict[str, object]) -> dict[str, object]:
    if tool.get("type") != "function":
        raise bad(f"tools of type {tool.get('type')} are not offered here.")
    return {"type": "function", "function": {key: value for key, value in tool.items() if key != "type"}}


class ResponsesAnswer:
    """One reply as a response object, or as the events that build it."""

    def __init__(self, asked: Asked, reply: Reply, work: Work, emulated: EmulatedModel, call: Call) -> None:
        self._asked, self._reply, self._work = asked, reply, work
        self._corpus = emulated.corpus
        self._id, self._model = call.id, emulated.model.model_id
        self._created = int(time.time())
        self._numbers = count()
        self._headers = {"x-request-id": call.id}

    def stream(self) -> Wire:
        """As server-sent events."""
        begun = self._response("in_progress", [], usage=False)
        head = self._event("response.created", response=begun) + self._event("response.in_progress", response=begun)
        units = self._tool_units() if self._reply.tools else self._text_units()
        http = http_head(200, "text/event-stream; charset=utf-8", self._headers, None)
        return Wire(http, head, units, self._tail)

    def whole(self) -> Wire:
        """As one JSON body."""
        return Wire(b"", b"", [b""], self._body, chunked=False)

    def _body(self, now_s: float) -> bytes:
        body = orjson.dumps(self._response(self._status, self._items(), usage=True))
        return http_head(200, "application/json", self._headers, len(body)) + body

    def _tail(self, now_s: float) -> bytes:
        name = f"response.{self._status}"
        return self._event(name, response=self._response(self._status, self._items(), usage=True))

    @property
    def _status(self) -> str:
        return "incomplete" if self._reply.stop == "length" else "completed"

    def _event(self, kind: str, **members: object) -> bytes:
        value = {"type": kind, "sequence_number": next(self._numbers), **members}
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), orjson.dumps(value))

    def _text_units(self) -> list[bytes]:
        """A delta for each chunk of the model; the message begins with the first and ends with the last."""
        [item] = self._items()
        part, empty = items(item["content"])[0], {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        where = {"item_id": item["id"], "output_index": 0, "content_index": 0}
        begun = {**item, "status": "in_progress", "content": []}
        first = self._event("response.output_item.added", output_index=0, item=begun)
        first += self._event("response.content_part.added", **where, part=empty)
        units = [
            self._event("response.output_text.delta", **where, delta=piece, logprobs=[])
            for piece in self._corpus.pieces(self._reply.text)
        ]
        units[0] = first + units[0]
        units[-1] += self._event("response.output_text.done", **where, text=self._reply.text, logprobs=[])
        units[-1] += self._event("response.content_part.done", **where, part=part)
        units[-1] += self._event("response.output_item.done", output_index=0, item=item)
        return units

    def _tool_units(self) -> list[bytes]:
        units: list[bytes] = []
        for index, (item, tool) in enumerate(zip(self._items(), self._reply.tools, strict=True)):
            where = {"item_id": item["id"], "output_index": index}
            begun = {**item, "status": "in_progress", "arguments": ""}
            first = self._event("response.output_item.added", output_index=index, item=begun)
            made = [
                self._event("response.function_call_arguments.delta", **where, delta=piece)
                for piece in json_pieces(tool)
            ]
            made[0] = first + made[0]
            done = {**where, "arguments": tool.arguments, "name": tool.name}
            made[-1] += self._event("response.function_call_arguments.done", **done)
            made[-1] += self._event("response.output_item.done", output_index=index, item=item)
            units += made
        return units

    def _items(self) -> list[dict[str, object]]:
        if self._reply.tools:
            return [
                {"type": "function_call", "id": f"fc_{tool.id}", "call_id": f"call_{tool.id}", "name": tool.name,
                 "arguments": tool.arguments, "status": "completed"}
                for tool in self._reply.tools
            ]  # fmt: skip
        text = {"type": "output_text", "text": self._reply.text, "annotations": [], "logprobs": []}
        return [
            {"type": "message", "id": f"msg_{self._id}", "role": "assistant", "status": self._status, "content": [text]}
        ]

    def _response(self, status: str, output: list[dict[str, object]], usage: bool) -> dict[str, object]:
        given = self._asked.given
        cut = {"reason": "max_output_tokens"} if status == "incomplete" else None
        return {
            "id": self._id,
            "object": "response",
            "created_at": self._created,
            "status": status,
            "error": None,
            "incomplete_details": cut,
            "model": self._model,
            "output": output,
            "parallel_tool_calls": given.get("parallel_tool_calls") is not False,
            "previous_response_id": None,
            "store": False,
            "text": given.get("text") or {"format": {"type": "text"}},
            "tool_choice": given.get("tool_choice") or "auto",
            "tools": given.get("tools") or [],
            "usage": self._usage() if usage else None,
            **{name: given.get(name) for name in _ECHOED},
        }

    def _usage(self) -> dict[str, object]:
        prompt, tokens = self._asked.input_tokens, self._reply.tokens
        return {
            "input_tokens": prompt,
            "input_tokens_details": {"cached_tokens": self._work.cached_tokens},
            "output_tokens": tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": prompt + tokens,
        }
