"""Which quotas a load would pass, and in which minutes: calls by the minute against what is granted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from capacity.demand.calls import Calls
from capacity.quotas.quota import CUTS, MINUTE_S, MINUTES_PER_DAY, CallTokens, Granted, call_tokens
from capacity.simulator.requests import Floats
from facts.reader import Model


@dataclass(frozen=True)
class Pressure:
    """One quota of one model in one region over the run: what its busiest minute needs, and the minutes above it."""

    model: str
    region: str
    kind: str
    needed: float
    granted: float
    source: str
    minutes_over: tuple[int, ...]


def mean_call_tokens(calls: Calls, model: Model, max_tokens: int | None) -> tuple[CallTokens, int]:
    """Both readings of the mean call of a model, and the max_tokens it reserves: the model's own where none is set."""
    mask = calls.of(model.key)
    reserves = max_tokens or model.max_output_tokens
    tokens = call_tokens(
        input_tokens=float(calls.input_tokens[mask].mean()),
        cache_read_tokens=float(calls.cache_read_tokens[mask].mean()),
        cache_write_tokens=float((calls.cache_write_tokens_5m + calls.cache_write_tokens_1h)[mask].mean()),
        output_tokens=float(calls.output_tokens[mask].mean()),
        max_tokens=reserves,
        output_burndown_ratio=model.quota.output_burndown_ratio if model.quota else 1.0,
    )
    return tokens, reserves


def pressures_of(
    model: str, region: str, calls: Floats, tokens: CallTokens, latency_s: float, limits: Granted
) -> list[Pressure]:
    """calls: float64[minutes]. Tokens are the larger of what a minute is charged and what its calls in flight hold."""
    needs: dict[str, tuple[Floats, float | None]] = {}
    for kind in limits.counted.kinds:
        at_start, at_end = tokens.of(kind)
        in_flight = calls / MINUTE_S * at_start * min(latency_s, MINUTE_S)
        by_minute = calls * at_end if kind in ("rpm", CUTS) else np.maximum(calls * at_end, in_flight)
        needs[kind] = used_today(calls * at_end) if kind == "tpd" else by_minute, limits.counted.of(kind)
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
        for kind, (need, limit) in needs.items()
        if limit and len(need)
    ]


def used_today(settled: Floats) -> Floats:
    """Tokens used so far in each minute's day; days are counted from the start of the run, as AWS names no hour."""
    used = np.cumsum(settled)
    before = np.arange(len(settled)) // MINUTES_PER_DAY * MINUTES_PER_DAY
    return np.asarray(used - np.where(before > 0, used[before - 1], 0.0))
