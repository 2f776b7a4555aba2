"""One probability: what is bought carries the stated share of the joint draws, of other seeds too."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capacity.fleet.service_level import draws_needed, joint_level, order_statistic, short_of


def needs_of(seed, n=1_000, parts=4):
    """Needs that share a demand and differ by errors of their own."""
    rng = np.random.default_rng(seed)
    demand = np.exp(rng.normal(0, 0.8, n))
    return [demand * np.exp(rng.normal(0, 0.3, n)) * (1 + part) for part in range(parts)]


def carried(needs, bought):
    return np.all([need <= most for need, most in zip(needs, bought, strict=True)], axis=0)


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9, 0.95])
def test_what_is_bought_carries_the_level_in_fresh_draws(level):
    """Over 40 seeds: at least the level in 20,000 fresh draws in all but the 5% that the bound allows, and two more."""
    fresh = needs_of(10_000, 20_000)
    below = 0
    for seed in range(40):
        needs = needs_of(seed)
        joint = joint_level(needs, level)
        below += carried(fresh, [joint.of(need) for need in needs]).mean() < level
    assert below <= 0.05 * 40 + 2


@settings(max_examples=200)
@given(level=st.floats(0.05, 0.98), more=st.floats(0, 0.015), seed=st.integers(0, 50))
def test_a_higher_level_never_buys_less(level, more, seed):
    needs = needs_of(seed, 200)
    low, high = joint_level(needs, level), joint_level(needs, level + more)
    assert all(low.of(need) <= high.of(need) for need in needs)


@settings(max_examples=200)
@given(level=st.floats(0.05, 0.98), seed=st.integers(0, 50), parts=st.integers(1, 6))
def test_nothing_falls_short_in_the_draws_that_are_called_carried(level, seed, parts):
    needs = needs_of(seed, 150, parts)
    joint = joint_level(needs, level)
    held = carried(needs, [joint.of(need) for need in needs])
    assert (held == joint.carried).all()
    assert held.mean() >= level


def test_draws_that_nothing_can_serve_keep_the_level_out_of_reach():
    need = np.concatenate([np.full(80, 1.0), np.full(20, np.inf)])
    joint = joint_level([need], 0.9)
    assert (joint.reached, joint.of(need), joint.carried.mean()) == (False, 1.0, 0.8)


def test_a_bound_asks_for_more_draws_than_the_level_alone():
    """Of 1,000 draws 916, so that 95 of 100 other samples are carried at 0.9 (Wilks)."""
    assert draws_needed(1_000, 0.9) == 916
    assert order_statistic(np.arange(1, 1_001), 0.9) == 916


def test_a_probability_of_falling_short_has_its_interval():
    short = short_of(np.arange(1_000) >= 100)
    assert (short.value, short.n) == (0.1, 1_000)
    assert short.low == pytest.approx(0.0847, abs=0.001)
    assert short.high == pytest.approx(0.1170, abs=0.001)
    assert short_of(np.ones(10, dtype=bool)).low == 0.0
