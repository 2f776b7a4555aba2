"""OpenAI-compatible chat completions over SSE: vLLM on Neuron, or anything that speaks the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from time import perf_counter
from typing import Any

import orjson

from assistant.errors import ModelError
from assistant.models.bedrock import SIMULATED_HEADER, transport_error
from assistant.models.http import Connection, HttpClient, HttpError
from assistant.models.protocol import Block, Listener, Message, ModelRequest, Reply, Usage
from assistant.models.reply import ReplyBuilder
from host.json_values import mapping
from wire.openai_stream import ChatEvent, StreamEventError, read_event
from wire.sse import SseError, SseParser

_STOP_REASONS = {
    "stop": "end_turn",
    "tool_calls": "tool_use",
    "length": "max_tokens",
    "content_filter": "content_filtered",
}
_TEXT_BLOCK = 0  # OpenAI numbers tool calls apart from text; ours follow it.


class OpenAIClient:
    """Chat completions over kept-alive connections. `url` ends in /v1."""

    def __init__(
        self, http: HttpClient, url: str, api_key: str | None = None, clock: Callable[[], float] = perf_counter
    ) -> None:
        self._http = http
        self._url = f"{url.rstrip('/')}/chat/completions"
        self._headers = {"Content-Type": "application/json"}
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"
        self._clock = clock

    async def converse(self, request: ModelRequest, listener: Listener) -> Reply:
        """Make one streamed call; see `ModelClient`."""
        builder = ReplyBuilder(self._clock)
        headers = {**self._headers, "traceparent": request.traceparent} if request.traceparent else self._headers
        try:
            async with await self._http.post(self._url, headers, body(request)) as response:
                if response.status != 200:
                    raise _refusal(response.status, await response.read())
                builder.opened = True
                await listener.opened(SIMULATED_HEADER in response.headers)
                await _read(response, builder, listener)
        except (TimeoutError, HttpError) as error:
            raise transport_error(error, builder) from None
        return builder.build()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()


def body(request: ModelRequest) -> bytes:
    """The request's JSON, tools as made once."""
    fields: dict[str, Any] = {
        "model": request.model.model_id,
        "messages": [*_system(request.system), *(part for message in request.messages for part in _messages(message))],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if request.max_tokens is not None:
        fields["max_tokens"] = request.max_tokens
    if request.tools is not None:
        fields["tools"] = orjson.Fragment(request.tools.openai)
        if not request.parallel_tools:
            fields["parallel_tool_calls"] = False
    return orjson.dumps(fields)


def _system(blocks: Iterable[Block]) -> list[dict[str, Any]]:
    text = "\n\n".join(block["text"] for block in blocks if "text" in block)
    return [{"role": "system", "content": text}] if text else []


def _messages(message: Message) -> list[dict[str, object]]:
    """One Converse message as one or more OpenAI ones: tool results stand alone there."""
    content: list[Block] = message["content"]
    if message["role"] == "assistant":
        return [_assistant(content)]
    results = [_tool_result(block["toolResult"]) for block in content if "toolResult" in block]
    parts = [part for block in content if (part := _part(block)) is not None]
    if not parts:
        return results
    plain = parts[0]["text"] if len(parts) == 1 and parts[0]["type"] == "text" else parts
    return [*results, {"role": "user", "content": plain}]


def _assistant(content: list[Block]) -> dict[str, object]:
    text = "".join(block["text"] for block in content if "text" in block)
    calls = [
        {
            "id": use["toolUseId"],
            "type": "function",
            "function": {"name": use["name"], "arguments": orjson.dumps(use["input"]).decode()},
        }
        for block in content
        if (use := block.get("toolUse"))
    ]
    message: dict[str, object] = {"role": "assistant", "content": text or None}
    if calls:
        message["tool_calls"] = calls
    return message


def _tool_result(result: Mapping[str, Any]) -> dict[str, Any]:
    (block,) = result["content"]
    text = orjson.dumps(block["json"]).decode() if "json" in block else block["text"]
    return {"role": "tool", "tool_call_id": result["toolUseId"], "content": text}


def _part(block: Block) -> dict[str, Any] | None:
    if "text" in block:
        return {"type": "text", "text": block["text"]}
    if image := block.get("image"):
        data = image["source"]["bytes"]
        return {"type": "image_url", "image_url": {"url": f"data:image/{image['format']};base64,{data}"}}
    return None


async def _read(response: Connection, builder: ReplyBuilder, listener: Listener) -> None:
    parser = SseParser()

    def texts(data: bytes) -> Iterator[str]:
        try:
            for item in parser.feed(data):
                event = read_event(item.event, item.data)
                if event.done:
                    response.finish()
                    return
                text = apply_event(builder, event)
                if text:
                    yield text
                if event.finish_reason is not None:
                    response.end_said()
        except (StreamEventError, SseError) as error:
            raise ModelError(502, "bad_stream", f"the model's stream is damaged: {error}", True) from None

    await response.stream(texts, listener.text_now)


def apply_event(builder: ReplyBuilder, event: ChatEvent) -> str:
    """Take one event into the reply; returns the text it carried.

    Raises:
        ModelError: the event is an error that came after HTTP 200.
        StreamEventError: its usage or its tool calls are of another shape.
    """
    if event.failure is not None:
        failure = event.failure
        raise _error(failure.status or 500, failure.kind or failure.code, failure.message, True)
    if event.usage is not None:
        builder.usage = _usage(event.usage)
    if event.text:
        builder.text(_TEXT_BLOCK, event.text)
    for choice in event.choices:
        for call in _objects(mapping(choice.get("delta")).get("tool_calls")):
            _apply_call(builder, call)
    if event.finish_reason:
        builder.stop_reason = _STOP_REASONS.get(event.finish_reason, event.finish_reason)
    return event.text


def _usage(raw: Mapping[str, Any]) -> Usage:
    details = raw.get("prompt_tokens_details")
    prompt, output = _count(raw.get("prompt_tokens")), _count(raw.get("completion_tokens"))
    cached = _count(details.get("cached_tokens")) if isinstance(details, dict) else 0
    if cached > prompt:
        raise StreamEventError(f"{cached} cached tokens of a prompt of {prompt}")
    return Usage(prompt - cached, output, cached)


def _count(value: Any) -> int:
    """Tokens, none where nothing is said."""
    if value is None:
        return 0
    if type(value) not in (int, float) or value != int(value) or not 0 <= value < 1 << 40:
        raise StreamEventError(f"no count of tokens: {value!r:.60}")
    return int(value)


def _objects(values: Any) -> list[dict[str, Any]]:
    if not values:
        return []
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        raise StreamEventError("tool_calls are no list of objects")
    return values


def _apply_call(builder: ReplyBuilder, call: Mapping[str, Any]) -> None:
    number, function = call.get("index") or 0, call.get("function") or {}
    if type(number) is not int or not isinstance(function, dict):
        raise StreamEventError("a tool call of another shape")
    index = _TEXT_BLOCK + 1 + number
    if call.get("id"):
        builder.tool_start(index, call["id"], function.get("name", ""))
    if arguments := function.get("arguments"):
        builder.tool_input(index, arguments)


def _refusal(status: int, raw: bytes) -> ModelError:
    try:
        payload = orjson.loads(raw)
    except orjson.JSONDecodeError:
        payload = {}
    error = payload.get("error", payload) if isinstance(payload, dict) else {}
    if not isinstance(error, dict):
        error = {"message": str(error)}
    return _error(status, str(error.get("type") or error.get("code") or ""), str(error.get("message", "")), False)


def _error(status: int, code: str, message: str, streaming: bool) -> ModelError:
    return ModelError(status if status in (429, 503) else 502, code or f"http_{status}", message or code, streaming)
