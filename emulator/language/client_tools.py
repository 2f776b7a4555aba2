"""Which of a client's own tools a message wants: those of whose name, or of whose description, it has the words.

The emulator knows the shop's tools by heart; of any other it reads what a model reads, name, description and schema.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from emulator.shop_model.words import fold, stem

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_WORD = re.compile(r"[a-z0-9]+")
_NAME_WEIGHT = 3
_LEAST = 2
_IDLE = frozenset(
    word
    for line in (
        "about all an and any are as at be by call can current data do does find for from function get give given has",
        "have how i if in info information into is it its me my need of on one or please return set show some that the",
        "their this to tool tell up use used user using value want what when where which who will with you your",
    )
    for word in line.split()
)
"""Words that tell no tool from another."""


@dataclass(frozen=True)
class ClientTool:
    """A tool as the request offers it."""

    name: str
    description: str
    schema: Mapping[str, object]


def wanted(tools: Sequence[ClientTool], words: str, called: frozenset[str]) -> list[ClientTool]:
    """Tools that the message wants, none of those already called for it: all that it names, else the best described."""
    said = _stems(words)
    scores = [(_score(tool, words, said), tool) for tool in tools if tool.name not in called]
    named = [tool for score, tool in scores if score >= _NAME_WEIGHT]
    if named:
        return named
    if any(_score(tool, words, said) >= _NAME_WEIGHT for tool in tools):
        return []  # what it wanted has been called
    best, tool = max(scores, key=lambda row: row[0], default=(0, None))
    return [tool] if tool is not None and best >= _LEAST and not called else []


def demanded(tools: Sequence[ClientTool], words: str, called: frozenset[str]) -> ClientTool:
    """The one tool to call when one must be: what the message wants, else one that was not called yet."""
    named = wanted(tools, words, called)
    fresh = [tool for tool in tools if tool.name not in called]
    return min(named or fresh or list(tools), key=lambda tool: tool.name)


def _score(tool: ClientTool, words: str, said: frozenset[str]) -> int:
    if tool.name.lower() in words.lower():
        return 2 * _NAME_WEIGHT
    name = _stems(_CAMEL.sub(" ", tool.name).replace("_", " "))
    return _NAME_WEIGHT * len(name & said) + len(_stems(tool.description) - name & said)


def _stems(text: str) -> frozenset[str]:
    return frozenset(stem(word) for word in _WORD.findall(fold(text)) if word not in _IDLE and len(word) > 1)
