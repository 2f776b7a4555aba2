"""Conversations as text (ShareGPT and chat data sets): turns and lengths only; no text leaves this module."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from scenarios.errors import ScenarioError
from scenarios.traces.cells import name_of, records
from scenarios.traces.row import TraceRow

TALKS = ("conversations", "conversation", "messages", "turns")
_USERS = ("user", "human", "customer")
_ASSISTANTS = ("assistant", "gpt", "bot", "chatgpt", "model", "bard", "bing")
CHARS_PER_TOKEN = 4.0
"""An expert estimate for English prose, as tokenizers' makers state it; a file of texts holds no token counts."""


def is_conversation(record: Mapping[str, object]) -> bool:
    """Whether a record holds a list of messages with speakers."""
    return _talk(record) is not None


def _talk(record: Mapping[str, object]) -> list[object] | None:
    for name in TALKS:
        talk = record.get(name)
        if not isinstance(talk, list) or not talk:
            continue
        first = talk[0]
        if isinstance(first, dict) and {"from", "role", "value", "content"} & set(first):
            return talk
    return None


def conversation_rows(path: str | Path) -> Iterator[TraceRow]:
    """A row for each answer: its prompt is all that was written before it. There is no clock.

    Raises:
        ScenarioError: a record without messages.
    """
    for line, record in records(path):
        talk = _talk(record)
        if talk is None:
            raise ScenarioError(f"{path}: record {line}: no list of messages with from and value, or role and content")
        session = name_of(record.get("id", record.get("conversation_id"))) or f"#{line}"
        before, prompt, waiting = 0, 0, False
        for message in talk:
            speaker, length = _message(message)
            if speaker in _ASSISTANTS and waiting:
                yield TraceRow(
                    line, None, before + prompt, max(1, length), session=f"{line}/{session}", starts_turn=True
                )
                before, prompt, waiting = before + prompt + length, 0, False
            else:
                prompt += length
                waiting = waiting or speaker in _USERS


def _message(message: object) -> tuple[str, int]:
    """Who speaks, and about how many tokens."""
    if not isinstance(message, dict):
        return "", 0
    speaker = str(message.get("from", message.get("role", ""))).lower()
    content = message.get("value", message.get("content", message.get("text")))
    if isinstance(content, list):
        content = "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return speaker, round(len(content) / CHARS_PER_TOKEN) if isinstance(content, str) else 0
