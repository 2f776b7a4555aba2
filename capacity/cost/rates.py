"""Which price a call is billed at: by its service tier, and by a prompt long enough to have another one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from capacity.demand.calls import Calls
from capacity.demand.conversations import Names
from capacity.plan import PlanError
from capacity.simulator.requests import Floats
from facts.price_variants import feature_prices, long_context, tier_variant
from facts.reader import Model, TokenPrices
from scenarios.schema import Capacity

Mask = npt.NDArray[np.bool_]
TEXT_UNIT_CHARACTERS = 1_000
"""A text unit of a guardrail is up to 1,000 characters (Bedrock pricing page, recalled)."""


def with_tiers(calls: Calls, tiers: Mapping[str, str]) -> Calls:
    """The calls on the tiers a scenario names, by MODEL or MODEL/INTENT; others keep what the run resolved."""
    if not tiers:
        return calls
    tier: Names = np.full(len(calls.model), "default", dtype=object) if calls.tier is None else calls.tier.copy()
    intent = calls.turn_intent[calls.turn]
    for key, name in sorted(tiers.items(), key=lambda item: item[0].count("/")):
        model, _, wanted = key.partition("/")
        tier[calls.of(model) & ((intent == wanted) if wanted else True)] = name
    return replace(calls, tier=tier)


def price_groups(calls: Calls, model: Model) -> Iterator[tuple[Mask, TokenPrices]]:
    """A model's calls by the prices they are billed at; every call in one group.

    Raises:
        PlanError: a tier without a published price.
    """
    assert model.prices is not None  # callers leave models without prices out
    mask, long = calls.of(model.key), long_context(model.prices.price_key)
    beyond = calls.prompt_tokens > (np.inf if long is None else long.threshold_tokens or np.inf)
    for tier in ["default"] if calls.tier is None else sorted(set(calls.tier[mask].tolist())):
        variant = tier_variant(model.prices.price_key, tier)
        if variant is None:
            raise PlanError(
                f"{model.key}: no published price for service tier {tier!r} of {model.prices.price_key}; "
                "choose another tier in capacity.service_tiers"
            )
        of_tier = mask if calls.tier is None else mask & (calls.tier == tier)
        standard = variant.of(model.prices) if tier != "default" else model.prices
        if (of_tier & ~beyond).any():
            yield of_tier & ~beyond, standard
        if long is not None and (of_tier & beyond).any():
            yield of_tier & beyond, long.of(standard)


def feature_usd(calls: Calls, capacity: Capacity, message_tokens: float, own: Mapping[str, float]) -> dict[str, Floats]:
    """Dollars of guardrails and web searches, shared out over the calls [n]; only what is used and has a price.

    A guardrail reads the question once a turn and, where asked to, the answer: the turn's last call has both.
    own: the user's USD per thousand by feature, over the published ones.
    """
    meters = capacity.meters
    usd: dict[str, Floats] = {}
    thousand = {name: own.get(name, price.usd_per_thousand) for name, price in feature_prices().items()}
    per_unit = sum(thousand[policy] or 0.0 for policy in meters.guardrail_policies) / 1_000
    if per_unit:
        last = np.append(calls.turn[1:] != calls.turn[:-1], True)
        units = text_units(message_tokens * meters.characters_per_token) * np.ones(len(calls.turn))
        if meters.guardrail_on_answers:
            units = units + text_units(calls.output_tokens * meters.characters_per_token)
        usd["guardrails"] = np.where(last, units * per_unit, 0.0)
    if meters.web_searches_per_interaction and thousand["web_search"]:
        searches = meters.web_searches_per_interaction * calls.interactions / len(calls.turn)
        usd["web search"] = np.full(len(calls.turn), searches * thousand["web_search"] / 1_000)
    return usd


def text_units(characters: npt.ArrayLike) -> Floats:
    """Whole text units of a text, one at least."""
    return np.maximum(1.0, np.ceil(np.asarray(characters, dtype=np.float64) / TEXT_UNIT_CHARACTERS))
