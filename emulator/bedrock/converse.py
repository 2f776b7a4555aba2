"""Bedrock's Converse and ConverseStream: a validated body in, JSON or event-stream frames out."""

from __future__ import annotations

from typing import Any

import orjson

from emulator.bedrock import eventstream_encoder as encode
from emulator.bedrock.prompt import Prompt, read_prompt
from emulator.bedrock.prompt_cache import CacheUse, Point, PromptCache
from emulator.bedrock.rules import check_conversation, check_points, turn_of
from emulator.calls import Call, Caller, Refused, Reply, ToolCall, Work, reply_to, shop_reply
from emulator.http.connection import Exchange, Request, http_head
from emulator.http.stream import Wire
from emulator.models import EmulatedModel, Emulator
from emulator.quotas import Reservation
from emulator.shop_model.dialogue import of_converse

EVENT_STREAM = "application/vnd.amazon.eventstream"
_STOP = {"end": "end_turn", "tools": "tool_use", "length": "max_tokens"}
_TOOL_JSON_CHUNK = 24
_REFUSALS = {
    "throttle": (429, "ThrottlingException", "Too many tokens, please wait before trying again."),
    "not_ready": (429, "ModelNotReadyException", "The model is not ready for inference. Try again later."),
    "unavailable": (503, "ServiceUnavailableException", "Bedrock is unable to process your request."),
    "stream_exception": (424, "ModelErrorException", "The model stopped producing its answer."),
    "server_error": (500, "InternalServerException", "The system encountered an unexpected error during processing."),
}  # fmt: skip
_QUOTA_MESSAGES = {
    "rpm": "Too many requests, please wait before trying again.",
    "tpm": "Too many tokens, please wait before trying again.",
    "tpd": "Too many tokens per day, please wait before trying again.",
}


def text_unit(text: str, index: int) -> bytes:
    """One contentBlockDelta frame of text in block 0, padded as the service pads it."""
    payload = {"contentBlockIndex": 0, "delta": {"text": text}, "p": encode.filler(index)}
    return encode.event("contentBlockDelta", orjson.dumps(payload))


_FAULT_FRAMES = {
    "stream_exception": encode.exception("modelStreamErrorException", "The model stopped producing its answer."),
    "throttle": encode.exception("throttlingException", _QUOTA_MESSAGES["tpm"]),
    "bad_crc": encode.with_bad_crc(text_unit("?", 0)),
}
"""What each fault sends in the middle of a stream."""


def converse(emulator: Emulator, emulated: EmulatedModel, body: dict[str, Any], request: Request, caller: Caller,
             connection: Exchange, streams: bool) -> None:  # fmt: skip
    """Answer one call, or refuse it.

    Raises:
        Refused: whatever the service would answer with an error.
    """
    model = emulated.model
    check_conversation(body, model, caller.region)
    prompt = read_prompt(body, emulated.profile.tokens)
    check_points(prompt, model)
    max_tokens = (body.get("inferenceConfig") or {}).get("maxTokens")
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
    found = _Implicit(emulator, emulated, caller, prompt, request.received_s)

    def keep(now_s: float) -> None:
        cache.store(use, now_s)
        found.store(now_s)

    call.on_first = keep
    burndown = model.quota.output_burndown_ratio if model.quota else 1.0
    call.on_end = lambda sent: emulator.quotas.settle(held, prompt.tokens - use.read + sent * burndown)
    emulated.stats.images += prompt.images
    reply = _reply(emulator, emulated, body, max_tokens, call)
    answer = _Answer(reply, prompt, use, body, call, request.received_s)
    wire = answer.stream() if streams else answer.whole()
    work = Work(prompt.tokens, max(use.read, found.tokens), reply.tokens, _STOP[reply.stop])
    call.start(connection, wire, work, _FAULT_FRAMES)


def _reserve(emulator: Emulator, emulated: EmulatedModel, caller: Caller, tokens: int, request: Request) -> Reservation:
    held = emulator.quotas.reserve(caller.account, caller.region, emulated.model.key, tokens, request.received_s)
    if isinstance(held, str):
        raise Refused(429, "ThrottlingException", _QUOTA_MESSAGES[held.split()[-1]])
    return held


def _reply(
    emulator: Emulator, emulated: EmulatedModel, body: dict[str, Any], max_tokens: int | None, call: Call
) -> Reply:
    turn = turn_of(body)
    words = emulator.conversations.words_for(turn)
    if words is not None:
        return Reply(emulated.profile.tokens.text(words), "end", words, emulated.corpus.say(words))
    config = body.get("toolConfig") or {}
    tools = config.get("tools") or []
    offered = {tool["toolSpec"]["name"] for tool in tools if "toolSpec" in tool}
    grounds = any(tool.get("systemTool", {}).get("name") == "nova_grounding" for tool in tools)
    choice = config.get("toolChoice") or {}
    forced = choice["tool"]["name"] if "tool" in choice else min(offered, default=None) if "any" in choice else None
    reply = None
    if forced is None:
        reply = shop_reply(emulator, emulated, turn, max_tokens, lambda: of_converse(body))
    if reply is None:
        reply = reply_to(emulator, emulated, turn, offered, max_tokens, can_cite=grounds, forced=forced)
    if reply.tools and "malformed_tool_input" in call.faults:
        spoilt = tuple(ToolCall(tool.id, tool.name, tool.arguments[:-1]) for tool in reply.tools)
        return Reply(reply.tokens, reply.stop, tools=spoilt)
    return reply


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


class _Answer:
    """One reply in the two forms of the protocol."""

    def __init__(
        self, reply: Reply, prompt: Prompt, use: CacheUse, body: dict[str, Any], call: Call, received_s: float
    ) -> None:
        self._reply, self._prompt, self._use, self._body = reply, prompt, use, body
        self._received_s = received_s
        self._headers = {"x-amzn-RequestId": call.id}

    def stream(self) -> Wire:
        """As event-stream frames."""
        reply = self._reply
        units = _tool_units(reply.tools) if reply.tools else reply.text_units
        return Wire(
            http_head(200, EVENT_STREAM, self._headers, None),
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
        frames.append(encode.event("messageStop", orjson.dumps({"stopReason": _STOP[reply.stop]})))
        frames.append(encode.event("metadata", orjson.dumps(self._metadata(now_s))))
        return b"".join(frames)

    def _whole_body(self, now_s: float) -> bytes:
        reply = self._reply
        content: list[dict[str, Any]] = [{"text": reply.text}] if reply.text else []
        for tool in reply.tools:
            content.append({"toolUse": {"toolUseId": tool.id, "name": tool.name, "input": _parsed(tool.arguments)}})
        if reply.cited:
            content[0] = {
                "citationsContent": {
                    "content": [{"text": reply.text}],
                    "citations": [_citation(page) for page in reply.cited],
                }
            }
        value = {
            "output": {"message": {"role": "assistant", "content": content}},
            "stopReason": _STOP[reply.stop],
            **self._metadata(now_s),
        }
        body = orjson.dumps(value)
        return http_head(200, "application/json", self._headers, len(body)) + body

    def _metadata(self, now_s: float) -> dict[str, Any]:
        use, reply = self._use, self._reply
        uncached = self._prompt.tokens - use.read - use.write
        usage: dict[str, Any] = {
            "inputTokens": uncached,
            "outputTokens": reply.tokens,
            "totalTokens": self._prompt.tokens + reply.tokens,
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
        found = {"usage": usage, "metrics": {"latencyMs": round((now_s - self._received_s) * 1000)}}
        for name in ("performanceConfig", "serviceTier"):
            if self._body.get(name):
                found[name] = self._body[name]
        return found


def _parsed(arguments: str) -> Any:
    try:
        return orjson.loads(arguments)
    except orjson.JSONDecodeError:
        return arguments


def _tool_units(tools: tuple[ToolCall, ...]) -> list[bytes]:
    """Frames of toolUse blocks: start with the first piece of input, stop with the last."""
    units = []
    for index, tool in enumerate(tools):
        start = {"contentBlockIndex": index, "start": {"toolUse": {"toolUseId": tool.id, "name": tool.name}}}
        pieces = [tool.arguments[at : at + _TOOL_JSON_CHUNK] for at in range(0, len(tool.arguments), _TOOL_JSON_CHUNK)]
        frames = [
            encode.event(
                "contentBlockDelta", orjson.dumps({"contentBlockIndex": index, "delta": {"toolUse": {"input": piece}}})
            )
            for piece in pieces
        ]
        frames[0] = encode.event("contentBlockStart", orjson.dumps(start)) + frames[0]
        frames[-1] += encode.event("contentBlockStop", orjson.dumps({"contentBlockIndex": index}))
        units += frames
    return units


def _citation(page: tuple[str, str]) -> dict[str, Any]:
    url, title = page
    return {"title": title, "location": {"web": {"url": url, "domain": url.split("/")[2] if "//" in url else url}}}


def _citation_frames(reply: Reply) -> list[bytes]:
    return [
        encode.event(
            "contentBlockDelta", orjson.dumps({"contentBlockIndex": 0, "delta": {"citation": _citation(page)}})
        )
        for page in reply.cited
    ]


def _request_id(emulator: Emulator) -> str:
    digits = f"{emulator.random.getrandbits(128):032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
