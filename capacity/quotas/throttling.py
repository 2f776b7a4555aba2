"""Quota buckets over the whole event: how many calls each reading throttles, by which kind, from when; and the cure.

A bucket holds one minute (or day) of its grant and refills evenly, but never what running calls have reserved. A call
takes its reservation when it starts; when it ends it gives back what it reserved beyond its settlement. A kind whose
bucket cannot cover a call throttles it. How AWS refills inside its 60 s is not published: this is a model of it.

Poisson calls go through it a second at a time, every call with its model's mean tokens, so that days of millions of
calls take milliseconds; a test holds it to a bucket that runs call by call.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from capacity.quotas.quota import CUTS, PERIOD_S, CallTokens, Granted
from capacity.rows.figures import Levels
from capacity.rows.needs import MaxTokensAdvice, QuotaNeed, RegionDemand, Throttled, Throttling
from capacity.simulator.memory import Memory, content_key
from capacity.simulator.requests import Floats, Ints

STEP_S = 1.0
LEVELS = ("p50", "p90")
MAX_TOKENS_STEP = 64
ANSWERS_KEPT = 0.999
"""Answers that an advised max_tokens leaves whole: an expert estimate; the longest one in a thousand is cut."""
BEYOND_MIN = 10
"""Answers that must lie beyond a quantile before it is advised by: an expert estimate."""


def calls_each_second(demand: RegionDemand, level: str, peak_per_s: float, length_s: float, seed: int) -> Ints:
    """Poisson calls of each second of the event, its timeline scaled so that its highest point is peak_per_s."""
    rate = np.asarray(getattr(demand, f"interactions_per_s_{level}"), dtype=np.float64)
    steps = max(1, math.ceil(length_s / STEP_S))
    point = np.searchsorted(np.asarray(demand.offset_s), np.arange(steps) * STEP_S, side="right") - 1
    scale = peak_per_s / max(float(rate.max()), 1e-300)
    drawn = np.random.default_rng([seed, 0xB0C7]).poisson((rate * scale * STEP_S)[np.maximum(point, 0)])
    return np.asarray(drawn, dtype=np.int64)


def throttled_calls(
    counts: Ints, tokens: CallTokens, latency_s: float, limits: Granted, *, gives_back: bool
) -> Throttled:
    """Send each second's calls through the buckets; gives_back False is the reading in which no reservation returns.

    A quota of output refuses no call, it cuts answers off: their share stands apart.
    """
    counted = limits.counted
    kinds = [kind for kind in PERIOD_S if counted.of(kind) is not None]
    refusing = [kind for kind in kinds if kind != CUTS]
    refused = _sent_through(refusing, counts, tokens, latency_s, counted, gives_back)
    if CUTS not in kinds:
        return refused
    cut = _sent_through([CUTS], counts, tokens, latency_s, counted, gives_back)
    return Throttled(
        refused.throttled_ratio, refused.by_kind | cut.by_kind, refused.first_s | cut.first_s, cut.throttled_ratio
    )


def _sent_through(
    kinds: Sequence[str], counts: Ints, tokens: CallTokens, latency_s: float, limits: Granted, gives_back: bool
) -> Throttled:
    """The calls through the buckets of these kinds at once."""
    total = int(counts.sum())
    if not kinds or not total:
        return Throttled(0.0, {}, {})

    from capacity.quotas import kernel  # numba takes a second to load: only a plan with a quota that binds waits for it

    def each(values: Mapping[str, float]) -> Floats:
        return np.array([values[kind] for kind in kinds], dtype=np.float64)

    refused, first_s = kernel.run(
        counts,
        each({kind: tokens.of(kind)[0] for kind in kinds}),
        each({kind: tokens.of(kind)[1] for kind in kinds}),
        each({kind: limits.of(kind) or 0.0 for kind in kinds}),
        each(PERIOD_S),
        max(1, round(latency_s / STEP_S)),
        STEP_S,
        gives_back,
    )
    shown = {kind: place for place, kind in enumerate(kinds) if refused[place]}
    return Throttled(
        float(refused.sum()) / total,
        {kind: float(refused[place]) / total for kind, place in shown.items()},
        {kind: float(first_s[place]) for kind, place in shown.items()},
    )


THROTTLED: Memory[Throttling] = Memory(512)
"""What this process sent through buckets, by content: another price or SLO sends nothing again."""


def throttling(
    demand: RegionDemand, peak: Levels, tokens: CallTokens, latency_s: float, limits: Granted, *,
    length_s: float, seed: int,
) -> Throttling | None:  # fmt: skip
    """Both readings at p50 and p90 demand; None where nothing is limited."""
    if not limits.known:
        return None
    key = content_key(demand, peak, tokens, latency_s, limits, length_s, seed)
    return THROTTLED.get(key, lambda: _sent(demand, peak, tokens, latency_s, limits, length_s, seed))


def _sent(
    demand: RegionDemand,
    peak: Levels,
    tokens: CallTokens,
    latency_s: float,
    limits: Granted,
    length_s: float,
    seed: int,
) -> Throttling:
    """Both readings at both levels, call by call."""
    by_reading: dict[str, dict[str, Throttled]] = {"reservation": {}, "settlement": {}}
    for level in LEVELS:
        counts = calls_each_second(demand, level, getattr(peak, level), length_s, seed)
        for reading, gives_back in (("reservation", False), ("settlement", True)):
            by_reading[reading][level] = throttled_calls(counts, tokens, latency_s, limits, gives_back=gives_back)
    return Throttling(by_reading["settlement"], by_reading["reservation"])


def max_tokens_advice(output_tokens: Ints, reserved_now: float, max_tokens_now: int) -> MaxTokensAdvice:
    """The smallest max_tokens that leaves all but one answer in a thousand whole, and what a call then reserves.

    Fewer than ten answers beyond that quantile say nothing of it: then nothing is advised but the calls it takes.
    """
    calls_needed = math.ceil(round(BEYOND_MIN / (1 - ANSWERS_KEPT), 6))
    if len(output_tokens) < calls_needed:
        return MaxTokensAdvice(max_tokens_now, reserved_now, reserved_now, len(output_tokens), calls_needed)
    longest = float(np.quantile(output_tokens, ANSWERS_KEPT))
    advised = max(MAX_TOKENS_STEP, math.ceil(longest / MAX_TOKENS_STEP) * MAX_TOKENS_STEP)
    advised = min(advised, max_tokens_now)
    return MaxTokensAdvice(advised, reserved_now - max_tokens_now + advised, reserved_now)


def increases(quotas: tuple[QuotaNeed, ...]) -> dict[str, float]:
    """What to ask for of each kind of which the service level needs more than is granted."""
    wanted_by_kind = {}
    for need in quotas:
        if need.counts and need.granted is not None and need.ask > need.granted:
            wanted_by_kind[need.kind] = need.ask
    return wanted_by_kind
