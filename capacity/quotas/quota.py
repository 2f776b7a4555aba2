"""Bedrock quotas: what a rate of calls asks of each kind, under both readings, and when a kind binds.

At its start a call reserves input + cache read + cache write + max_tokens; at its end it is charged
input + cache write + output x burndown. Source: facts/data/quotas.csv; AWS agent toolkit, quota health (2026-05).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from capacity.demand.calls import ASSUMED_TPOT_S, ASSUMED_TTFT_S
from capacity.plan import Levels, QuotaNeed, RegionDemand
from capacity.simulator.requests import Floats
from facts.quota_names import Limits
from facts.reader import Model
from scenarios.schema import Quota

MINUTE_S = 60.0
DAY_S = 86_400.0
PERIOD_S: Mapping[str, float] = {"rpm": MINUTE_S, "tpm": MINUTE_S, "tpd": DAY_S}
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
    sources: Mapping[str, str] = field(default_factory=dict)  # by kind, where it is not `source`


def granted_limits(model: Model, own: Quota | None, held: Limits | None = None) -> Granted:
    """Kind by kind: what the scenario states, else what the account holds, else the published default.

    A stated null is not limited. Tokens per day that nobody names follow from the tokens per minute.
    """
    known = _published(model) if held is None else _of_account(held, _published(model))
    stated = {kind: getattr(own, kind) for kind in own.model_fields_set} if own is not None else {}
    if not stated:
        return known
    limits = {kind: stated.get(kind, getattr(known, kind)) for kind in ("rpm", "tpm", "tpd")}
    sources = {**known.sources, **dict.fromkeys(stated, "scenario: quotas")}
    if "tpd" not in stated and stated.get("tpm"):
        limits["tpd"] = stated["tpm"] * MINUTES_PER_DAY
        sources["tpd"] = f"scenario: quotas, tpm x {MINUTES_PER_DAY:,}"
    return Granted(**limits, source=known.source, sources=sources)


def _of_account(held: Limits, published: Granted) -> Granted:
    """What the account holds; a kind that it has no row for is not limited, but for the day, which follows the minute.

    Where the account names neither tokens nor requests a minute, the published default stands for both.
    """
    tpd = held.tpd if held.tpd is not None else (held.tpm * MINUTES_PER_DAY if held.tpm else None)
    if held.rpm is None and held.tpm is None:
        return published
    named = {kind: f"{held.source} ({code})" for kind, code in held.codes.items()}
    return Granted(held.rpm, held.tpm, tpd, held.source, named)


def _published(model: Model) -> Granted:
    fact = model.quota
    if fact is None:
        return Granted(None, None, None, "no published figure; read your account's Service Quotas")
    source = f"{fact.quota} of {fact.as_of} ({fact.status}); read your account's before the event"
    return Granted(fact.rpm, fact.tpm, fact.tpm * MINUTES_PER_DAY if fact.tpm else None, source)


def needs(
    calls_per_s: Levels,
    calls_per_day: Levels,
    tokens: CallTokens,
    limits: Granted,
    demand: RegionDemand,
    latency_s: float = MINUTE_S,
    region_factor: float = 1.0,
) -> tuple[QuotaNeed, ...]:
    """What the peak asks of each kind. A kind binds when the p90 timeline first exceeds what is granted.

    Settlement: what a minute (a day) is charged. Reservation: what calls in flight hold, E[R] x lambda x E[latency_s],
    a minute's worth at most. latency_s: mean of a call; a whole minute where nobody knows it. region_factor: how much
    of calls_per_s is carried for a lost region; the throttled share leaves it out, as no region is lost for days.
    """
    per_minute = _times(calls_per_s, MINUTE_S)
    in_flight = _times(calls_per_s, tokens.reserved * min(latency_s, MINUTE_S))
    kinds = (
        ("rpm", per_minute, per_minute, limits.rpm),
        ("tpm", _times(per_minute, tokens.settled), in_flight, limits.tpm),
        ("tpd", _times(calls_per_day, tokens.settled), in_flight, limits.tpd),
    )
    rows = []
    for kind, settled, reserved, limit in kinds:
        use = (
            _use_of_the_day(settled.p90, demand)
            if kind == "tpd"
            else _use_of_the_minute(max(settled.p90, reserved.p90), demand)
        )
        source = limits.sources.get(kind, limits.source)
        binds_at_s = None if limit is None else _first_over_s(use, limit, demand)
        throttled = None if limit is None else _excess(use / region_factor, limit, demand)
        rows.append(QuotaNeed(kind, settled, reserved, limit, binds_at_s, source, throttled))
    return tuple(rows)


def steady_bound_per_s(limits: Granted, tokens: CallTokens, latency_s: float) -> float:
    """Calls a second that no kind of quota stops in the steady state; infinite where nothing is limited.

    Source: docs/plan.md, min(RPM/60, TPM/(60 E[S]), TPM/(E[R] E[latency])).
    """
    bounds = [float("inf")]
    if limits.rpm:
        bounds.append(limits.rpm / MINUTE_S)
    if limits.tpm:
        bounds.append(limits.tpm / (MINUTE_S * tokens.settled))
        if latency_s > 0:
            bounds.append(limits.tpm / (tokens.reserved * latency_s))
    return min(bounds)


def assumed_latency_s(output_tokens: float) -> float:
    """Mean seconds a call holds its reservation, where no run has timed it."""
    return ASSUMED_TTFT_S + output_tokens * ASSUMED_TPOT_S


def in_flight_max(tpm: float, prompt_tokens: float, max_tokens: float) -> int:
    """Calls in flight that a tokens-per-minute quota lets reserve at once."""
    return int(tpm // (prompt_tokens + max_tokens))


def _times(values: Levels, factor: float) -> Levels:
    return Levels(values.p50 * factor, values.p90 * factor, values.p95 * factor)


def _use_of_the_minute(peak_need: float, demand: RegionDemand) -> Floats:
    """The need at each point of the p90 timeline, scaled so that its peak is peak_need."""
    rate = np.asarray(demand.interactions_per_s_p90, dtype=np.float64)
    return np.asarray(rate / max(float(rate.max()), 1e-300) * peak_need)


def _use_of_the_day(busiest_day: float, demand: RegionDemand) -> Floats:
    """What is used since each day's start, days counted from the event's start; the busiest is busiest_day."""
    offset_s = np.asarray(demand.offset_s, dtype=np.float64)
    rate = np.asarray(demand.interactions_per_s_p90, dtype=np.float64)
    lasts_s = np.diff(offset_s, append=offset_s[-1] + (offset_s[1] - offset_s[0] if len(offset_s) > 1 else 1.0))
    day = (offset_s // DAY_S).astype(np.int64)
    used = np.zeros(len(rate))
    for number in np.unique(day):
        inside = day == number
        used[inside] = np.cumsum(rate[inside] * lasts_s[inside])
    return np.asarray(used / max(float(used.max()), 1e-300) * busiest_day)


def _first_over_s(use: Floats, limit: float, demand: RegionDemand) -> float | None:
    """When the use first passes the limit."""
    over = np.flatnonzero(use > limit)
    return float(demand.offset_s[over[0]]) if len(over) else None


def _excess(use: Floats, limit: float, demand: RegionDemand) -> float:
    """Share of the event's calls in excess of the limit, as a fluid."""
    rate = np.asarray(demand.interactions_per_s_p90, dtype=np.float64)
    excess = rate * (1 - limit / np.maximum(use, max(limit, 1e-300)))
    return float(excess.sum() / max(float(rate.sum()), 1e-300))
