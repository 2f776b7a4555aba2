"""Hit ratios of prompt caches in closed form: provider caches with a time to live, own engines with an LRU store."""

from __future__ import annotations

import math


def ttl_hit_ratio(rate_per_s: float, ttl_s: float, shards: int = 1, *, refreshed: bool = True) -> float:
    """Share of Poisson requests for one prefix that find it cached.

    Args:
        rate_per_s: requests that share the prefix.
        shards: independent caches the requests are spread over; each sees rate / shards.
        refreshed: a hit restarts the clock (Bedrock does); else only a write starts it.
    Source: with refresh the gap must be below the TTL, 1 - exp(-x); without, each write serves x more on average,
        x / (1 + x); x = rate * ttl / shards.
    """
    x = rate_per_s * ttl_s / shards
    return -math.expm1(-x) if refreshed else x / (1 + x)
