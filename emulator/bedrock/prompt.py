"""A Converse request as the model sees it: blocks in the order tools, system, messages, with the cache points in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b

import orjson

from emulator.bedrock.messages import Block, ConverseBody
from emulator.bedrock.prompt_cache import Boundary, Point
from emulator.language.tokens import TokenRule

_SHARED_BYTES_MAX = 65_536


class TooDeepError(ValueError):
    """JSON nested deeper than it can be written again; what reads it takes more levels than what writes it."""


def written(value: object) -> bytes:
    """The JSON of a value that was read from JSON.

    Raises:
        TooDeepError: nested too deeply.
    """
    try:
        return orjson.dumps(value)
    except TypeError:
        raise TooDeepError("nested too deeply") from None


@dataclass
class Prompt:
    """Boundaries of every block, the cache points, and which section each point stands in."""

    boundaries: list[Boundary] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    point_sections: list[str] = field(default_factory=list)
    images: int = 0

    @property
    def tokens(self) -> int:
        """Of the whole prompt."""
        return self.boundaries[-1].tokens if self.boundaries else 0


class _Builder:
    """Adds blocks one by one, keeping the chained hash and the running count."""

    def __init__(self, rule: TokenRule) -> None:
        self.prompt = Prompt()
        self._rule = rule
        self._hash = blake2b(digest_size=16)
        self._tokens = 0

    def copy(self) -> _Builder:
        """One that goes on from here by itself."""
        made, prompt = _Builder(self._rule), self.prompt
        made.prompt = Prompt(
            prompt.boundaries.copy(), prompt.points.copy(), prompt.point_sections.copy(), prompt.images
        )
        made._hash, made._tokens = self._hash.copy(), self._tokens
        return made

    def add(self, section: str, block: Block) -> None:
        """One content block, or one tool; a cache point is no content."""
        point = block.get("cachePoint")
        if point is not None:
            self.prompt.points.append(Point(len(self.prompt.boundaries) - 1, point.get("ttl") or "5m"))
            self.prompt.point_sections.append(section.split("/")[0])
            return
        data, tokens, images = self._measured(block)
        self._hash.update(b"%b %d " % (section.encode(), len(data)))
        self._hash.update(data)
        self._tokens += tokens
        self.prompt.images += images
        self.prompt.boundaries.append(Boundary(self._hash.digest(), self._tokens))

    def _measured(self, block: Block) -> tuple[bytes, int, int]:
        """What goes into the hash, the tokens, and the images of one block."""
        text = block.get("text")
        if isinstance(text, str):
            data = text.encode()
            return data, self._rule.text(data), 0
        return written(block), *_block_tokens(block, self._rule)


def _block_tokens(block: Block, rule: TokenRule) -> tuple[int, int]:
    """(tokens, images) of a block that is no plain text. A tool use counts as it did when the model wrote it."""
    if "image" in block:
        return rule.image_tokens, 1
    if "toolUse" in block:
        use = block["toolUse"]
        return rule.text(use["name"].encode() + written(use["input"])), 0
    if "toolResult" in block:
        parts = [_block_tokens(item, rule) for item in block["toolResult"]["content"]]
        return sum(tokens for tokens, _ in parts), sum(images for _, images in parts)
    if isinstance(block.get("text"), str):
        return rule.text(block["text"]), 0
    return rule.text(written(block.get("json", block))), 0


def _after_tools(tools: bytes, rule: TokenRule) -> _Builder:
    """What the tools of a prompt, given as JSON, come to."""
    builder = _Builder(rule)
    for tool in orjson.loads(tools):  # a tool counts as JSON, as a block without text does
        builder.add("tools", tool)
    return builder


_shared_tools = lru_cache(maxsize=64)(_after_tools)
"""The same, kept: calls share their tools, which are half of many a prompt."""


def read_prompt(body: ConverseBody, rule: TokenRule) -> Prompt:
    """The prompt of a validated Converse body."""
    tools = body["toolConfig"]["tools"] if "toolConfig" in body else []
    data = written(tools)
    builder = _shared_tools(data, rule).copy() if len(data) <= _SHARED_BYTES_MAX else _after_tools(data, rule)
    for block in body.get("system", []):
        builder.add("system", block)
    for message in body.get("messages", []):
        section = f"messages/{message['role']}"
        for block in message["content"]:
            builder.add(section, block)
    return builder.prompt
