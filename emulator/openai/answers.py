"""One reply in the forms of chat completions and completions: server-sent events, or a JSON body."""

from __future__ import annotations

import time

import orjson

from emulator.calls import Call, Work
from emulator.http.connection import http_head
from emulator.http.stream import Wire
from emulator.models import EmulatedModel
from emulator.openai.requests import Asked
from emulator.replies import Reply, ToolCall

STOP = {"end": "stop", "tools": "tool_calls", "length": "length"}
_TOOL_JSON_CHUNK = 16


def json_pieces(tool: ToolCall) -> list[str]:
    """A tool's arguments as a model streams them."""
    return [tool.arguments[at : at + _TOOL_JSON_CHUNK] for at in range(0, len(tool.arguments), _TOOL_JSON_CHUNK)]


class CompletionAnswer:
    """One reply in the forms of the protocol."""

    def __init__(self, asked: Asked, reply: Reply, work: Work, emulated: EmulatedModel, call: Call) -> None:
        self._asked, self._reply, self._work = asked, reply, work
        self._id, self._model = call.id, emulated.model.model_id
        self._created = int(time.time())
        self._headers = {"x-request-id": call.id}

    def stream(self) -> Wire:
        """As server-sent events: what is common to all chunks is written once around what differs."""
        kind = "chat.completion.chunk" if self._asked.chat else "text_completion"
        begin = f'data: {{"id":"{self._id}","object":"{kind}","created":{self._created},"model":"{self._model}",'
        begin += '"choices":[{"index":0,'
        self._begin = begin.encode()
        if not self._asked.chat:
            before, after = self._begin + b'"text":', b',"logprobs":null,"finish_reason":null}]}\n\n'
        elif self._reply.tools:
            before, after = self._begin + b'"delta":', b',"logprobs":null,"finish_reason":null}]}\n\n'
        else:
            before, after = self._begin + b'"delta":{"content":', b'},"logprobs":null,"finish_reason":null}]}\n\n'
        head = b""
        if self._asked.chat:
            head = (
                self._begin + b'"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]}\n\n'
            )
        units = _tool_units(self._reply) if self._reply.tools else self._reply.text_units
        http = http_head(200, "text/event-stream; charset=utf-8", self._headers, None)
        return Wire(http, head, units, self._tail, before, after)

    def whole(self) -> Wire:
        """As one JSON body."""
        return Wire(b"", b"", [b""], self._body, chunked=False)

    def _tail(self, now_s: float) -> bytes:
        empty = b'"delta":{}' if self._asked.chat else b'"text":""'
        stop = STOP[self._reply.stop].encode()
        tail = self._begin + empty + b',"logprobs":null,"finish_reason":"%b"}]}\n\n' % stop
        if self._asked.usage_chunk:
            head = self._begin[: self._begin.index(b'"choices"')]
            tail += head + b'"choices":[],"usage":' + orjson.dumps(self._usage()) + b"}\n\n"
        return tail + b"data: [DONE]\n\n"

    def _usage(self) -> dict[str, object]:
        prompt, tokens = self._asked.input_tokens, self._reply.tokens
        return {
            "prompt_tokens": prompt,
            "total_tokens": prompt + tokens,
            "completion_tokens": tokens,
            "prompt_tokens_details": {"cached_tokens": self._work.cached_tokens},
        }

    def _body(self, now_s: float) -> bytes:
        reply = self._reply
        choice: dict[str, object] = {"index": 0, "logprobs": None, "finish_reason": STOP[reply.stop]}
        if self._asked.chat:
            calls = [
                {"id": tool.id, "type": "function", "function": {"name": tool.name, "arguments": tool.arguments}}
                for tool in reply.tools
            ]
            message: dict[str, object] = {"role": "assistant", "content": reply.text or None}
            choice["message"] = message | ({"tool_calls": calls} if calls else {})
        else:
            choice["text"] = reply.text
        kind = "chat.completion" if self._asked.chat else "text_completion"
        value = {
            "id": self._id,
            "object": kind,
            "created": int(time.time()),
            "model": self._model,
            "choices": [choice],
            "usage": self._usage(),
        }
        body = orjson.dumps(value)
        return http_head(200, "application/json", self._headers, len(body)) + body


def _tool_units(reply: Reply) -> list[bytes]:
    """Deltas of tool calls: id and name with the first piece of arguments, then the rest."""
    units = []
    for index, tool in enumerate(reply.tools):
        for number, piece in enumerate(json_pieces(tool)):
            function = {"arguments": piece}
            delta: dict[str, object] = {"index": index, "function": function}
            if number == 0:
                delta |= {"id": tool.id, "type": "function"}
                function["name"] = tool.name
            units.append(orjson.dumps({"tool_calls": [delta]}))
    return units
