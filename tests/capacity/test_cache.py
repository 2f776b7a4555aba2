"""Cache formulas against exact replays of drawn requests, and where they stop holding."""

import math

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import gammainc

from capacity.caching.hit_ratio import (
    cheapest_ttl,
    equilibria,
    shards_from_hit_ratio,
    stampede_misses,
    think_hit_ratio,
    ttl_hit_ratio,
)
from capacity.caching.replay import Prompt, read_prompts, replay
from facts.reader import models

N = 200_000


def simulated(at_s, block, policy):
    prompts = [Prompt(float(t), 0, (int(b),), (1,)) for t, b in zip(at_s, block, strict=True)]
    return replay(prompts, policy).hit_ratio


@pytest.mark.parametrize(("rate_per_s", "ttl_s"), [(0.005, 60.0), (0.005, 300.0), (0.02, 60.0)])
@pytest.mark.parametrize(("refreshed", "policy"), [(True, "ttl"), (False, "ttl-fixed")])
def test_poisson_hit_ratios_meet_their_formula(rate_per_s, ttl_s, refreshed, policy):
    at_s = np.cumsum(np.random.default_rng(1).exponential(1 / rate_per_s, N))
    expected = ttl_hit_ratio(rate_per_s, ttl_s, refreshed=refreshed)
    assert simulated(at_s, np.zeros(N), f"{policy}:{ttl_s}") == pytest.approx(expected, abs=0.01)


def test_shards_see_a_share_of_the_requests_each():
    rng = np.random.default_rng(2)
    at_s = np.cumsum(rng.exponential(1 / 0.05, N))
    hit = simulated(at_s, rng.integers(0, 8, N), "ttl:300")
    assert hit == pytest.approx(ttl_hit_ratio(0.05, 300.0, shards=8), abs=0.01)
    assert shards_from_hit_ratio(hit, 0.05, 300.0) == pytest.approx(8, rel=0.05)


@pytest.mark.parametrize("cv", [0.5, 2.0, 4.0])
def test_bursty_gaps_need_their_own_law(cv):
    """The Gamma law holds to 1%; the Poisson formula is off by more once the stream is bursty."""
    rng = np.random.default_rng(3)
    at_s = np.cumsum(rng.gamma(1 / cv**2, cv**2 / 0.01, N))
    hit = simulated(at_s, np.zeros(N), "ttl:60")
    assert gammainc(1 / cv**2, 0.01 * 60.0 / cv**2) == pytest.approx(hit, abs=0.01)
    assert abs(ttl_hit_ratio(0.01, 60.0) - hit) > 0.05


def che(rates_per_s, tokens, capacity_tokens):
    """Characteristic time t_c of an LRU store and the hit ratio of each prefix, for independent Poisson requests.

    Source: Che, Tung, Wang 2002: t_c solves sum tokens_i (1 - exp(-rate_i t_c)) = capacity. Infinite when all fits.
    """
    if capacity_tokens <= 0:
        return 0.0, np.zeros_like(rates_per_s)
    if float(tokens[rates_per_s > 0].sum()) <= capacity_tokens:
        return math.inf, (rates_per_s > 0).astype(np.float64)

    def overfull(log_t):
        return float(tokens @ -np.expm1(-rates_per_s * math.exp(log_t))) - capacity_tokens

    fastest, slowest = float(rates_per_s.max()), float(rates_per_s[rates_per_s > 0].min())
    t_c = math.exp(brentq(overfull, math.log(1e-12 / fastest), math.log(50.0 / slowest)))
    return t_c, -np.expm1(-rates_per_s * t_c)


def test_che_meets_an_lru_store_under_independent_requests():
    rng = np.random.default_rng(4)
    popularity = 1 / np.arange(1, 2001) ** 0.8
    popularity /= popularity.sum()
    block = rng.choice(2000, N, p=popularity)
    _, hits = che(popularity, np.ones(2000), 300.0)
    assert simulated(np.arange(N), block, "lru:300") == pytest.approx(float(popularity @ hits), abs=0.01)


def test_che_does_not_know_a_cold_start(traces):
    """Half an hour of a real trace starts cold and its requests depend on each other: the gap is shown, not hidden."""
    prompts = read_prompts(traces / "mooncake_conversation_min00-30.jsonl.gz")
    blocks = np.array([block for prompt in prompts for block in prompt.blocks])
    _, counts = np.unique(blocks, return_counts=True)
    _, hits = che(counts / counts.sum(), np.ones(len(counts)), 50_000.0)
    predicted, exact = float((counts / counts.sum()) @ hits), replay(prompts, "lru:50000").hit_ratio
    assert predicted - exact > 0.25


def test_everything_is_hit_when_everything_fits():
    t_c, hits = che(np.array([1.0, 2.0]), np.array([10.0, 10.0]), 20.0)
    assert t_c == np.inf
    assert hits.tolist() == [1.0, 1.0]


def test_a_store_that_shrinks_with_load_can_have_two_stable_states():
    """Hits free room and room makes hits: a steep answer crosses three times, a flat one once."""
    steep = equilibria(lambda h: 1 / (1 + np.exp(-20 * (h - 0.5))))
    assert len(steep) == 3
    assert len(equilibria(lambda h: 0.4 + 0.2 * h)) == 1


def test_waits_shorter_than_the_ttl_keep_a_conversation_cached():
    assert think_hit_ratio(8.0, 0.8, 300.0) > 0.999
    assert think_hit_ratio(300.0, 0.8, 300.0) == pytest.approx(0.5)


def test_a_stampede_misses_once_for_each_request_that_starts_before_the_first_write():
    assert stampede_misses(40.0, 0.5) == 21


@pytest.mark.parametrize(
    ("hit_5m", "hit_1h", "choice"), [(0.1, 0.2, "none"), (0.5, 0.5, "5m"), (0.3, 0.99, "1h"), (0.999, 0.999, "5m")]
)
def test_the_cheapest_of_no_cache_five_minutes_and_an_hour_is_advised(hit_5m, hit_1h, choice):
    """Claude writes at 1.25 or 2 x input and reads at 0.1 x: five minutes pay from 21.7% hits, an hour from 52.6%."""
    sonnet = models()["claude-sonnet"]
    advice = cheapest_ttl(lambda ttl_s: hit_5m if ttl_s == 300 else hit_1h, sonnet.prices, ("5m", "1h"), 3000, 1024)
    assert advice.choice == choice


def test_below_the_minimum_nothing_is_cached():
    sonnet = models()["claude-sonnet"]
    assert cheapest_ttl(lambda ttl_s: 1.0, sonnet.prices, ("5m",), 900, 1024).choice == "none"
