"""The router: rules, then a frozen classifier, then the small planner model when still unsure.

Nothing can be shown to the customer before it ends, so it has its own budget; a planner that does not answer within it
is not waited for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from assistant.errors import ModelError
from assistant.router import rules
from facts.intents import COMPLEXITIES, INTENTS
from facts.stack import Router


@dataclass(frozen=True, slots=True)
class Route:
    """What a message asks for. `stage`: the one that decided (rules, classifier, planner, default)."""

    intent: str
    complexity: str
    stage: str
    confidence: float


class Classifier(Protocol):
    """A frozen text classifier."""

    def classify(self, message: str) -> tuple[str, str, float]:
        """Intent, complexity and the intent's probability."""


Planner = Callable[[str], Awaitable[str]]
"""Asks the planner model about a message; returns its words."""


class MessageRouter:
    """Routes messages in one mode of the scenario."""

    def __init__(self, settings: Router, classifier: Classifier | None) -> None:
        self._settings = settings
        self._classifier = classifier

    async def route(self, message: str, previous_intent: str | None, planner: Planner | None) -> Route:
        """Decide intent and complexity.

        Args:
            previous_intent: of the turn before, which a short follow-up leans on.
            planner: None when there is no planner model.
        """
        mode = self._settings.mode
        if mode == "llm":
            return await self._planned(message, planner) or self._local(message, previous_intent, "staged")
        route = self._local(message, previous_intent, mode)
        if mode == "staged" and route.confidence < self._settings.unsure_below:
            return await self._planned(message, planner) or route
        return route

    def _local(self, message: str, previous_intent: str | None, mode: str) -> Route:
        if mode != "classifier" and previous_intent and rules.states_no_intent(message):
            return Route(previous_intent, rules.complexity_of(message, previous_intent), "rules", 1.0)
        if mode != "classifier" and (intent := rules.intent_of(message)):
            return Route(intent, rules.complexity_of(message, intent), "rules", 1.0)
        if mode != "rules" and self._classifier is not None:
            intent, complexity, confidence = self._classifier.classify(message)
            if confidence < self._settings.unsure_below and previous_intent and _leans_back(message):
                return Route(previous_intent, complexity, "classifier", self._settings.unsure_below)
            return Route(intent, complexity, "classifier", confidence)
        intent = previous_intent if previous_intent and _leans_back(message) else "product_search"
        return Route(intent, rules.complexity_of(message, intent), "default", 0.0)

    async def _planned(self, message: str, planner: Planner | None) -> Route | None:
        """The planner's word, or None when there is none, it fails, says nothing we know, or takes too long."""
        if planner is None:
            return None
        try:
            async with asyncio.timeout(self._settings.budget_s):
                answer = (await planner(message)).lower().split()
        except (TimeoutError, ModelError):
            return None
        intent = next((word for word in answer if word in INTENTS), None)
        if intent is None:
            return None
        complexity = next((word for word in answer if word in COMPLEXITIES), rules.complexity_of(message, intent))
        return Route(intent, complexity, "planner", 1.0)


_FOLLOW_UP_WORDS_MAX = 8
_LEANING = frozenset({
    "it", "its", "that", "this", "those", "these", "them", "they", "one", "ones", "the", "other", "another", "same",
    "yes", "no", "ok", "and", "what", "about",
})  # fmt: skip


def _leans_back(message: str) -> bool:
    """Whether a message looks like a follow-up: short, and pointing at something said before."""
    words = message.lower().replace("?", " ").replace(",", " ").split()
    return len(words) <= _FOLLOW_UP_WORDS_MAX and any(word in _LEANING for word in words)
