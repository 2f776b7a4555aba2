"""What a request of the OpenAI protocol puts to a model: chat completions and completions, read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson

from emulator.bedrock.prompt import written
from emulator.calls import Refused
from emulator.language.conversations import Turn
from emulator.models import EmulatedModel
from emulator.openai.messages import ChatBody, ChatMessage
from emulator.replies import ANY_JSON

TOKEN_ID_BYTES = 4


@dataclass
class Asked:
    """One request, read: `prompt` is what the prefix cache sees, `given` the body as it came.

    `forced`: tools of which one must be called. `schema`: what an answer in JSON has to satisfy.
    """

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
    forced: frozenset[str] = frozenset()
    body: ChatBody = field(default_factory=lambda: ChatBody(messages=[]))
    schema: object = None
    given: Mapping[str, object] = field(default_factory=dict)


def bad(message: str) -> Refused:
    """A request that cannot be answered, in vLLM's form."""
    return Refused(400, "BadRequestError", message)


def _read_common(
    body: Mapping[str, object], chat: bool, turn: Turn, prompt: bytes, tokens: int, offered: set[str]
) -> Asked:
    limit = _count(body.get("max_completion_tokens", body.get("max_tokens")), "max_tokens", 1)
    floor = _count(body.get("min_tokens") or 0, "min_tokens", 0) or 0
    if limit is not None and floor > limit:
        raise bad(f"min_tokens must be less than or equal to max_tokens={limit}, got {floor}.")
    if body.get("n") not in (None, 1):
        raise bad("n must be 1 here.")
    options = body.get("stream_options") or {}
    if not isinstance(options, dict):
        raise bad("stream_options must be an object.")
    return Asked(
        chat, turn, prompt, tokens, offered, bool(body.get("stream")), bool(options.get("include_usage")), limit, floor,
        bool(body.get("ignore_eos")),
    )  # fmt: skip


def _count(value: object, name: str, least: int) -> int | None:
    """A count of the body, None where it is absent."""
    if value is None:
        return None
    if type(value) is not int or value < least:
        raise bad(f"{name} must be at least {least}, got {value!r}.")
    return value


def read_chat(body: ChatBody, emulated: EmulatedModel) -> Asked:
    """A chat completion request; raises `Refused` for what is wrong in it."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages or not all(isinstance(message, dict) for message in messages):
        raise bad("messages must be a list of at least one message.")
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
    asked.body = asked.given = body
    asked.schema = _schema(body)
    asked.forced = _forced(choice, offered)
    return asked


def _forced(choice: object, offered: set[str]) -> frozenset[str]:
    """The tools of which tool_choice demands one: the named one, or any."""
    if choice == "required":
        return frozenset(offered)
    if not isinstance(choice, dict):
        return frozenset()
    function = choice.get("function")
    name = function.get("name") if isinstance(function, dict) else None
    if name not in offered:
        raise bad(f"tool_choice names {name!r}, which is not among tools.")
    return frozenset({str(name)})


def _schema(body: Mapping[str, object]) -> object:
    """What an answer in JSON has to satisfy: OpenAI's response_format, or vLLM's own fields; None for text."""
    form = body.get("response_format")
    if isinstance(form, dict) and form.get("type") == "json_object":
        return ANY_JSON
    if isinstance(form, dict) and form.get("type") == "json_schema":
        held = form.get("json_schema")
        if not isinstance(held, dict) or not isinstance(held.get("schema"), dict):
            raise bad("response_format.json_schema.schema must be an object.")
        return held["schema"]
    outputs = body.get("structured_outputs")
    schema = outputs.get("json") if isinstance(outputs, dict) else body.get("guided_json")
    return schema if isinstance(schema, dict) else None


def _is_function(tool: object) -> bool:
    if (
        isinstance(tool, dict)
        and isinstance(tool.get("function"), dict)
        and isinstance(tool["function"].get("name"), str)
    ):
        return True
    raise bad("each of tools must be {type: function, function: {name, ...}}.")


def _texts(message: ChatMessage, emulated: EmulatedModel) -> list[str]:
    content = message.get("content")
    if content is None:
        return []
    if isinstance(content, str):
        return [content]
    if not isinstance(content, list) or not all(isinstance(part, dict) for part in content):
        raise bad("content must be a string or a list of parts.")
    if any(part.get("type") == "image_url" for part in content) and not emulated.model.images:
        raise bad(f"{emulated.model.model_id} is not a multimodal model.")
    return [part["text"] for part in content if isinstance(part.get("text"), str)]


def _turn(messages: list[ChatMessage], body: ChatBody, emulated: EmulatedModel) -> Turn:
    """The newest user message and the tool results after it, a tuple for each round; and the user message before it."""
    results: list[tuple[object, ...]] = []
    rest: list[object] = []
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


def _json_or_text(text: str) -> object:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def read_completion(body: Mapping[str, object], emulated: EmulatedModel) -> Asked:
    """A completion request, of a text or of token ids; raises `Refused` for what is wrong in it."""
    prompt = body.get("prompt")
    if isinstance(prompt, list) and len(prompt) == 1 and isinstance(prompt[0], (list, str)):
        prompt = prompt[0]
    if isinstance(prompt, str) and prompt:
        data = prompt.encode()
        return _read_common(body, False, Turn((prompt,)), data, emulated.profile.tokens.text(data), set())
    if isinstance(prompt, list) and prompt and all(type(token) is int and 0 <= token < 2**31 for token in prompt):
        data = b"".join(token.to_bytes(TOKEN_ID_BYTES, "little") for token in prompt)
        return _read_common(body, False, Turn(()), data, len(prompt), set())
    raise bad("prompt must be one text, or one list of token ids >= 0.")
