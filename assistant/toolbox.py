"""Runs tools for one turn: what the route implies beforehand, what the model asks for, what the customer confirmed.

Rules that no model can talk its way around live here: arguments are checked against the schema, the account is the
session's, and a write needs either the customer's own message (routed to it, in a conversation without strangers' text)
or a confirmation.
"""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import logging
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import orjson

from assistant.confirmations import LIFETIME_S, Confirmations, Confirmed
from assistant.errors import StoreError
from assistant.history import Conversation
from assistant.models.protocol import Block, ToolUse
from assistant.requests import TurnRequest
from assistant.shop.ranking import words
from assistant.tools import schema
from assistant.tools.spec import ALWAYS, NothingFound, Result, Tool, ToolContext, ToolError

log = logging.getLogger("assistant")

_ORDER_INTENTS = frozenset({"order_status", "order_change", "delivery", "returns_refunds", "reorder"})
_PAGE_INTENTS = frozenset({
    "product_question", "comparison", "recommendation", "product_search", "deals", "price_history", "price_alert",
    "auto_buy", "delivery",
})  # fmt: skip
_OF_THE_SPEAKER = frozenset(
    {"customer", "user", "shopper", "he", "she", "they", "their", "his", "her", "has", "am", "was"}
)
"""Words by which a model speaks of the customer; nothing is asked for by them."""
_NO_ORDER = re.compile(
    r"(?:\bnot|n['’`]t|\bdont|\bnever|\bnunca|\bno|\bwithout|\bsin|\bstop|\brefuse)\W+(?:\w+\W+){0,2}"
    r"(?:remember|sav|note|stor|keep|record|forget|delet|remov|eras|reorder|order|buy|add|recuerd|guard|olvid|pid|compr)"
    r"|\b(?:if (?:i|we|you|he|she|they|someone|somebody)|what (?:if|would|happens)|would you)\b"
    r"|\b(?:suppose|imagine|hypothetically)\b|[\"“”„«»]"
    r"|^\W*(?:did|does|is|are|was|were|why|who|when|where|how(?! about)|should|has|had|do (?:i|we|you|they|people))\b"
    r"|\b(?:remind|tell|explain to|show) me (?:why|how|when|what|whether|if)\b"
    r"|/s\b",
    re.IGNORECASE,
)
"""What makes a message no order, whatever words it shares with one: a refusal, a supposition, the words of others, a
question about it. Such a message is asked about; nothing is lost but one question."""
_WORD = re.compile(r"\w+")
_TAKEN_BACK = re.compile(
    r"\bno\b(?! (?:problem|rush|hurry|worries))|\b(?:nope|never again|nothing|nobody|none)\b"
    r"|\b(?:cancel|abort|scratch that|nevermind|never mind|changed my mind|(?:take|took) (?:it|that) back)\b"
    r"|\b(?:kidding|joke|joking|hate|regret|awful|terrible)\b",
    re.IGNORECASE,
)
"""Words beside an order that take it back; those that it holds itself (`remember: no peanuts`) are its own."""


def implied_calls(intent: str, product_id: str | None) -> dict[str, Mapping[str, object]]:
    """Tools whose results a route needs for sure, with their arguments."""
    calls: dict[str, Mapping[str, object]] = {}
    if intent in _ORDER_INTENTS:
        calls["order_history"] = {}
    if product_id is not None and intent in _PAGE_INTENTS:
        calls["product_details"] = {"product_id": product_id}
    return calls


@dataclass(frozen=True, slots=True)
class ToolRun:
    """One finished tool call. `status`: ok, error, timeout or needs_confirmation. Times count from the turn's start."""

    use: ToolUse
    status: str
    result: Result
    start_s: float
    duration_s: float

    def block(self) -> Block:
        """The toolResult block for the model."""
        failed = self.status in ("error", "timeout")
        return {
            "toolResult": {
                "toolUseId": self.use.tool_use_id,
                "content": [{"json": self.result}],
                "status": "error" if failed else "success",
            }
        }


@dataclass(slots=True)
class Toolbox:
    """The tools of one turn."""

    tools: Mapping[str, Tool]
    context: ToolContext
    request: TurnRequest
    intent: str
    conversation: Conversation
    confirmations: Confirmations
    clock: Callable[[], float]
    started_s: float
    now_s: float
    timeout_s: float
    pending: dict[str, object] | None = field(default=None)

    async def prefetch(self) -> dict[str, Result]:
        """Results that the route implies and the conversation does not hold yet."""
        found: dict[str, Result] = {}
        for name, arguments in implied_calls(self.intent, self.request.product_id).items():
            mark = f"{name}:{orjson.dumps(arguments).decode()}"
            if name not in self.tools or mark in self.conversation.prefetched:
                continue
            status, result = await self._run(self.tools[name], arguments, "")
            if status == "ok":
                found[name] = result
                self.conversation.prefetched.add(mark)
        return found

    async def confirmed(self, confirmed: Confirmed) -> Result:
        """Carry out what the customer agreed to, at most once."""
        _, result = await self._run(self.tools[confirmed.tool], confirmed.arguments, confirmed.key)
        return result

    async def use(self, use: ToolUse) -> ToolRun:
        """One tool call of the model, with every check."""
        start_s = self.clock()
        status, result = await self._checked(use)
        return ToolRun(use, status, result, start_s - self.started_s, self.clock() - start_s)

    async def _checked(self, use: ToolUse) -> tuple[str, Result]:
        tool = self.tools.get(use.name)
        if tool is None:
            return "error", {"error": f"there is no tool {use.name[:40]!r}"}
        if use.input is None:
            return "error", {"error": use.error}
        if wrong := schema.problem(tool.schema, use.input):
            return "error", {"error": wrong}
        if tool.confirm is not None and not self._asked(tool, use.input):
            return self._ask(tool, use.input)
        return await self._run(tool, use.input, self._key(tool, use.input))

    def _asked(self, tool: Tool, arguments: Mapping[str, object]) -> bool:
        """Whether the customer's own message is consent enough: routed to this, and in words of the customer's own."""
        if tool.confirm == ALWAYS or self.intent not in tool.asked_by or self.conversation.tainted:
            return False
        message = _without_accents(self.request.message)
        text = _without_accents(str(arguments[tool.required[0]]))
        if _NO_ORDER.search(message) or _TAKEN_BACK.search(_beside(message, text)):
            return False
        said = set(words(message))
        asked = set(words(text)) - _OF_THE_SPEAKER
        # No words at all are no consent, and neither are words of a script that is not read here.
        return bool(asked) and text.isascii() and len(asked & said) >= len(asked) * tool.own_words_ratio

    def _ask(self, tool: Tool, arguments: Mapping[str, object]) -> tuple[str, Result]:
        """Leave the write for the customer to confirm; the token goes to the customer, never to the model."""
        if self.pending is not None:
            return "error", {"error": "another action waits for the customer's confirmation; one at a time"}
        assert tool.preview is not None, f"{tool.name} writes and has no preview"
        try:
            resolved, action = tool.preview(self.context, arguments)
        except NothingFound as nothing:
            return "ok", {"found": False, "note": str(nothing)}
        except ToolError as error:
            return "error", {"error": str(error)}
        except StoreError as error:
            return _unanswered(tool, error)
        token = self.confirmations.issue(
            self.context.customer_id,
            self.request.interaction_id,
            self.request.turn_index,
            tool.name,
            resolved,
            self.now_s,
        )
        self.pending = {"token": token, "action": action, "expires_s": LIFETIME_S}
        return "needs_confirmation", {"status": "needs_confirmation", "action": action}

    async def _run(self, tool: Tool, arguments: Mapping[str, object], key: str) -> tuple[str, Result]:
        try:
            result = tool.run(replace(self.context, key=key), arguments)
            if inspect.isawaitable(result):
                async with asyncio.timeout(self.timeout_s):
                    result = await result
        except NothingFound as nothing:
            return "ok", {"found": False, "note": str(nothing)}
        except ToolError as error:
            return "error", {"error": str(error)}
        except TimeoutError:
            return "timeout", {"error": f"{tool.name} did not answer within {self.timeout_s:g} s"}
        except StoreError as error:
            return _unanswered(tool, error)
        if tool.taints:
            self.conversation.tainted = True
        return "ok", result

    def _key(self, tool: Tool, arguments: Mapping[str, object]) -> str:
        """The same for the same call of the same turn, so that a replayed request changes nothing."""
        if tool.confirm is None:
            return ""
        parts = [
            self.context.customer_id,
            self.request.interaction_id,
            self.request.turn_index,
            tool.name,
            dict(arguments),
        ]
        return hashlib.sha256(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _beside(message: str, text: str) -> str:
    """A message without the words of a text."""
    own = {word.lower() for word in _WORD.findall(text)}
    return _WORD.sub(lambda found: "" if found[0].lower() in own else found[0], message)


def _unanswered(tool: Tool, error: StoreError) -> tuple[str, Result]:
    """What the model hears of a store on a bad day; the service's own words are the log's."""
    log.warning("%s: the store failed: %s", tool.name, error)
    return "error", {"error": "the store did not answer; it is unknown whether anything changed, so look first"}


def _without_accents(text: str) -> str:
    """Latin letters without their marks, so that words of Spanish or French are read as words."""
    return "".join(letter for letter in unicodedata.normalize("NFD", text) if not unicodedata.combining(letter))
