"""Which model answers a turn: the scenario's choice while it can, else the cheapest good, quick and free enough one.

Bound by pictures and by the marketplace's models; compared by quality for (intent, complexity), by the time to first
token seen lately, and by quota headroom. Every choice carries the reason that decided it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from assistant.models.supply_state import QuotaHeadroom, TtftForecast, quota_place
from assistant.settings import Stack
from facts.reader import Quality

POLICY, PICTURES, MARKETPLACE = "policy", "pictures", "marketplace"
QUALITY, TTFT, HEADROOM = "quality_floor", "predicted_ttft", "quota_headroom"
_GIVEN_UP = (HEADROOM, TTFT, QUALITY)
"""When no model passes everything, these are let go in this order: a slow answer beats a bad one."""
_TYPICAL_TOKENS = (3_000, 200)
"""Input and output of a turn, to compare prices by; assumed, and only their proportion matters."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What the choice depends on. `region`: where the turn's calls go."""

    intent: str
    complexity: str
    locale: str
    pictures: bool
    region: str


@dataclass(frozen=True, slots=True)
class Choice:
    """A model, and why: `policy`, or what kept the policy's model from answering."""

    model: str
    reason: str


class ModelPolicy:
    """Chooses among a stack's models."""

    def __init__(
        self, stack: Stack, quality: Sequence[Quality], forecast: TtftForecast, headroom: QuotaHeadroom
    ) -> None:
        self._stack = stack
        self._policy = stack.switches.policy
        self._quality = {(row.model, row.intent, row.complexity): row.acceptable_ratio for row in quality}
        self._forecast = forecast
        self._headroom = headroom

    def choose(self, ask: Ask) -> Choice | None:
        """The model for a turn; None when no model of the stack may answer it."""
        wanted = self._policy.model_for(ask.intent, ask.complexity)
        objections = {key: self._objections(key, ask) for key in self._keys()}
        if not objections[wanted]:
            return Choice(wanted, POLICY)
        reason = objections[wanted][0]
        for let_go in range(len(_GIVEN_UP) + 1):
            excused = set(_GIVEN_UP[:let_go])
            fit = [key for key, found in objections.items() if excused.issuperset(found)]
            if wanted in fit:
                return Choice(wanted, POLICY)
            if fit:
                return Choice(min(fit, key=self.price_usd), reason)
        return None

    def good_enough(self, key: str, intent: str, complexity: str) -> bool:
        """Whether a model's quality reaches the floor; one without a figure is not held back."""
        row = self._quality.get((key, intent, complexity), self._quality.get((key, "any", complexity)))
        return row is None or row >= self._policy.quality_floor

    def price_usd(self, key: str) -> float:
        """List price of a typical turn; own chips cost the same whether they answer or not, so nothing."""
        prices = self._stack.models[key].prices
        if prices is None:
            return 0.0 if self._stack.models[key].supply == "self_hosted" else float("inf")
        return prices.cost_usd(_TYPICAL_TOKENS[0], 0, 0, 0, _TYPICAL_TOKENS[1])

    def _keys(self) -> list[str]:
        named = {self._policy.simple, self._policy.complex, *self._policy.by_intent.values()}
        planner = self._stack.switches.router.planner_model
        return [key for key in self._stack.models if key != planner or key in named]

    def _objections(self, key: str, ask: Ask) -> list[str]:
        """What speaks against a model, the weightiest first."""
        model = self._stack.models[key]
        found = [PICTURES] if ask.pictures and not model.images else []
        if not self._sold_here(key, ask.locale):
            found.append(MARKETPLACE)
        if not self.good_enough(key, ask.intent, ask.complexity):
            found.append(QUALITY)
        expected_s, limit_s = self._forecast.expected_s(key), self._policy.ttft_max_s
        if limit_s is not None and expected_s is not None and expected_s > limit_s:
            found.append(TTFT)
        if self._headroom.free_ratio(key, quota_place(model, ask.region)) < self._policy.headroom_min_ratio:
            found.append(HEADROOM)
        return found

    def _sold_here(self, key: str, locale: str) -> bool:
        market = self._stack.marketplaces.get(locale)
        return market is None or market.models is None or key in market.models
