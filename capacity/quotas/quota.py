"""Bedrock quotas: what a rate of calls asks of each kind, under both readings, and when a kind binds.

At its start a call reserves input + cache read + cache write + max_tokens; at its end it is charged
input + cache write + output x burndown. Source: facts/data/quotas.csv; AWS agent toolkit, quota health (2026-05).
On bedrock-mantle input and output are apart: a call is admitted by input + cache write + max_tokens (cache reads are
free), and output counts as it streams: an answer stops where that quota is reached (facts/data/quota_kinds.csv).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from capacity.demand.calls import ASSUMED_TPOT_S, ASSUMED_TTFT_S
from capacity.rows.figures import Levels
from capacity.rows.needs import QuotaNeed, RegionDemand
from capacity.simulator.requests import Floats
from facts.quota_kinds import RUNTIME, kinds_of
from facts.quota_names import Limits
from facts.reader import Model
from scenarios.schema import Quota

MINUTE_S = 60.0
DAY_S = 86_400.0
KINDS = ("rpm", "tpm", "tpd", "input_tpm", "output_tpm")
PERIOD_S: Mapping[str, float] = dict.fromkeys(KINDS, MINUTE_S) | {"tpd": DAY_S}
CUTS = "output_tpm"
"""The kind that refuses no call: an answer stops where it is reached."""
MINUTES_PER_DAY = 1_440
"""Default tokens per day = tokens per minute x 1,440 (Bedrock user guide, quotas for bedrock-runtime)."""


@dataclass(frozen=True)
class CallTokens:
    """Mean tokens one call of a model takes from its quota; the last three on an endpoint that counts input apart."""

    reserved: float
    settled: float
    admitted: float = 0.0
    input: float = 0.0
    output: float = 0.0

    def of(self, kind: str) -> tuple[float, float]:
        """What one call takes of a kind: reserved at its start, and charged at its end."""
        if kind == "rpm":
            return 1.0, 1.0
        if kind == "input_tpm":
            return self.admitted, self.input
        return (self.output, self.output) if kind == CUTS else (self.reserved, self.settled)


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
        admitted=input_tokens + cache_write_tokens + max_tokens,
        input=input_tokens + cache_write_tokens,
        output=output_tokens,
    )


@dataclass(frozen=True)
class Granted:
    """Limits of one model in one region; None = no figure or not limited by this kind.

    in_doubt: kinds of which AWS's pages disagree whether they are enforced, and this account's own quotas say nothing.
    """

    rpm: float | None
    tpm: float | None
    tpd: float | None
    source: str
    sources: Mapping[str, str] = field(default_factory=dict)  # by kind, where it is not `source`
    input_tpm: float | None = None
    output_tpm: float | None = None
    endpoint: str = RUNTIME
    in_doubt: tuple[str, ...] = ()

    def of(self, kind: str) -> float | None:
        """The limit of a kind."""
        held: dict[str, float | None] = {name: getattr(self, name) for name in KINDS}
        return held[kind]

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of the endpoint, and any other that has a figure."""
        own = kinds_of(self.endpoint)
        return tuple(kind for kind in PERIOD_S if kind in own or self.of(kind) is not None)

    @property
    def counted(self) -> Granted:
        """Without the kinds in doubt: what may be counted on to limit calls."""
        return replace(self, rpm=None) if "rpm" in self.in_doubt else self

    @property
    def known(self) -> bool:
        """Whether any kind that counts has a limit."""
        return any(self.counted.of(kind) is not None for kind in PERIOD_S)


def granted_limits(model: Model, own: Quota | None, held: Limits | None = None) -> Granted:
    """Kind by kind: what the scenario states, else what the account holds, else the published default.

    A stated null is not limited. Tokens per day that nobody names follow from the tokens per minute.
    """
    known = _published(model) if held is None else _of_account(held, model)
    stated = {kind: getattr(own, kind) for kind in own.model_fields_set} if own is not None else {}
    if not stated:
        return known
    limits = {kind: stated.get(kind, known.of(kind)) for kind in PERIOD_S}
    sources = {**known.sources, **dict.fromkeys(stated, "scenario: quotas")}
    if "tpd" not in stated and stated.get("tpm"):
        limits["tpd"] = stated["tpm"] * MINUTES_PER_DAY
        sources["tpd"] = f"scenario: quotas, tpm x {MINUTES_PER_DAY:,}"
    doubted = tuple(kind for kind in known.in_doubt if kind not in stated)
    return Granted(**limits, source=known.source, sources=sources, endpoint=known.endpoint, in_doubt=doubted)


def _of_account(held: Limits, model: Model) -> Granted:
    """What the account holds of the model's endpoint; a kind that it has no row for is not limited, but for the day,
    which follows the minute.

    Where the account names no kind of the endpoint by the minute, the published default stands for all of them.
    """
    named = {kind: f"{held.source} ({code})" for kind, code in held.codes.items()}
    if model.endpoint != RUNTIME:
        if held.input_tpm is None and held.output_tpm is None:
            return _published(model)
        return Granted(None, None, None, held.source, named, held.input_tpm, held.output_tpm, endpoint=model.endpoint)
    tpd = held.tpd if held.tpd is not None else (held.tpm * MINUTES_PER_DAY if held.tpm else None)
    if held.rpm is None and held.tpm is None:
        return _published(model)
    return Granted(held.rpm, held.tpm, tpd, held.source, named)


def _published(model: Model) -> Granted:
    fact, endpoint = model.quota, model.endpoint
    if fact is None:
        unknown = "no published figure; read your account's Service Quotas"
        return Granted(None, None, None, unknown, endpoint=endpoint)
    source = f"{fact.quota} of {fact.as_of} ({fact.status}); read your account's before the event"
    source = f"own models: {fact.quota}" if fact.status == "stated" else source
    if endpoint != RUNTIME:
        return Granted(None, None, None, source, {}, fact.input_tpm, fact.output_tpm, endpoint)
    doubted = ("rpm",) if fact.rpm is not None and fact.rpm_status else ()
    sources = dict.fromkeys(doubted, f"{source}; {fact.rpm_status}")
    return Granted(
        fact.rpm, fact.tpm, fact.tpm * MINUTES_PER_DAY if fact.tpm else None, source, sources, in_doubt=doubted
    )


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
    rows = []
    for kind in limits.kinds:
        at_start, at_end = tokens.of(kind)
        held_s = MINUTE_S if kind in ("rpm", CUTS) else min(latency_s, MINUTE_S)
        settled = _times(calls_per_day if kind == "tpd" else per_minute, at_end)
        reserved = _times(calls_per_s, at_start * held_s)
        use = (
            _use_of_the_day(settled.p90, demand)
            if kind == "tpd"
            else _use_of_the_minute(max(settled.p90, reserved.p90), demand)
        )
        limit, source = limits.of(kind), limits.sources.get(kind, limits.source)
        binds_at_s = None if limit is None else _first_over_s(use, limit, demand)
        throttled = None if limit is None else _excess(use / region_factor, limit, demand)
        doubted = kind in limits.in_doubt
        rows.append(QuotaNeed(kind, settled, reserved, limit, binds_at_s, source, throttled, in_doubt=doubted))
    return tuple(rows)


def steady_bound_per_s(limits: Granted, tokens: CallTokens, latency_s: float) -> float:
    """Calls a second that no kind of quota stops in the steady state; infinite where nothing is limited.

    Source: docs/plan.md, min(RPM/60, TPM/(60 E[S]), TPM/(E[R] E[latency])).
    """
    bounds = [float("inf")]
    for kind in ("rpm", "tpm", "input_tpm", CUTS):
        limit = limits.counted.of(kind)
        if not limit:
            continue
        at_start, at_end = tokens.of(kind)
        if at_end > 0:
            bounds.append(limit / (MINUTE_S * at_end))
        if kind in ("tpm", "input_tpm") and latency_s > 0:
            bounds.append(limit / (at_start * latency_s))
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
