"""The Reserved tier of Bedrock: how much input and output a minute to buy, from the event's load-duration curve.

A token a minute that is reserved replaces on-demand tokens in every minute in which the load is above it, so it pays as
long as those minutes, at on-demand prices, are worth its price for the whole term. What is beyond goes to Standard.
Source: Bedrock user guide, service tiers (read 2026-11): bought apart, at least 100,000 in and 10,000 out, cache reads
not counted, 1 or 3 months at a fixed price per 1,000 tokens a minute and month. The price is the account team's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from capacity.fleet.inputs import PlanInputs
from capacity.quotas.quota import MINUTE_S
from capacity.rows.money import ReservedAdvice, ReservedPart
from capacity.simulator.requests import Floats
from facts.quota_kinds import RUNTIME
from facts.reader import TokenPrices
from scenarios.demand import INTERACTIONS

STEP_TPM = 1_000.0
INPUT_MIN_TPM, OUTPUT_MIN_TPM = 100_000.0, 10_000.0


@dataclass(frozen=True)
class LoadCurve:
    """Tokens a minute [points] and how many minutes each lasts: the load-duration curve before it is sorted."""

    tpm: Floats
    minutes: Floats

    def replaced(self, reserved: float) -> float:
        """Tokens of the event that so much a minute takes."""
        return float((np.minimum(self.tpm, reserved) * self.minutes).sum())

    @property
    def total(self) -> float:
        """All tokens."""
        return float((self.tpm * self.minutes).sum())

    def exceeded_for(self, minutes: float) -> float:
        """The most tokens a minute that the load is at or above for so long; 0 where it never is."""
        order = np.argsort(-self.tpm, kind="stable")
        lasts = np.cumsum(self.minutes[order])
        enough = np.flatnonzero(lasts >= minutes - 1e-9)
        return float(self.tpm[order][enough[0]]) if len(enough) else 0.0


def part_of(curve: LoadCurve, usd_per_token: float, price_usd: float | None, months: int, least: float) -> ReservedPart:
    """What to buy of one kind: the most that pays for itself at the event's load alone, or nothing.

    price_usd: None leaves it at what the least amount may cost at most.
    """
    worth = curve.replaced(least) * usd_per_token
    breakeven = worth / (least / STEP_TPM * months)
    if price_usd is None:
        return ReservedPart(0.0, 0.0, 0.0, 1.0 if curve.total else 0.0, breakeven)
    needed_minutes = price_usd * months / (STEP_TPM * usd_per_token) if usd_per_token else np.inf
    level = np.floor(curve.exceeded_for(max(needed_minutes, 1e-9)) / STEP_TPM) * STEP_TPM
    tpm = float(max(level, least)) if price_usd <= breakeven or level >= least else 0.0
    usd, replaced = tpm / STEP_TPM * price_usd * months, curve.replaced(tpm)
    if replaced * usd_per_token < usd:
        tpm, usd, replaced = 0.0, 0.0, 0.0
    left = 1 - replaced / curve.total if curve.total else 0.0
    return ReservedPart(tpm, usd, replaced * usd_per_token, left, breakeven)


def reserved_advice(inputs: PlanInputs) -> tuple[ReservedAdvice, ...]:
    """Every model of bedrock-runtime that has a token price, by region; amounts where the user gave a price."""
    return tuple(
        _of_model(inputs, name, prices, region)
        for name in inputs.model_names
        if (prices := inputs.prices.models[name].prices) is not None
        and (inputs.prices.models[name].supply, inputs.prices.models[name].endpoint) == ("bedrock", RUNTIME)
        and inputs.calls.of(name).any()
        for region in inputs.regions
    )


def _of_model(inputs: PlanInputs, name: str, prices: TokenPrices, region: str) -> ReservedAdvice:
    calls, mask, price = inputs.calls, inputs.calls.of(name), inputs.prices.reserved.get(name)
    timeline = inputs.demand[INTERACTIONS][region].timeline
    rate, offset_s = np.asarray(timeline.interactions_per_s_p50), np.asarray(timeline.offset_s)
    minutes = np.diff(np.append(offset_s, max(inputs.scenario.event.length_s, offset_s[-1]))) / MINUTE_S
    attempts = 1 + inputs.scenario.capacity.resilience.retry_extra_attempts
    per_minute = rate * calls.per_interaction(name) * attempts * MINUTE_S
    classes = (
        (float(calls.input_tokens[mask].mean()), prices.input_usd_per_mtok),
        (float(calls.cache_write_tokens_5m[mask].mean()), prices.cache_write_5m_usd_per_mtok),
        (float(calls.cache_write_tokens_1h[mask].mean()), prices.cache_write_1h_usd_per_mtok),
    )
    taken = sum(tokens for tokens, _ in classes)
    usd_in = sum(tokens * (usd or 0.0) for tokens, usd in classes) / max(taken, 1e-12) / 1e6
    usd_out, answer = prices.output_usd_per_mtok / 1e6, float(calls.output_tokens[mask].mean())
    months = price.months if price else 1
    return ReservedAdvice(
        model=name,
        region=region,
        months=months,
        input=part_of(
            LoadCurve(per_minute * taken, minutes), usd_in, price.input_usd if price else None, months, INPUT_MIN_TPM
        ),
        output=part_of(
            LoadCurve(per_minute * answer, minutes),
            usd_out,
            price.output_usd if price else None,
            months,
            OUTPUT_MIN_TPM,
        ),
        priced=price is not None,
    )
