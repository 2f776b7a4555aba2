"""One event of an OpenAI-compatible stream: content, tokens, end or error, whatever the habits of the server.

Servers differ in where they put usage, how they fail after HTTP 200 and what they send to keep a connection alive; the
load generator, the bench and the assistant read all of it here. What is no such event raises `StreamEventError`: it
spoils the answer it came in, and nothing else.
Sources: OpenAI's API reference, chat completions, streaming (read 2026-11-28); the habits named are those of vLLM,
llama.cpp, OpenRouter, Groq and Moonshot as their own documentation or source shows them (2026-11-28).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import orjson

from host.json_values import objects
from wire.json_values import readable
from wire.sse import SseParser

CONTENT_KEYS = ("content", "reasoning_content", "reasoning", "refusal", "text")
"""Where content may stand in a delta or a choice; what a customer reads is under the first or the last."""
ERROR_CODE_LENGTH_MAX = 100
ERROR_TEXT_LENGTH_MAX = 300


class StreamEventError(ValueError):
    """An event that is not what its stream allows; the text says what it is."""


class StreamFailure(NamedTuple):
    """An error that came after HTTP 200. `status` is an HTTP status where the server named one, `kind` its `type`."""

    code: str
    message: str
    status: int | None
    kind: str = ""


class ChatEvent(NamedTuple):
    """What one event holds. `content_key` names where content stands, None without any; `text` is what one reads."""

    choices: tuple[dict[str, object], ...] = ()
    content_key: str | None = None
    text: str = ""
    finish_reason: str | None = None
    usage: dict[str, object] | None = None
    failure: StreamFailure | None = None
    done: bool = False

    @property
    def plain(self) -> bool:
        """Whether it is one choice with content, and nothing that an answer must know besides."""
        alone = len(self.choices) == 1 and self.content_key is not None
        return alone and not (self.finish_reason or self.usage or self.failure)


NOTHING = ChatEvent()
DONE = ChatEvent(done=True)


def read_event(name: str, data: bytes) -> ChatEvent:
    """Read one server-sent event.

    Raises:
        StreamEventError: an object that is cut or damaged, or whose parts are of another type.
    """
    stripped = data.strip()
    if stripped == b"[DONE]":
        return DONE
    chunk = event_object(stripped)
    if chunk is None:
        return ChatEvent(failure=_failure(None, stripped)) if name == "error" else NOTHING
    choices = _choices(chunk)
    if name == "error" or _failed(chunk, choices or ()):
        return ChatEvent(failure=_failure(chunk, stripped, choices or ()), choices=choices or ())
    if choices is None:
        raise StreamEventError("choices are no list of objects")
    return _chat_event(chunk, choices)


def event_object(data: bytes) -> dict[str, object] | None:
    """The JSON object that an event holds; None for what keeps a connection alive: nothing, a word, a number.

    Bytes that are no UTF-8 are read as U+FFFD: they spoil a character, not an answer.

    Raises:
        StreamEventError: it begins like an object and is none, or it is a list of something.
    """
    if data[:1] not in (b"{", b"["):
        return None
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        try:
            value = orjson.loads(readable(data))
        except orjson.JSONDecodeError as error:
            if data[:1] == b"[":
                return None
            raise StreamEventError(f"no JSON: {error}") from None
    if not isinstance(value, dict):
        raise StreamEventError("an event that is no object")
    return value


def _chat_event(chunk: dict[str, object], choices: tuple[dict[str, object], ...]) -> ChatEvent:
    usage = _usage(chunk, choices)
    key, pieces, reason = None, [], None
    for choice in choices:
        found = content_key(choice)
        if found is not None:
            key = key or found
            pieces.append(text_of(choice))
        last = choice.get("finish_reason")
        if last is not None and not isinstance(last, str):
            raise StreamEventError("finish_reason is no text")
        reason = last or reason
    return ChatEvent(choices, key, "".join(pieces), reason, usage)


def _choices(chunk: Mapping[str, object]) -> tuple[dict[str, object], ...] | None:
    """The choices of a chunk; one that stands alone in place of a list is a list of one. None: they are no choices."""
    choices = chunk.get("choices")
    if not choices:
        return ()
    if isinstance(choices, dict):
        return (choices,)
    if not isinstance(choices, list):
        return None
    return tuple(choices) if all(isinstance(choice, dict) for choice in choices) else None


def _holder(choice: Mapping[str, object]) -> dict[str, object]:
    """Where a choice keeps its content: in its delta, in a whole message, or in itself (plain completions)."""
    holder = choice.get("delta") or choice.get("message") or choice
    if not isinstance(holder, dict):
        raise StreamEventError("a delta that is no object")
    return holder


def content_key(choice: Mapping[str, object]) -> str | None:
    """The key that holds content in a streamed choice; None for one without: a role, a finish reason, empty text."""
    holder = _holder(choice)
    for key in CONTENT_KEYS:
        if holder.get(key) and (key == "text" or _text(holder[key]) or not isinstance(holder[key], list)):
            return key
    return "arguments" if holder.get("tool_calls") else None


def text_of(choice: Mapping[str, object]) -> str:
    """What one reads of a choice: its content or its text, as a string or as a list of parts."""
    holder = _holder(choice)
    return _text(holder.get("content") or holder.get("text"))


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(_text(part.get("text") if isinstance(part, dict) else part) for part in content)
    if isinstance(content, dict):
        return _text(content.get("text") or content.get("value"))
    if content is None:
        return ""
    raise StreamEventError("content that is no text")


def _usage(chunk: dict[str, object], choices: Iterable[dict[str, object]]) -> dict[str, object] | None:
    """Tokens: at the top, under `x_groq`, or inside a choice or its message or delta."""
    places = [chunk]
    if "x_groq" in chunk:
        places += objects([chunk["x_groq"]])
    for choice in choices:
        places += [choice, *objects([choice.get("message"), choice.get("delta")])]
    for place in places:
        usage = place.get("usage")
        if usage:
            if not isinstance(usage, dict):
                raise StreamEventError("usage that is no object")
            return usage
    return None


def _failed(chunk: Mapping[str, object], choices: Iterable[dict[str, object]]) -> bool:
    """`error:` at the top or in a choice, `object: error` (vLLM), `type: error`, `finish_reason: error`."""
    if chunk.get("error") or chunk.get("object") == "error" or chunk.get("type") == "error":
        return True
    return any(choice.get("error") or choice.get("finish_reason") == "error" for choice in choices)


def _failure(
    chunk: Mapping[str, object] | None, data: bytes, choices: Iterable[dict[str, object]] = ()
) -> StreamFailure:
    """Code and message, wherever they stand; the code is the provider's word where it has one, else its number."""
    if chunk is None:
        text = data.decode("utf-8", "replace")
        return StreamFailure(text[:ERROR_CODE_LENGTH_MAX] or "error", text[:ERROR_TEXT_LENGTH_MAX], None)
    errors = [chunk.get("error"), *(choice.get("error") for choice in choices)]
    error = next((each for each in errors if each), chunk)
    if not isinstance(error, dict):
        return StreamFailure(str(error)[:ERROR_CODE_LENGTH_MAX], str(error)[:ERROR_TEXT_LENGTH_MAX], None)
    words = [error.get(key) for key in ("code", "type", "status", "reason")]
    code = next((str(word) for word in words if word and isinstance(word, str | int) and word != "error"), "error")
    number = next((word for word in words if isinstance(word, int) and 400 <= word < 600), None)
    number = number or (int(code) if code.isascii() and code.isdigit() and len(code) == 3 else None)
    message = error.get("message") or error.get("detail") or ""
    kind = error.get("type")
    return StreamFailure(
        code[:ERROR_CODE_LENGTH_MAX],
        str(message)[:ERROR_TEXT_LENGTH_MAX],
        number,
        kind[:ERROR_CODE_LENGTH_MAX] if isinstance(kind, str) else "",
    )


def answer_text(stream: bytes) -> str:
    """The text of a whole streamed answer, with any line ends; events that cannot be read have none."""
    pieces = []
    for event in SseParser().feed(stream + b"\n\n"):
        try:
            read = read_event(event.event, event.data)
        except StreamEventError:
            continue
        if read.done:
            break
        pieces.append(read.text)
    return "".join(pieces)


def answer_token_ids(stream: bytes) -> list[int]:
    """Token ids of a whole streamed answer, where the server sends them (`return_token_ids` of vLLM); else none."""
    ids: list[int] = []
    for event in SseParser().feed(stream + b"\n\n"):
        try:
            choices = read_event(event.event, event.data).choices
        except StreamEventError:
            continue
        for choice in choices:
            held = choice.get("token_ids")
            if isinstance(held, list) and all(type(item) is int and 0 <= item < 2**31 for item in held):
                ids += held
    return ids
