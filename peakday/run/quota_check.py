"""Which quotas a load run would pass, and when: its own arrivals, minute by minute, against what the account holds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from capacity.demand.calls import Calls, assumed_calls
from capacity.quotas.quota import MINUTES_PER_DAY, CallTokens, Granted, assumed_latency_s, call_tokens, granted
from facts.account import Held, read_quotas
from facts.reader import Model, models
from loadgen.job import Load
from loadgen.schedule.sessions import itinerary
from peakday.account.pull import newest
from scenarios.schema import Scenario

MINUTE_S = 60.0
UNKNOWN = "throttles     not known: no quotas held here; `peakday aws pull` reads them"


@dataclass(frozen=True)
class Pressure:
    """One quota of one model in one region over the run: what its busiest minute asks, and the minutes above it."""

    model: str
    region: str
    kind: str
    needed: float
    granted: float
    source: str
    minutes_over: tuple[int, ...]


def throttle_lines(load: Load, scenario: Scenario, quotas: Path | None, direct: Sequence[str | None] = ()) -> list[str]:
    """Lines for a dry run: what will throttle and from when, else the nearest limit; from a file or the newest pull."""
    path = quotas or newest("quotas.yaml")
    if path is None:
        return [UNKNOWN]
    found = pressures(load, scenario, read_quotas(path), direct)
    if not found:
        return [f"throttles     not known: {path} names no quota of the models in use"]
    over = sorted((item for item in found if item.minutes_over), key=lambda item: item.minutes_over[0])
    if not over:
        near = max(found, key=lambda item: item.needed / item.granted)
        share = near.needed / near.granted
        return [f"throttles     nothing by the quotas held; nearest {_what(near)}, {share:.0%} of it ({near.source})"]
    return [f"throttles     {_what(item)}; {_when(item)} ({item.source})" for item in over]


def pressures(load: Load, scenario: Scenario, held: Held, direct: Sequence[str | None] = ()) -> list[Pressure]:
    """Every limit of every Bedrock model that the run calls. Token sizes and routes are the scenario's assumptions.

    `direct` are models that targets name themselves: they get one call a turn; ours gets what the scenario routes.
    """
    known = models()
    calls = assumed_calls(scenario, known, seed=load.seed)
    starts = interactions_by_minute(load)
    found = []
    for name in sorted(set(calls.model.tolist())):
        model = known[name]
        if model.supply != "bedrock" or (direct and model.model_id not in direct):
            continue
        per_interaction = calls.turns / calls.interactions if direct else calls.per_interaction(name)
        tokens = mean_tokens(calls, model, scenario.assistant.max_tokens)
        latency_s = assumed_latency_s(float(calls.output_tokens[calls.of(name)].mean()))
        for region, per_minute in starts.items():
            limits = granted(model, scenario.quotas.get(name), held.limits(model, region))
            if held.limits(model, region) is not None or name in scenario.quotas:
                found += _against(name, region, per_minute * per_interaction, tokens, latency_s, limits)
    return found


def interactions_by_minute(load: Load) -> dict[str, np.ndarray]:
    """Interactions that start in each minute of the run, by region; float64[minutes]."""
    plan = itinerary(load, json.loads(Path(load.messages).read_text())["messages"])
    total = len(plan.offset_s)
    if not total:
        return {}
    sample = plan.sessions(list(range(min(total, 500))))
    per_session = sum(len(session.interactions) for session in sample) / len(sample)
    minute = (plan.offset_s // MINUTE_S).astype(int)
    region = np.resize(plan.region, total)
    return {
        name: np.bincount(minute[region == place], minlength=int(minute[-1]) + 1) * per_session
        for place, name in enumerate(plan.regions)
    }


def mean_tokens(calls: Calls, model: Model, max_tokens: int | None) -> CallTokens:
    """Both readings of the mean call of a model."""
    mask = calls.of(model.key)
    return call_tokens(
        input_tokens=float(calls.input_tokens[mask].mean()),
        cache_read_tokens=float(calls.cache_read_tokens[mask].mean()),
        cache_write_tokens=float((calls.cache_write_tokens_5m + calls.cache_write_tokens_1h)[mask].mean()),
        output_tokens=float(calls.output_tokens[mask].mean()),
        max_tokens=max_tokens or model.max_output_tokens,
        output_burndown_ratio=model.quota.output_burndown_ratio if model.quota else 1.0,
    )


def _against(
    model: str, region: str, calls: np.ndarray, tokens: CallTokens, latency_s: float, limits: Granted
) -> list[Pressure]:
    """calls: float64[minutes]. Tokens are the larger of what a minute is charged and what its calls in flight hold."""
    settled = calls * tokens.settled
    in_flight = calls / MINUTE_S * tokens.reserved * min(latency_s, MINUTE_S)
    asked: Mapping[str, tuple[np.ndarray, float | None]] = {
        "rpm": (calls, limits.rpm),
        "tpm": (np.maximum(settled, in_flight), limits.tpm),
        "tpd": (used_today(settled), limits.tpd),
    }
    return [
        Pressure(
            model=model,
            region=region,
            kind=kind,
            needed=float(need.max()),
            granted=limit,
            source=limits.sources.get(kind, limits.source),
            minutes_over=tuple(np.flatnonzero(need > limit).tolist()),
        )
        for kind, (need, limit) in asked.items()
        if limit and len(need)
    ]


def used_today(settled: np.ndarray) -> np.ndarray:
    """Tokens used so far in each minute's day; days are counted from the start of the run, as AWS names no hour."""
    whole = np.cumsum(settled)
    before = np.arange(len(settled)) // MINUTES_PER_DAY * MINUTES_PER_DAY
    return whole - np.where(before > 0, whole[before - 1], 0.0)


def _what(item: Pressure) -> str:
    return f"{item.model} in {item.region}: {item.needed:,.0f} {item.kind} asked, {item.granted:,.0f} held"


def _when(item: Pressure) -> str:
    first, count = item.minutes_over[0], len(item.minutes_over)
    if item.kind == "tpd":
        return f"the day's tokens are used up {_clock(first)} into the run"
    return f"throttles from {_clock(first)} into the run, in {count:,} minute{'' if count == 1 else 's'}"


def _clock(minute: int) -> str:
    return f"{minute // 60}:{minute % 60:02d} h"
