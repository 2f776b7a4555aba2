"""The OpenAI-compatible endpoint as vLLM serves it: chat completions, completions, models."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from emulator.bedrock.prompt import TooDeepError, written
from emulator.calls import Call, Caller, Refused, Reply, Work, reply_to, shop_reply
from emulator.engine.block_cache import chain
from emulator.engine.pool import Pool
from emulator.http.connection import Exchange, Request, Response, http_head, json_response
from emulator.http.stream import Wire
from emulator.language.conversations import Turn
from emulator.models import EmulatedModel, Emulator
from emulator.shop_model import model as shop_model
from emulator.shop_model.dialogue import of_openai

_STOP = {"end": "stop", "tools": "tool_calls", "length": "length"}
_TOKEN_ID_BYTES = 4
_TOOL_JSON_CHUNK = 16
_REFUSALS = {
    "throttle": (429, "TooManyRequestsError", "The engine is overloaded"),
    "not_ready": (503, "ServiceUnavailableError", "The model is loading"),
    "unavailable": (503, "ServiceUnavailableError", "The engine is unavailable"),
    "stream_exception": (500, "InternalServerError", "The engine failed"),
    "server_error": (500, "InternalServerError", "The engine failed"),
}


_FAULT_FRAMES = {
    kind: b"data: %b\n\n" % orjson.dumps({"error": {"message": message, "type": name, "param": None, "code": status}})
    for kind, (status, name, message) in _REFUSALS.items()
    if kind in ("stream_exception", "throttle")
}
"""What each fault sends in the middle of a stream."""


def text_unit(text: str, index: int) -> bytes:
    """The JSON string of one token's text: what differs between the chunks of an answer."""
    return orjson.dumps(text)


class OpenAi:
    """Answers requests under /v1."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator

    def handle(self, request: Request, connection: Exchange) -> Response | None:
        """Answer one request; errors in vLLM's form."""
        try:
            if request.path == "/v1/models":
                return self._models()
            if request.path == "/v1/chat/completions":
                self._complete(request, connection, chat=True)
                return None
            if request.path == "/v1/completions":
                self._complete(request, connection, chat=False)
                return None
            raise Refused(404, "NotFoundError", "Not Found")
        except Refused as refused:
            error = {"message": refused.message, "type": refused.name, "param": None, "code": refused.status}
            return json_response(refused.status, {"error": error})

    def _models(self) -> Response:
        served = [emulated.model for emulated in self._emulator.by_id.values() if emulated.model.protocol == "openai"]
        rows = [
            {"id": model.model_id, "object": "model", "created": int(time.time()), "owned_by": "peakday",
             "root": model.model_id, "parent": None, "max_model_len": model.context_tokens}
            for model in served
        ]  # fmt: skip
        return json_response(200, {"object": "list", "data": rows})

    def _complete(self, request: Request, connection: Exchange, chat: bool) -> None:
        if request.method != "POST":
            raise Refused(405, "MethodNotAllowedError", "Method Not Allowed")
        try:
            body = orjson.loads(request.body)
        except orjson.JSONDecodeError as error:
            raise _bad(f"[{{'type': 'json_invalid', 'msg': 'JSON decode error: {error}'}}]") from None
        if not isinstance(body, dict):
            raise _bad("the body must be a JSON object")
        emulated = self._emulator.by_id.get(str(body.get("model")))
        if emulated is None or emulated.model.protocol != "openai":
            raise Refused(404, "NotFoundError", f"The model `{body.get('model')}` does not exist.")
        try:
            asked = _read_chat(body, emulated) if chat else _read_completion(body, emulated)
            self._start(asked, emulated, request, connection)
        except TooDeepError:
            raise _bad("the request is nested too deeply.") from None
        except Refused as refused:
            emulated.stats.count_error(refused.name)
            raise

    def _start(self, asked: Asked, emulated: EmulatedModel, request: Request, connection: Exchange) -> None:
        emulator = self._emulator
        call = Call(
            emulator,
            emulated,
            request,
            Caller("local", emulator.regions[0]),
            emulator.new_id("chatcmpl-" if asked.chat else "cmpl-"),
        )
        if (fault := call.refusal(asked.streams)) is not None:
            if fault.kind == "region_down":
                connection.cut()
                return
            raise Refused(*_REFUSALS[fault.kind])
        room = emulated.model.context_tokens - asked.input_tokens
        if room < max(1, asked.max_tokens or 1):
            raise _bad(
                f"This model's maximum context length is {emulated.model.context_tokens} tokens. "
                f"However, you requested {asked.input_tokens + (asked.max_tokens or 1)} tokens "
                f"({asked.input_tokens} in the prompt, {asked.max_tokens or 1} in the completion). "
                "Please reduce the length of the prompt or completion."
            )
        reply = _reply(emulator, emulated, asked, min(room, asked.max_tokens or room))
        runner = emulated.runner
        if isinstance(runner, Pool) and not runner.fits(asked.input_tokens + reply.tokens):
            raise _bad("The request needs more KV cache than one replica of this profile has.")
        work = Work(asked.input_tokens, 0, reply.tokens, _STOP[reply.stop], _blocks(asked.prompt, emulated))
        answer = _Answer(asked, reply, work, emulated, call)
        wire = answer.stream() if asked.streams else answer.whole()
        call.start(connection, wire, work, _FAULT_FRAMES)


@dataclass
class Asked:
    """One request, read: `prompt` is what the prefix cache sees."""

    chat: bool
    turn: Turn
    prompt: bytes
    input_tokens: int
    offered: set[str]
    streams: bool
    usage_chunk: bool
    max_tokens: int | None
    min_tokens: int
    ignore_eos: bool
    forced: str | None = None
    body: Mapping[str, Any] = field(default_factory=dict)


def _bad(message: str) -> Refused:
    return Refused(400, "BadRequestError", message)


def _read_common(body: dict[str, Any], chat: bool, turn: Turn, prompt: bytes, tokens: int, offered: set[str]) -> Asked:
    limit = body.get("max_completion_tokens", body.get("max_tokens"))
    floor = body.get("min_tokens") or 0
    for name, value, least in (("max_tokens", limit, 1), ("min_tokens", floor, 0)):
        if value is not None and (type(value) is not int or value < least):
            raise _bad(f"{name} must be at least {least}, got {value!r}.")
    if limit is not None and floor > limit:
        raise _bad(f"min_tokens must be less than or equal to max_tokens={limit}, got {floor}.")
    if body.get("n") not in (None, 1):
        raise _bad("n must be 1 here.")
    options = body.get("stream_options") or {}
    if not isinstance(options, dict):
        raise _bad("stream_options must be an object.")
    return Asked(
        chat, turn, prompt, tokens, offered, bool(body.get("stream")), bool(options.get("include_usage")), limit, floor,
        bool(body.get("ignore_eos")),
    )  # fmt: skip


def _read_chat(body: dict[str, Any], emulated: EmulatedModel) -> Asked:
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages or not all(isinstance(message, dict) for message in messages):
        raise _bad("messages must be a list of at least one message.")
    rule = emulated.profile.tokens
    parts = [written(tool) for tool in body.get("tools") or []]
    tokens = sum(rule.text(part) for part in parts)
    for message in messages:
        for text in _texts(message, emulated):
            tokens += rule.text(text)
            parts.append(f"<{message.get('role')}>{text}".encode())
        if message.get("tool_calls"):
            parts.append(written(message["tool_calls"]))
            tokens += rule.text(parts[-1])
    offered = {tool["function"]["name"] for tool in body.get("tools") or [] if _is_function(tool)}
    choice = body.get("tool_choice")
    if choice == "none":
        offered = set()
    asked = _read_common(body, True, _turn(messages, body, emulated), b"".join(parts), max(1, tokens), offered)
    asked.body = body
    asked.forced = _forced(choice, offered)
    return asked


def _forced(choice: Any, offered: set[str]) -> str | None:
    """The tool that tool_choice demands: the named one, or any."""
    if choice == "required":
        return min(offered, default=None)
    if not isinstance(choice, dict):
        return None
    function = choice.get("function")
    name = function.get("name") if isinstance(function, dict) else None
    if name not in offered:
        raise _bad(f"tool_choice names {name!r}, which is not among tools.")
    return str(name)


def _is_function(tool: Any) -> bool:
    if (
        isinstance(tool, dict)
        and isinstance(tool.get("function"), dict)
        and isinstance(tool["function"].get("name"), str)
    ):
        return True
    raise _bad("each of tools must be {type: function, function: {name, ...}}.")


def _texts(message: dict[str, Any], emulated: EmulatedModel) -> list[str]:
    content = message.get("content")
    if content is None:
        return []
    if isinstance(content, str):
        return [content]
    if not isinstance(content, list) or not all(isinstance(part, dict) for part in content):
        raise _bad("content must be a string or a list of parts.")
    if any(part.get("type") == "image_url" for part in content) and not emulated.model.images:
        raise _bad(f"{emulated.model.model_id} is not a multimodal model.")
    return [part["text"] for part in content if isinstance(part.get("text"), str)]


def _turn(messages: list[dict[str, Any]], body: dict[str, Any], emulated: EmulatedModel) -> Turn:
    """The newest user message and the tool results after it, a tuple for each round; and the user message before it."""
    results: list[tuple[Any, ...]] = []
    rest: list[Any] = []
    own: list[tuple[str, ...]] = []
    for message in reversed(messages):
        role = message.get("role")
        if role == "user":
            own.append(tuple(reversed(_texts(message, emulated))))
            if len(own) == 2:
                break
        elif own:
            continue
        elif role == "tool":
            rest.append(_json_or_text("".join(_texts(message, emulated))))
        elif rest:
            results.append(tuple(reversed(rest)))
            rest = []
    texts, earlier = (*own, (), ())[:2]
    return Turn(texts, tuple(reversed(results)), parallel=body.get("parallel_tool_calls") is not False, earlier=earlier)


def _json_or_text(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def _read_completion(body: dict[str, Any], emulated: EmulatedModel) -> Asked:
    prompt = body.get("prompt")
    if isinstance(prompt, list) and len(prompt) == 1 and isinstance(prompt[0], (list, str)):
        prompt = prompt[0]
    if isinstance(prompt, str) and prompt:
        data = prompt.encode()
        return _read_common(body, False, Turn((prompt,)), data, emulated.profile.tokens.text(data), set())
    if isinstance(prompt, list) and prompt and all(type(token) is int and 0 <= token < 2**31 for token in prompt):
        data = b"".join(token.to_bytes(_TOKEN_ID_BYTES, "little") for token in prompt)
        return _read_common(body, False, Turn(()), data, len(prompt), set())
    raise _bad("prompt must be one text, or one list of token ids >= 0.")


def _reply(emulator: Emulator, emulated: EmulatedModel, asked: Asked, room: int) -> Reply:
    if asked.ignore_eos:
        text, units = emulated.corpus.answer(room, emulator.random.getrandbits(16))
        return Reply(room, "length", text, units)
    label = emulator.conversations.plan_for(asked.turn).label if emulated.model.key == "planner" else None
    if label is None and emulated.profile.manner == "label" and "Intents:" in _system(asked.body):
        label = shop_model.label(asked.turn.texts[0] if asked.turn.texts else "")
    if label is not None:
        tokens = max(1, min(room, emulated.profile.tokens.text(label)))
        return Reply(tokens, "end", label, [text_unit(label, 0)])
    if asked.chat and asked.forced is None:
        spoken = shop_reply(emulator, emulated, asked.turn, room, lambda: of_openai(asked.body))
        if spoken is not None:
            return spoken
    reply = reply_to(emulator, emulated, asked.turn, asked.offered, room, forced=asked.forced)
    if not reply.tools and reply.tokens < min(asked.min_tokens, room):
        text, units = emulated.corpus.answer(min(asked.min_tokens, room), emulator.random.getrandbits(16))
        return Reply(min(asked.min_tokens, room), "end", text, units)
    return reply


def _system(body: Mapping[str, Any]) -> str:
    """The system message, where it is plain text."""
    first = (body.get("messages") or [{}])[0]
    return str(first.get("content") or "") if first.get("role") == "system" else ""


def _blocks(prompt: bytes, emulated: EmulatedModel) -> list[int]:
    runner = emulated.runner
    if not isinstance(runner, Pool):
        return []
    return chain(prompt, runner.physics.block_tokens * _TOKEN_ID_BYTES)


class _Answer:
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
        stop = _STOP[self._reply.stop].encode()
        tail = self._begin + empty + b',"logprobs":null,"finish_reason":"%b"}]}\n\n' % stop
        if self._asked.usage_chunk:
            head = self._begin[: self._begin.index(b'"choices"')]
            tail += head + b'"choices":[],"usage":' + orjson.dumps(self._usage()) + b"}\n\n"
        return tail + b"data: [DONE]\n\n"

    def _usage(self) -> dict[str, Any]:
        prompt, tokens = self._asked.input_tokens, self._reply.tokens
        return {
            "prompt_tokens": prompt,
            "total_tokens": prompt + tokens,
            "completion_tokens": tokens,
            "prompt_tokens_details": {"cached_tokens": self._work.cached_tokens},
        }

    def _body(self, now_s: float) -> bytes:
        reply = self._reply
        choice: dict[str, Any] = {"index": 0, "logprobs": None, "finish_reason": _STOP[reply.stop]}
        if self._asked.chat:
            calls = [
                {"id": tool.id, "type": "function", "function": {"name": tool.name, "arguments": tool.arguments}}
                for tool in reply.tools
            ]
            choice["message"] = {"role": "assistant", "content": reply.text or None}
            if calls:
                choice["message"]["tool_calls"] = calls
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
        pieces = [tool.arguments[at : at + _TOOL_JSON_CHUNK] for at in range(0, len(tool.arguments), _TOOL_JSON_CHUNK)]
        for number, piece in enumerate(pieces):
            delta: dict[str, Any] = {"index": index, "function": {"arguments": piece}}
            if number == 0:
                delta |= {"id": tool.id, "type": "function"}
                delta["function"]["name"] = tool.name
            units.append(orjson.dumps({"tool_calls": [delta]}))
    return units
