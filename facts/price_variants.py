"""Prices that differ from a model's standard ones: service tiers, long prompts, and features with their own meter.

A variant is kept as a ratio to the standard price of each token class, so that a user's own prices and discounts carry
over. What the source lacks (a tier's cache write) takes the ratio of its input, and is named in `assumed`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

from facts.decoding import FactsError
from facts.reader import TokenPrices, keyed, number, rows

TIERS = ("default", "priority", "flex", "latency_optimized")
CLASSES = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output")


@dataclass(frozen=True)
class Variant:
    """A ratio to the standard price by token class. threshold_tokens: prompts above it are billed so, whole."""

    name: str
    ratio: Mapping[str, float]
    assumed: tuple[str, ...]
    source: str
    threshold_tokens: int | None = None

    def of(self, standard: TokenPrices) -> TokenPrices:
        """The standard prices, each times its ratio; a class without a standard price stays without."""
        listed = {name: getattr(standard, f"{name}_usd_per_mtok") for name in CLASSES}
        changed = {f"{name}_usd_per_mtok": usd * self.ratio[name] for name, usd in listed.items() if usd is not None}
        return replace(standard, **changed, assumed=(*standard.assumed, *self.assumed))


@dataclass(frozen=True)
class FeaturePrice:
    """USD for a thousand units of a feature that has its own meter; None: not published."""

    feature: str
    unit: str
    usd_per_thousand: float | None
    status: str
    source: str


@cache
def feature_prices() -> Mapping[str, FeaturePrice]:
    """Features with their own meter, by name."""
    return keyed(FeaturePrice, "feature_prices.csv", "feature")


def tier_variant(price_key: str, tier: str) -> Variant | None:
    """A service tier of a model; None where no price of it is published.

    Raises:
        FactsError: a tier that Bedrock does not have.
    """
    if tier not in TIERS:
        raise FactsError(f"service tier {tier!r} is unknown; known: {', '.join(TIERS)}")
    if tier == "default":
        return Variant("default", dict.fromkeys(CLASSES, 1.0), (), "standard prices")
    return _variants().get((price_key, tier))


def long_context(price_key: str) -> Variant | None:
    """What a prompt beyond the model's threshold is billed at, the whole of it; None where there is no threshold."""
    return _variants().get((price_key, "long"))


@cache
def _variants() -> Mapping[tuple[str, str], Variant]:
    found = {}
    for row in rows("bedrock_prices.csv"):
        for name in ("priority", "flex", "latency_optimized", "long"):
            if row.get(f"{name}_input") and row.get(f"{name}_output"):
                found[row["model_id"], name] = _variant(name, row)
    return found


def _variant(name: str, row: Mapping[str, str]) -> Variant:
    ratio, assumed = {}, []
    for priced in CLASSES:
        standard, own = number(row[priced]), number(row.get(f"{name}_{priced}"))
        if standard and own is not None:
            ratio[priced] = own / standard
            continue
        reference = "output" if priced == "output" else "input"
        ratio[priced] = (number(row[f"{name}_{reference}"]) or 0.0) / (number(row[reference]) or 1.0)
        assumed.append(f"{name} {priced}")
    threshold = number(row.get("long_context_threshold_tokens")) if name == "long" else None
    source = f"{row['source']}, {row['source_date']}"
    return Variant(name, ratio, tuple(assumed), source, None if threshold is None else int(threshold))
