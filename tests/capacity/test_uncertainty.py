"""Draws, surfaces and moves."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capacity.demand.forecast import drawn_demand, stream_demand, with_drawn_peaks
from capacity.fleet.outcome import BedrockSpend, Multipliers
from capacity.fleet.uncertainty import Unknowns, hits_over, joint_draws
from capacity.simulator.surface import design, simulate_surface
from tests.capacity.scenario_of import scenario

AXES = design(0.16, np.exp(np.random.default_rng(1).normal(0, 0.1, 1_000)))
UNKNOWN = Unknowns(0.3, 3.0, 0.85, 2.0, 0.75, 0.2, ("nova-pro",))


def test_a_surface_reproduces_a_law_that_is_linear_in_its_logarithms():
    surface = simulate_surface(lambda p, a, h: 3.0 * p**-0.5 * a**-0.8 * np.exp(h - 1), AXES)
    ratio = surface.ratio(np.array([1.1]), np.array([0.9]), np.array([0.9]))
    assert ratio[0] == pytest.approx(1.1**-0.5 * 0.9**-0.8 * np.exp(-0.1))
    assert surface.error < 1e-9


def test_a_surface_is_one_at_its_base_and_states_what_interpolating_leaves():
    surface = simulate_surface(lambda p, a, h: 3.0 * np.exp(-((np.log(p) * 3) ** 2)), AXES)
    assert surface.ratio(np.ones(1), np.ones(1), np.ones(1))[0] == pytest.approx(1.0)
    assert surface.error > 0.01


@given(prompt=st.floats(0.2, 5), answer=st.floats(0.2, 5), hits=st.floats(0.1, 2))
def test_a_surface_never_leaves_the_rates_that_were_simulated(prompt, answer, hits):
    surface = simulate_surface(lambda p, a, h: p**-0.7 * a**-0.4 * h**0.5, AXES)
    low, high = np.exp(surface.logs.min()), np.exp(surface.logs.max())
    assert low - 1e-12 <= surface.ratio(np.array([prompt]), np.array([answer]), np.array([hits]))[0] <= high + 1e-12


def test_the_share_of_draws_beyond_the_design_is_counted():
    surface = simulate_surface(lambda p, a, h: p**-1.0, AXES)
    assert surface.beyond(np.array([1.0, 1.1, 9.0, 0.1]), np.ones(4), np.ones(4)) == 0.5


def test_a_surface_names_the_share_of_workloads_that_cannot_be_served():
    surface = simulate_surface(lambda p, a, h: 0.0 if p > 1.3 else 1.0, AXES)
    assert surface.impossible == pytest.approx(2 / 7)


def drawn_of(peak):
    event = scenario(demand__interactions__peak_per_s=peak)
    drawn = drawn_demand(event, "interactions", event.demand.interactions, 20_000, 1)
    return joint_draws({"interactions": drawn}, 20_000, UNKNOWN, 1)


def test_joint_draws_have_the_stated_range():
    draws = drawn_of({"low": 5, "mid": 10, "high": 40})
    assert np.allclose(draws.peak["interactions", "us-east-1"], draws.demand["interactions"], rtol=0.05)
    assert np.quantile(draws.demand["interactions"], [0.05, 0.95]) == pytest.approx([0.5, 4.0], rel=0.05)
    assert np.quantile(draws.turns, [0.05, 0.95]) == pytest.approx([1 / 1.3, 1.3], rel=0.02)


def test_every_middle_is_central():
    """Half of the draws lie to either side of what is planned with, of every input."""
    draws = drawn_of(10)
    ratios = [draws.turns, draws.input_tokens, draws.output_tokens, draws.cache_hits, draws.prefix_hits]
    for values in [*ratios, draws.routes["nova-pro"]]:
        assert np.mean(values < 1) == pytest.approx(0.5, abs=0.02)
    for errors in (draws.step_error, draws.surface_error):
        assert np.mean(errors < 0) == pytest.approx(0.5, abs=0.02)


@given(planned=st.floats(0, 1), misses=st.floats(0.01, 10))
def test_hits_stay_shares_and_fall_as_misses_grow(planned, misses):
    fewer, more = hits_over(planned, np.array([misses, misses + 0.5])) * planned
    assert 0 <= more <= fewer <= 1 + 1e-12


def test_noise_of_whole_paths_raises_the_peak_that_capacity_must_meet():
    noise = {"shape_cv": 0.3, "shape_correlation_s": 600}
    event = scenario(demand__interactions__noise=noise, demand__interactions__peak_per_s=20)
    stream = event.demand.interactions
    calm = stream_demand(event, "interactions", stream)
    drawn = drawn_demand(event, "interactions", stream, 400, 1)
    noisy = with_drawn_peaks(calm, drawn, stream)["us-east-1"].timeline.peak_interactions_per_s
    assert calm["us-east-1"].timeline.peak_interactions_per_s.p50 == 12.0
    assert 12.0 * 1.2 < noisy.p50 < noisy.p90 < noisy.p95


def test_a_lost_cache_hit_is_paid_as_a_write():
    spend = BedrockSpend(input=1.0, cache_read=2.0, cache_write=3.0, output=4.0, rewrite=20.0)
    assert spend.over(Multipliers())[0] == 10.0
    assert spend.over(Multipliers(cache_hits=np.array([0.5])))[0] == 1 + 3 + 4 + 0.5 * 2 + 0.5 * 20


def test_a_hit_more_is_a_write_less_and_never_less_than_none():
    spend = BedrockSpend(cache_read=10.0, cache_write=3.0, rewrite=20.0)
    assert spend.over(Multipliers(cache_hits=np.array([1.1])))[0] == pytest.approx(11 + 3 - 2)
    assert spend.over(Multipliers(cache_hits=np.array([1.5])))[0] == pytest.approx(15)
