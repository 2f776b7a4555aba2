"""Puts a prompt together in the order that caching pays for: tools, system | customer | history | turn.

Everything in front of the first bar is the same bytes for every customer. Up to `max_points` cache points follow the
bars, where the model's entry in models.yaml allows them; points below the model's minimum are left out and counted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from assistant.history import PICTURE, Conversation, estimated_tokens
from assistant.models.protocol import Block, Message, ToolConfig
from assistant.tools.spec import Tool, tool_config
from assistant.tools.web import SEARCH_TOOL, SYSTEM_TOOL
from facts.reader import CacheRule, Marketplace, Model
from facts.stack import CacheTtl


@dataclass(frozen=True, slots=True)
class Prompt:
    """One assembled prompt. `tail`: index of the message that the last cache point follows, None without one.

    `prefix_hash` names the shared bytes; `prefix_*_tokens` are estimates, cumulative from the start.
    """

    system: list[Block]
    messages: list[Message]
    tools: ToolConfig
    tail: int | None
    points: int
    points_left_out: int
    prefix_hash: str
    prefix_shared_tokens: int
    prefix_customer_tokens: int


@cache
def system_text() -> str:
    """The shared instructions; neither dated nor personal."""
    return files("assistant").joinpath("data", "system_prompt.txt").read_text(encoding="utf-8").strip()


def customer_text(marketplace: Marketplace | None, facts: Sequence[str], currency: str) -> str:
    """What stands between the shared part and the history; empty when nothing is known."""
    lines = []
    if marketplace is not None:
        lines.append(f"Answer in {marketplace.language}. Prices are in {currency}.")
    if facts:
        lines.append("Remembered about this customer, at their wish:")
        lines.extend(f"- {fact}" for fact in facts)
    return "\n".join(lines)


class PromptBuilder:
    """Builds prompts over one tool list."""

    def __init__(self, tools: Mapping[str, Tool], ttl: CacheTtl, points: bool = True) -> None:
        self._tools = tuple(tools.values())
        self._ttl = ttl
        self._points = points
        self._configs: dict[tuple[str | None, bool], ToolConfig] = {}
        plain = self._config(None).converse
        self.tools_tokens = estimated_tokens(len(plain))
        self.shared_tokens = self.tools_tokens + estimated_tokens(len(system_text()))
        self.prefix_hash = _prefix_hash(plain)
        self._in_place_hash = _prefix_hash(self._config(None, in_place=True).converse)

    def build(self, model: Model, customer: str, conversation: Conversation, in_place: bool = False) -> Prompt:
        """The prompt for one call of one model.

        Args:
            customer: text of the customer's own part of the system prompt, or nothing.
            conversation: messages up to and with the newest user message.
            in_place: the model looks things up on the web itself, with its provider's tool in place of ours.
        """
        points = _Points(model.cache if self._points else None)
        customer_tokens = self.prefix_tokens(customer)
        before = _cumulative(customer_tokens, conversation.tokens)
        last = len(conversation.messages) - 1
        previous = conversation.last_tail
        # The bars that save most come first: they get the points when there are not enough for all.
        shared = points.take("system", self.shared_tokens)
        tail = points.take("messages", before[last])
        history = previous is not None and previous < last and points.take("messages", before[previous])
        own = bool(customer) and points.take("system", customer_tokens)
        tools = points.take("tools", self.tools_tokens)
        ttls = _Ttls(model.cache)
        config = self._config(ttls.next(self._ttl.shared) if tools else None, in_place)
        system: list[Block] = [{"text": system_text()}]
        if shared:
            system.append(_point(ttls.next(self._ttl.shared)))
        if customer:
            system.append({"text": customer})
        if own:
            system.append(_point(ttls.next(self._ttl.customer)))
        messages = [_for_model(message, model) for message in conversation.messages]
        if history and previous is not None:
            messages[previous] = _with_point(messages[previous], ttls.next(self._ttl.conversation))
        if tail:
            messages[last] = _with_point(messages[last], ttls.next(self._ttl.conversation))
        return Prompt(
            system=system,
            messages=messages,
            tools=config,
            tail=last if tail else None,
            points=points.placed,
            points_left_out=points.left_out,
            prefix_hash=self._in_place_hash if in_place else self.prefix_hash,
            prefix_shared_tokens=self.shared_tokens,
            prefix_customer_tokens=customer_tokens,
        )

    def prefix_tokens(self, customer: str) -> int:
        """Estimated tokens before the first message."""
        return self.shared_tokens + estimated_tokens(len(customer))

    def _config(self, ttl: str | None, in_place: bool = False) -> ToolConfig:
        """The tool list, with a cache point of this TTL behind it unless None."""
        if (ttl, in_place) not in self._configs:
            tools = [tool for tool in self._tools if not in_place or tool.name != SEARCH_TOOL]
            point = None if ttl is None else _point(ttl)
            self._configs[ttl, in_place] = tool_config(tools, point, SYSTEM_TOOL if in_place else None)
        return self._configs[ttl, in_place]


class _Points:
    """Cache points still to be had under a model's rule."""

    def __init__(self, rule: CacheRule | None) -> None:
        self._rule = rule
        self.placed = 0
        self.left_out = 0

    def take(self, where: str, tokens_before: int) -> bool:
        """Whether a point may stand here, `tokens_before` tokens into the prompt."""
        rule = self._rule
        if rule is None or where not in rule.points or self.placed >= rule.max_points:
            return False
        if tokens_before < (rule.min_tokens or 0):
            self.left_out += 1
            return False
        self.placed += 1
        return True


class _Ttls:
    """TTLs in prompt order: providers want longer ones first, so one never outlives those before it."""

    def __init__(self, rule: CacheRule) -> None:
        self._hour_allowed = "1h" in rule.ttls

    def next(self, asked: str) -> str:
        """The TTL of the next point."""
        self._hour_allowed = self._hour_allowed and asked == "1h"
        return "1h" if self._hour_allowed else "5m"


def _prefix_hash(tools: bytes) -> str:
    return hashlib.sha256(tools + system_text().encode()).hexdigest()[:16]


def _point(ttl: str) -> Block:
    point = {"type": "default"} if ttl == "5m" else {"type": "default", "ttl": ttl}
    return {"cachePoint": point}


def _with_point(message: Message, ttl: str) -> Message:
    return {"role": message["role"], "content": [*message["content"], _point(ttl)]}


def _for_model(message: Message, model: Model) -> Message:
    """Images in the history become a note for models that take none; the turn that brings one is routed elsewhere."""
    if model.images or not any("image" in block for block in message["content"]):
        return message
    blocks = [PICTURE if "image" in block else block for block in message["content"]]
    return {"role": message["role"], "content": blocks}


def _cumulative(start: int, counts: Iterable[int]) -> list[int]:
    totals = []
    for count in counts:
        start += count
        totals.append(start)
    return totals
