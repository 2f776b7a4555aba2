"""The OpenAI-compatible endpoint as vLLM serves it: chat completions, completions, responses, models."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import orjson

from emulator.bedrock.prompt import TooDeepError
from emulator.calls import Call, Caller, Refused, Work
from emulator.engine.block_cache import chain
from emulator.engine.pool import Pool
from emulator.http.connection import Exchange, Request, Response, json_response
from emulator.http.stream import Wire
from emulator.language.schema_values import UnusableSchemaError
from emulator.models import EmulatedModel, Emulator
from emulator.openai.answers import STOP, CompletionAnswer
from emulator.openai.messages import ChatBody, ChatMessage
from emulator.openai.requests import TOKEN_ID_BYTES, Asked, bad, read_chat, read_completion
from emulator.openai.responses import ResponsesAnswer, read_responses
from emulator.replies import Question, Reply, reply_to
from emulator.shop_model import model as shop_model
from emulator.shop_model.dialogue import of_openai

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


_EVENT_FRAMES = {
    kind: b"event: error\ndata: %b\n\n"
    % orjson.dumps({"type": "error", "code": name, "message": message, "param": None, "sequence_number": 1 << 20})
    for kind, (_, name, message) in _REFUSALS.items()
    if kind in ("stream_exception", "throttle")
}
"""The same in the events of the Responses API."""


class Answer(Protocol):
    """A reply on the wire."""

    def stream(self) -> Wire:
        """As server-sent events."""

    def whole(self) -> Wire:
        """As one JSON body."""


@dataclass(frozen=True)
class Api:
    """One path: how its body is read, how it is answered, how its ids begin, and what faults send."""

    read: Callable[..., Asked]
    answer: Callable[[Asked, Reply, Work, EmulatedModel, Call], Answer]
    prefix: str
    frames: dict[str, bytes]


_APIS = {
    "/v1/chat/completions": Api(read_chat, CompletionAnswer, "chatcmpl-", _FAULT_FRAMES),
    "/v1/completions": Api(read_completion, CompletionAnswer, "cmpl-", _FAULT_FRAMES),
    "/v1/responses": Api(read_responses, ResponsesAnswer, "resp_", _EVENT_FRAMES),
}


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
            if request.path in _APIS:
                self._complete(request, connection, _APIS[request.path])
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

    def _complete(self, request: Request, connection: Exchange, api: Api) -> None:
        if request.method != "POST":
            raise Refused(405, "MethodNotAllowedError", "Method Not Allowed")
        try:
            body = orjson.loads(request.body)
        except orjson.JSONDecodeError as error:
            raise bad(f"[{{'type': 'json_invalid', 'msg': 'JSON decode error: {error}'}}]") from None
        if not isinstance(body, dict):
            raise bad("the body must be a JSON object")
        emulated = self._emulator.by_id.get(str(body.get("model")))
        if emulated is None or emulated.model.protocol != "openai":
            raise Refused(404, "NotFoundError", f"The model `{body.get('model')}` does not exist.")
        try:
            self._start(api, api.read(body, emulated), emulated, request, connection)
        except TooDeepError:
            raise bad("the request is nested too deeply.") from None
        except UnusableSchemaError as error:
            raise bad(str(error)) from None
        except Refused as refused:
            emulated.stats.count_error(refused.name)
            raise

    def _start(self, api: Api, asked: Asked, emulated: EmulatedModel, request: Request, connection: Exchange) -> None:
        emulator = self._emulator
        call = Call(emulator, emulated, request, Caller("local", emulator.regions[0]), emulator.new_id(api.prefix))
        if (fault := call.refusal(asked.streams)) is not None:
            if fault.kind == "region_down":
                connection.cut()
                return
            raise Refused(*_REFUSALS[fault.kind])
        room = emulated.model.context_tokens - asked.input_tokens
        if room < max(1, asked.max_tokens or 1):
            raise bad(
                f"This model's maximum context length is {emulated.model.context_tokens} tokens. "
                f"However, you requested {asked.input_tokens + (asked.max_tokens or 1)} tokens "
                f"({asked.input_tokens} in the prompt, {asked.max_tokens or 1} in the completion). "
                "Please reduce the length of the prompt or completion."
            )
        reply = _reply(emulator, emulated, asked, min(room, asked.max_tokens or room))
        runner = emulated.runner
        if isinstance(runner, Pool) and not runner.fits(asked.input_tokens + reply.tokens):
            raise bad("The request needs more KV cache than one replica of this profile has.")
        work = Work(asked.input_tokens, 0, reply.tokens, STOP[reply.stop], _blocks(asked.prompt, emulated))
        answer = api.answer(asked, reply, work, emulated, call)
        wire = answer.stream() if asked.streams else answer.whole()
        call.start(connection, wire, work, api.frames)


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
    reply = reply_to(emulator, emulated, _question(asked, room))
    if not reply.tools and asked.schema is None and reply.tokens < min(asked.min_tokens, room):
        text, units = emulated.corpus.answer(min(asked.min_tokens, room), emulator.random.getrandbits(16))
        return Reply(min(asked.min_tokens, room), "end", text, units)
    return reply


def _question(asked: Asked, room: int) -> Question:
    return Question(
        asked.turn, asked.offered, room, lambda: of_openai(asked.body), forced=asked.forced, schema=asked.schema
    )


def _system(body: ChatBody) -> str:
    """The system message, where it is plain text."""
    first = (body["messages"] or [ChatMessage()])[0]
    return str(first.get("content") or "") if first.get("role") == "system" else ""


def _blocks(prompt: bytes, emulated: EmulatedModel) -> list[int]:
    runner = emulated.runner
    if not isinstance(runner, Pool):
        return []
    return chain(prompt, runner.physics.block_tokens * TOKEN_ID_BYTES)
