"""Hit ratios of prompt caches in closed form: provider caches with a time to live, own engines with an LRU store."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr

from facts.reader import TokenPrices

TTL_S = {"5m": 300.0, "1h": 3600.0}


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


def think_hit_ratio(median_s: float, cv: float, ttl_s: float) -> float:
    """Share of log-normal waits between two turns that end within the TTL."""
    if median_s <= 0:
        return 1.0
    if cv == 0:
        return float(median_s <= ttl_s)
    return float(ndtr(math.log(ttl_s / median_s) / math.sqrt(math.log1p(cv * cv))))


def shards_from_hit_ratio(hit_ratio: float, rate_per_s: float, ttl_s: float) -> float:
    """Number of independent caches that explains a measured hit ratio under Poisson arrivals and refresh."""
    if not 0 < hit_ratio < 1:
        raise ValueError(f"hit_ratio is {hit_ratio}, expected strictly between 0 and 1: shards cannot be told from it")
    return rate_per_s * ttl_s / -math.log1p(-hit_ratio)


def stampede_misses(rate_per_s: float, first_token_s: float) -> float:
    """Requests that miss before the first of them has written the prefix: itself and all that start meanwhile."""
    return 1 + rate_per_s * first_token_s


def equilibria(hit_after: Callable[[float], float], points: int = 400) -> list[float]:
    """Hit ratios h with hit_after(h) = h, where hit_after says which ratio the load that follows from h leaves.

    An own engine keeps prefixes in the KV that running requests leave free: few hits make long prefills, more requests
    in flight, less room, fewer hits. Three solutions (two stable, the middle one the edge between them) mean the fleet
    can fall into the low one after a disturbance and stay there.
    """
    grid = np.linspace(0.0, 1.0, points)
    gap = np.array([hit_after(float(h)) - float(h) for h in grid])
    solutions = []
    for left in range(points - 1):
        if gap[left] == 0:
            solutions.append(float(grid[left]))
        elif gap[left] * gap[left + 1] < 0:
            solutions.append(float(brentq(lambda h: hit_after(h) - h, grid[left], grid[left + 1])))
    if gap[-1] == 0:
        solutions.append(1.0)
    return solutions


@dataclass(frozen=True)
class TtlChoice:
    """What a prefix level costs per million of its tokens under each choice, and the cheapest."""

    choice: str  # none, 5m, 1h
    usd_per_mtok: dict[str, float]
    hit_ratio: dict[str, float]


def cheapest_ttl(
    hit_ratio: Callable[[float], float],
    prices: TokenPrices,
    ttls: tuple[str, ...],
    prefix_tokens: float,
    minimum: int | None,
) -> TtlChoice:
    """Cache a prefix level or not, and for how long: the cheapest of input price, and hit x read + miss x write.

    Args:
        hit_ratio: of the level, given a TTL in seconds.
        minimum: cumulative tokens below which the model caches nothing; None = no minimum known.
    """
    cost = {"none": prices.input_usd_per_mtok}
    hits = {"none": 0.0}
    write = {"5m": prices.cache_write_5m_usd_per_mtok, "1h": prices.cache_write_1h_usd_per_mtok}
    read = prices.cache_read_usd_per_mtok
    for ttl in ttls:
        price = write[ttl]
        if read is None or price is None or prefix_tokens < (minimum or 0):
            continue
        hits[ttl] = hit_ratio(TTL_S[ttl])
        cost[ttl] = hits[ttl] * read + (1 - hits[ttl]) * price
    return TtlChoice(min(cost, key=lambda choice: cost[choice]), cost, hits)
