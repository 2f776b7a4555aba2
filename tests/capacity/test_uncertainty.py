"""Draws, surfaces and moves."""

import numpy as np
import pytest

from capacity.cost.hours import billed_hours
from capacity.demand.forecast import drawn_demand, stream_demand, with_drawn_peaks
from capacity.fleet.outcome import BedrockSpend, Multipliers
from capacity.fleet.uncertainty import joint_draws
from capacity.simulator.surface import fit_surface
from tests.capacity.scenario_of import scenario


def test_a_surface_reproduces_a_law_of_its_own_form():
    surface = fit_surface(lambda p, a, h: 3.0 * p**-0.5 * a**-0.8 * np.exp(h - 1))
    ratio = surface.ratio(np.array([1.1]), np.array([0.9]), np.array([0.9]))
    assert ratio[0] == pytest.approx(1.1**-0.5 * 0.9**-0.8 * np.exp(-0.1))
    assert surface.loo_error < 1e-9


def test_a_surface_owns_up_to_what_it_cannot_follow():
    assert fit_surface(lambda p, a, h: 3.0 if p * a < 1.2 else 1.0).loo_error > 0.1


def test_a_surface_names_the_share_of_workloads_that_cannot_be_served():
    assert fit_surface(lambda p, a, h: 0.0 if p > 1.2 else 1.0).impossible == pytest.approx(1 / 3)


def test_joint_draws_have_the_stated_range():
    event = scenario(demand__interactions__peak_per_s={"low": 5, "mid": 10, "high": 40})
    drawn = drawn_demand(event, "interactions", event.demand.interactions, 20_000, 1)
    draws = joint_draws({"interactions": drawn}, 20_000, 0.3, 1)
    assert np.allclose(draws.peak["interactions", "us-east-1"], draws.demand["interactions"], rtol=0.05)
    assert np.quantile(draws.demand["interactions"], [0.05, 0.95]) == pytest.approx([0.5, 4.0], rel=0.05)
    assert np.quantile(draws.turns, [0.05, 0.95]) == pytest.approx([1 / 1.3, 1.3], rel=0.02)


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


def test_capacity_blocks_are_charged_in_whole_days_and_on_demand_by_the_second():
    assert billed_hours("capacity block", 26 * 3600) == 48
    assert billed_hours("capacity block", 24 * 3600) == 24
    assert billed_hours("on demand", 90 * 60) == 1.5
    assert billed_hours("on demand", 5) == 60 / 3600
