"""What an interaction costs: every call of every turn by token class and price; self-hosted by the hour."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from capacity.cost.rates import price_groups
from capacity.demand.calls import Calls, kept_one_hour
from capacity.demand.conversations import Names
from capacity.fleet.outcome import BedrockSpend
from capacity.plan import PlanError
from capacity.rows.figures import Figure
from capacity.rows.money import CostLine
from capacity.simulator.requests import Floats
from facts.reader import Model, TokenPrices
from facts.stack import CacheTtl

_PER_MILLION = 1e-6
Z_90 = 1.6449
PARTS = ("input", "cache read", "cache write", "output")
OWN = "self-hosted"
RETRIED = "failed attempts"
METERED = "metered features"


@dataclass(frozen=True)
class CallCosts:
    """Dollars of every call, shape [n], and the same by part."""

    by_part: Mapping[str, Floats]

    @property
    def total_usd(self) -> Floats:
        """Sum over the parts."""
        total: Floats = np.sum(list(self.by_part.values()), axis=0)
        return total


def call_costs(
    calls: Calls,
    models: Mapping[str, Model],
    self_hosted_usd_per_call: Mapping[str, float],
    features: Mapping[str, Floats] | None = None,
    retry_extra_attempts: float = 0.0,
) -> CallCosts:
    """Price every call: tokens by class on Bedrock, a share of the chips' hours on self-hosted models.

    features: dollars of guardrails and the like by call. retry_extra_attempts: failed attempts per call, each billed as
    the call it repeats (an attempt that Bedrock throttles is not billed: state those that failed later).

    Raises:
        PlanError: a model without a price, or tokens of a class without one.
    """
    parts: dict[str, Floats] = {part: np.zeros(len(calls.model)) for part in (*PARTS, OWN, RETRIED)}
    for name in dict.fromkeys(calls.model.tolist()):
        if name in self_hosted_usd_per_call:
            parts[OWN][calls.of(name)] = self_hosted_usd_per_call[name]
            continue
        if name not in models or models[name].prices is None:
            raise PlanError(f"model {name!r}: no price; give it a price_key in models.yaml or chips in capacity.own")
        for mask, prices in price_groups(calls, models[name]):
            for part, usd in _token_costs(calls, mask, prices).items():
                parts[part][mask] = usd
                parts[RETRIED][mask] += usd * retry_extra_attempts
    return CallCosts(parts | dict(features or {}))


def _token_costs(calls: Calls, mask: npt.NDArray[np.bool_], prices: TokenPrices) -> dict[str, Floats]:
    """Dollars of one model's calls by part; raises `PlanError` for tokens of a class without a price."""

    def usd(column: str, price_name: str) -> Floats:
        tokens = getattr(calls, column)[mask]
        price = getattr(prices, price_name)
        if price is None and tokens.any():
            raise PlanError(f"{prices.price_key}: no {price_name}, but calls use it; add it to prices.tokens")
        return np.asarray(tokens * (price or 0.0) * _PER_MILLION, dtype=np.float64)

    written = (
        ("cache_write_tokens_5m", "cache_write_5m_usd_per_mtok"),
        ("cache_write_tokens_1h", "cache_write_1h_usd_per_mtok"),
    )
    return {
        "input": usd("input_tokens", "input_usd_per_mtok"),
        "cache read": usd("cache_read_tokens", "cache_read_usd_per_mtok"),
        "cache write": usd(*written[0]) + usd(*written[1]),
        "output": usd("output_tokens", "output_usd_per_mtok"),
    }


def bedrock_spend(
    calls: Calls,
    models: Mapping[str, Model],
    interactions: float,
    ttl: CacheTtl | None = None,
    features: Mapping[str, Floats] | None = None,
    retry_extra_attempts: float = 0.0,
) -> dict[str, BedrockSpend]:
    """Each model's token bill of the event at a number of interactions, by class; and what its cache reads cost if
    written again. Metered features are under the name METERED.

    ttl: lifetime asked for by prompt level; a read is written again at its level's. None = five minutes.
    """
    scale = interactions / calls.interactions
    tokens = scale * (1 + retry_extra_attempts)
    spends = {}
    for name in dict.fromkeys(calls.model.tolist()):
        if models[name].prices is None:
            continue
        total, rewrite = dict.fromkeys(PARTS, 0.0), 0.0
        for mask, prices in price_groups(calls, models[name]):
            for part, usd in _token_costs(calls, mask, prices).items():
                total[part] += float(usd.sum())
            rewrite += _rewrite_usd(calls, mask, models[name], prices, ttl or CacheTtl())
        spends[name] = BedrockSpend(
            input=total["input"] * tokens,
            cache_read=total["cache read"] * tokens,
            cache_write=total["cache write"] * tokens,
            output=total["output"] * tokens,
            rewrite=rewrite * tokens,
        )
    metered = sum(float(usd.sum()) for usd in (features or {}).values())
    return spends | ({METERED: BedrockSpend(features=metered * scale)} if metered else {})


def _rewrite_usd(calls: Calls, mask: npt.NDArray[np.bool_], model: Model, prices: TokenPrices, ttl: CacheTtl) -> float:
    """What one model's cache reads cost if written again, each token for its level's lifetime.

    Where the calls do not tell the levels, the lifetimes are in the proportion of what was written.
    """
    read = calls.cache_read_tokens[mask]
    shared, customer = calls.shared_tokens[mask], calls.customer_tokens[mask]
    if (shared >= 0).all() and (customer >= 0).all():
        long = float(kept_one_hour(np.zeros_like(read), read, shared, customer, ttl).sum())
        one_hour = long if "1h" in model.cache.ttls else 0.0
    else:
        written_1h, written_5m = calls.cache_write_tokens_1h[mask].sum(), calls.cache_write_tokens_5m[mask].sum()
        one_hour = float(read.sum()) * _ratio(written_1h, written_1h + written_5m)
    at_5m, at_1h = (
        prices.input_usd_per_mtok if usd is None else usd
        for usd in (prices.cache_write_5m_usd_per_mtok, prices.cache_write_1h_usd_per_mtok)
    )
    return ((float(read.sum()) - one_hour) * at_5m + one_hour * at_1h) * _PER_MILLION


@dataclass(frozen=True)
class Origins:
    """Where calls come from, and what is left of that once the step times behind self-hosted models touched a cost."""

    calls: str
    with_silicon: str
    source: str


def cost_lines(calls: Calls, costs: CallCosts, origins: Origins) -> tuple[CostLine, ...]:
    """One line for all intents and one for each, the most frequent first; an interaction has its first turn's."""
    turn_usd: Floats = np.bincount(calls.turn, weights=costs.total_usd, minlength=calls.turns).astype(np.float64)
    intent_of: Names = calls.turn_intent[np.unique(calls.turn_interaction, return_index=True)[1]]
    names, counts = np.unique(intent_of.astype(str), return_counts=True)
    order: list[str] = ["all", *names[np.argsort(-counts, kind="stable")].tolist()]
    return tuple(_line(intent, calls, costs, turn_usd, intent_of, origins) for intent in order)


def _line(
    intent: str, calls: Calls, costs: CallCosts, turn_usd: Floats, intent_of: Names, origins: Origins
) -> CostLine:
    everything = intent == "all"
    chosen = np.ones(calls.interactions, bool) if everything else intent_of == intent
    per_interaction = np.bincount(calls.turn_interaction, weights=turn_usd, minlength=calls.interactions)[chosen]
    in_turns = turn_usd if everything else turn_usd[calls.turn_intent == intent]
    of_call = chosen[calls.turn_interaction[calls.turn]]
    parts = {
        part: float(usd[of_call].sum() / chosen.sum()) for part, usd in costs.by_part.items() if usd[of_call].any()
    }
    origin = (origins.with_silicon if OWN in parts else origins.calls, origins.source)
    by_part = {
        part: np.bincount(calls.turn_interaction[calls.turn], weights=costs.by_part[part], minlength=calls.interactions)
        for part in parts
    }
    return CostLine(
        intent=intent,
        per_interaction_usd=_mean_figure(per_interaction, *origin),
        per_turn_usd=_mean_figure(in_turns, *origin),
        parts_usd=parts,
        quantiles_usd={
            "interaction": _quantiles(per_interaction),
            "turn": _quantiles(in_turns),
            **{part: _quantiles(usd[chosen]) for part, usd in by_part.items()},
        },
    )


def _quantiles(values: Floats) -> dict[str, float | None]:
    """p50, p95 and p99; None where fewer than ten values lie beyond."""
    known = [share for share in (50, 95, 99) if len(values) * (100 - share) >= 1_000]
    quantiles = dict(zip(known, np.percentile(values, known).tolist() if known else (), strict=True))
    return {f"p{share:g}": quantiles.get(share) for share in (50, 95, 99)}


def _mean_figure(values: Floats, provenance: str, source: str) -> Figure:
    """The mean with the 90% interval of its sampling error alone."""
    mean = float(values.mean())
    half = Z_90 * float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else 0.0
    return Figure(
        mean, max(0.0, mean - half), mean + half, "USD", provenance, source, simulated=provenance == "simulated"
    )


def cache_hit_figures(calls: Calls, model: str) -> dict[str, float]:
    """Share of input tokens read from cache: of all, and by nested prefix level where the calls tell the levels."""
    mask = calls.of(model)
    prompt, read = calls.prompt_tokens[mask], calls.cache_read_tokens[mask]
    ratios = {"all": _ratio(read, prompt)}
    shared, customer = calls.shared_tokens[mask], calls.customer_tokens[mask]
    if (shared >= 0).all() and (customer >= 0).all():
        shared, customer = np.minimum(shared, prompt), np.minimum(customer, prompt)
        read_customer = np.clip(read - shared, 0, customer - shared)
        ratios["shared"] = _ratio(np.minimum(read, shared), shared)
        ratios["customer"] = _ratio(read_customer, customer - shared)
        ratios["conversation"] = _ratio(np.maximum(0, read - customer), prompt - customer)
    return ratios


def _ratio(part: object, total_of: object) -> float:
    total = float(np.sum(total_of))  # type: ignore[call-overload]
    return float(np.sum(part)) / total if total else 0.0  # type: ignore[call-overload]
