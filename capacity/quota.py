"""Bedrock quotas: what a rate of calls asks of each kind, under both readings, and when a kind binds.

At its start a call reserves input + cache read + cache write + max_tokens; at its end it is charged
input + cache write + output x burndown. Source: facts/data/quotas.csv; AWS agent toolkit, quota health (2026-05).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from capacity.plan import Levels, QuotaNeed, RegionDemand
from capacity.requests import Floats
from facts.reader import Model
from scenarios.schema import Quota

MINUTE_S = 60.0
DAY_S = 86_400.0
MINUTES_PER_DAY = 1_440
"""Default tokens per day = tokens per minute x 1,440 (Bedrock user guide, quotas for bedrock-runtime)."""


@dataclass(frozen=True)
class CallTokens:
    """Mean tokens one call of a model takes from its quota."""

    reserved: float
    settled: float


def call_tokens(
    *,
    input_tokens: float,
    cache_read_tokens: float,
    cache_write_tokens: float,
    output_tokens: float,
    max_tokens: float,
    output_burndown_ratio: float,
) -> CallTokens:
    """Both readings of one call."""
    return CallTokens(
        reserved=input_tokens + cache_read_tokens + cache_write_tokens + max_tokens,
        settled=input_tokens + cache_write_tokens + output_tokens * output_burndown_ratio,
    )


@dataclass(frozen=True)
class Granted:
    """Limits of one model in one region; None = no figure or not limited by this kind."""

    rpm: float | None
    tpm: float | None
    tpd: float | None
    source: str


def granted(model: Model, own: Quota | None) -> Granted:
    """The scenario's quota where it states one, else the published default."""
    if own is not None and (own.rpm or own.tpm or own.tpd):
        return Granted(own.rpm, own.tpm, own.tpd, "scenario: quotas")
    fact = model.quota
    if fact is None:
        return Granted(None, None, None, "no published figure; read your account's Service Quotas")
    source = f"{fact.quota} of {fact.as_of} ({fact.status}); read your account's before the event"
    return Granted(fact.rpm, fact.tpm, fact.tpm * MINUTES_PER_DAY if fact.tpm else None, source)


def needs(
    calls_per_s: Levels, calls_per_day: Levels, tokens: CallTokens, limits: Granted, demand: RegionDemand
) -> tuple[QuotaNeed, ...]:
    """What the peak asks of each kind. A kind binds when the p90 timeline first exceeds what is granted."""
    per_minute = _times(calls_per_s, MINUTE_S)
    kinds = (
        ("rpm", per_minute, per_minute, limits.rpm),
        ("tpm", _times(per_minute, tokens.settled), _times(per_minute, tokens.reserved), limits.tpm),
        ("tpd", _times(calls_per_day, tokens.settled), _times(calls_per_day, tokens.reserved), limits.tpd),
    )
    return tuple(
        QuotaNeed(
            kind=kind,
            needed_settlement=settled,
            needed_reservation=reserved,
            granted=limit,
            binds_at_offset_s=_binds_at(settled if kind == "tpd" else reserved, limit, demand),
            source=limits.source,
        )
        for kind, settled, reserved, limit in kinds
    )


def steady_bound_per_s(limits: Granted, tokens: CallTokens, latency_s: float) -> float:
    """Calls a second that no kind of quota stops in the steady state; infinite where nothing is limited.

    Source: DESIGN 9.6, min(RPM/60, TPM/(60 E[S]), TPM/(E[R] E[latency])).
    """
    bounds = [float("inf")]
    if limits.rpm:
        bounds.append(limits.rpm / MINUTE_S)
    if limits.tpm:
        bounds.append(limits.tpm / (MINUTE_S * tokens.settled))
        if latency_s > 0:
            bounds.append(limits.tpm / (tokens.reserved * latency_s))
    return min(bounds)


def throttled_ratio(calls_per_s: Floats, bound_per_s: float) -> float:
    """Share of calls above a bound when the rate is a fluid; equally long steps, no backlog of throttled calls."""
    asked = float(calls_per_s.sum())
    return float(np.maximum(0.0, calls_per_s - bound_per_s).sum()) / asked if asked else 0.0


def in_flight_max(tpm: float, prompt_tokens: float, max_tokens: float) -> int:
    """Calls in flight that a tokens-per-minute quota lets reserve at once."""
    return int(tpm // (prompt_tokens + max_tokens))


def _times(values: Levels, factor: float) -> Levels:
    return Levels(values.p50 * factor, values.p90 * factor, values.p95 * factor)


def _binds_at(needed: Levels, limit: float | None, demand: RegionDemand) -> float | None:
    """First offset at which the p90 demand, scaled so that its peak needs `needed.p90`, exceeds the limit."""
    if limit is None or needed.p90 <= limit:
        return None
    rate = np.asarray(demand.interactions_per_s_p90)
    over = np.flatnonzero(rate / rate.max() * needed.p90 > limit)
    return float(demand.offset_s[over[0]])
