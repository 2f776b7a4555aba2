"""One call of a model on Bedrock: a validated Converse body in, and an answer in the form that the operation has."""

from __future__ import annotations

import orjson

from emulator.bedrock import eventstream_encoder as encode
from emulator.bedrock.answers import STOP, Form, Outcome, text_unit
from emulator.bedrock.messages import ConverseBody, ToolConfig
from emulator.bedrock.prompt import Prompt, read_prompt
from emulator.bedrock.prompt_cache import Point, PromptCache
from emulator.bedrock.rules import check_conversation, check_points, tool_choice, turn_of
from emulator.calls import Call, Caller, Refused, Work
from emulator.http.connection import Exchange, Request
from emulator.language.conversations import Turn
from emulator.models import EmulatedModel, Emulator
from emulator.quotas import Reservation
from emulator.replies import Question, Reply, ToolCall, reply_to
from emulator.shop_model.dialogue import of_converse
from host.json_values import mapping, text

_REFUSALS = {
    "throttle": (429, "ThrottlingException", "Too many tokens, please wait before trying again."),
    "not_ready": (429, "ModelNotReadyException", "The model is not ready for inference. Try again later."),
    "unavailable": (503, "ServiceUnavailableException", "Bedrock is unable to process your request."),
    "stream_exception": (424, "ModelErrorException", "The model stopped producing its answer."),
    "server_error": (500, "InternalServerException", "The system encountered an unexpected error during processing."),
}
_QUOTA_MESSAGES = {
    "rpm": "Too many requests, please wait before trying again.",
    "tpm": "Too many tokens, please wait before trying again.",
    "tpd": "Too many tokens per day, please wait before trying again.",
    "input_tpm": "Too many input tokens, please wait before trying again.",
}


_FAULT_FRAMES = {
    "stream_exception": encode.exception("modelStreamErrorException", "The model stopped producing its answer."),
    "throttle": encode.exception("throttlingException", _QUOTA_MESSAGES["tpm"]),
    "bad_crc": encode.with_bad_crc(text_unit("?", 0)),
}
"""What each fault sends in the middle of a stream."""


def converse(emulator: Emulator, emulated: EmulatedModel, body: ConverseBody, request: Request, caller: Caller,
             connection: Exchange, form: Form, streams: bool) -> None:  # fmt: skip
    """Answer one call in the operation's form, or refuse it.

    Raises:
        Refused: whatever the service would answer with an error.
    """
    model = emulated.model
    check_conversation(body, model, caller.region)
    prompt = read_prompt(body, emulated.profile.tokens)
    check_points(prompt, model)
    max_tokens = body.get("inferenceConfig", {}).get("maxTokens")
    if prompt.tokens + (max_tokens or 0) > model.context_tokens:
        raise Refused(400, "ValidationException", "Input is too long for requested model.")
    call = Call(emulator, emulated, request, caller, _request_id(emulator))
    if (fault := call.refusal(streams)) is not None:
        if fault.kind == "region_down":
            connection.cut()
            return
        raise Refused(*_REFUSALS[fault.kind])
    held = _reserve(emulator, emulated, caller, prompt.tokens + (max_tokens or model.max_output_tokens), request)
    cache = emulator.cache_for(caller.account, caller.region, emulated)
    use = cache.look_up(prompt.boundaries, prompt.points, request.received_s, cold="cold_cache" in call.faults)
    place = (caller.account, caller.region, model.key)
    longest = max_tokens or model.max_output_tokens
    admitted = emulator.quotas.admit_input(place, prompt.tokens - use.read + longest, request.received_s)
    if isinstance(admitted, str):
        emulator.quotas.settle(held, 0)
        raise Refused(429, "ThrottlingException", _QUOTA_MESSAGES[admitted])
    room = emulator.quotas.output_room(place, request.received_s)
    max_tokens = max_tokens if room is None else min(room, longest)
    found = _Implicit(emulator, emulated, caller, prompt, request.received_s)

    def keep(now_s: float) -> None:
        cache.store(use, now_s)
        found.store(now_s)

    call.on_first = keep
    burndown = model.quota.output_burndown_ratio if model.quota else 1.0

    def settle(sent: int) -> None:
        emulator.quotas.settle(held, prompt.tokens - use.read + sent * burndown)
        emulator.quotas.settle(admitted, prompt.tokens - use.read)

    call.on_end = settle
    emulated.stats.images += prompt.images
    reply = _reply(emulator, emulated, body, max_tokens, call)
    emulator.quotas.count_output(place, reply.tokens)
    answer = form(Outcome(reply, prompt, use, body, call, request.received_s))
    wire = answer.stream() if streams else answer.whole()
    work = Work(prompt.tokens, max(use.read, found.tokens), reply.tokens, STOP[reply.stop])
    call.start(connection, wire, work, _FAULT_FRAMES)


def _reserve(emulator: Emulator, emulated: EmulatedModel, caller: Caller, tokens: int, request: Request) -> Reservation:
    held = emulator.quotas.reserve(caller.account, caller.region, emulated.model.key, tokens, request.received_s)
    if isinstance(held, str):
        raise Refused(429, "ThrottlingException", _QUOTA_MESSAGES[held.split()[-1]])
    return held


def _reply(
    emulator: Emulator, emulated: EmulatedModel, body: ConverseBody, max_tokens: int | None, call: Call
) -> Reply:
    turn = turn_of(body)
    words = emulator.conversations.words_for(turn)
    if words is not None:
        return Reply(emulated.profile.tokens.text(words), "end", words, emulated.corpus.say(words))
    reply = reply_to(emulator, emulated, _question(body, turn, max_tokens))
    if reply.tools and "malformed_tool_input" in call.faults:
        spoilt = tuple(ToolCall(tool.id, tool.name, tool.arguments[:-1]) for tool in reply.tools)
        return Reply(reply.tokens, reply.stop, tools=spoilt)
    return reply


def _question(body: ConverseBody, turn: Turn, max_tokens: int | None) -> Question:
    config = body.get("toolConfig") or ToolConfig(tools=[])
    tools = config["tools"]
    offered = {tool["toolSpec"]["name"] for tool in tools if "toolSpec" in tool}
    if tool_choice(body).get("type") == "none":
        offered = set()
    choice = config.get("toolChoice", {})
    forced = {choice["tool"]["name"]} if "tool" in choice else offered if "any" in choice else ()
    grounds = any("systemTool" in tool and tool["systemTool"]["name"] == "nova_grounding" for tool in tools)
    return Question(
        turn, offered, max_tokens, lambda: of_converse(body), frozenset(forced), _schema(body), can_cite=grounds
    )


def _schema(body: ConverseBody) -> object:
    """What an answer in JSON has to satisfy; None where it may be text."""
    fields = mapping(body.get("additionalModelRequestFields"))  # Claude's own, handed through
    own = mapping(fields.get("output_config"))
    form = mapping(own.get("format"))
    if form.get("type") == "json_schema":
        return form.get("schema")
    form = mapping(body.get("outputConfig", {}).get("textFormat"))
    if not form:
        return None
    try:
        return orjson.loads(text(mapping(mapping(form["structure"])["jsonSchema"])["schema"]))
    except (KeyError, orjson.JSONDecodeError):
        raise Refused(400, "ValidationException", "The schema of outputConfig.textFormat is not valid JSON.") from None


class _Implicit:
    """A prefix that the model finds again without a cache point: it shortens the prefill and is never in usage."""

    def __init__(
        self, emulator: Emulator, emulated: EmulatedModel, caller: Caller, prompt: Prompt, now_s: float
    ) -> None:
        self._cache: PromptCache | None = None
        self.tokens = 0
        if emulated.profile.implicit and emulated.model.cache.implicit and not prompt.points:
            self._cache = emulator.implicit_cache_for(caller.account, caller.region, emulated)
            self._use = self._cache.look_up(prompt.boundaries, [Point(len(prompt.boundaries) - 1)], now_s)
            self.tokens = self._use.read

    def store(self, now_s: float) -> None:
        """The prefill ended."""
        if self._cache is not None:
            self._cache.store(self._use, now_s)


def _request_id(emulator: Emulator) -> str:
    digits = f"{emulator.random.getrandbits(128):032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
