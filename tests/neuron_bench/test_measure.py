"""Statistics of raw samples."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuron_bench.trace.measure import calibrated_cv, contended, drift_ratio, median_interval, summary
from neuron_bench.trace.messages import Turn

times = st.lists(st.floats(1e-4, 1.0), min_size=3, max_size=20)


def turn(wall: list[float], cpu: list[float] | None = None, calibration_s: float = 1e-3) -> Turn:
    return Turn(calibration_s, tuple(wall), tuple(cpu or wall))


QUIET = [turn([0.010, 0.011, 0.010])] * 6


@given(turns=st.lists(times, min_size=3, max_size=6))
def test_quantiles_are_ordered_and_the_interval_holds_the_median_of_its_turns(turns: list[list[float]]) -> None:
    """Minimum to p99 never falls, and counts are counts."""
    found = summary([turn(wall) for wall in turns], device_kind="cpu", seed=1)
    order = [getattr(found, f"wall_s_{name}") for name in ("min", "p50", "p90", "p95", "p99")]
    assert order == sorted(order)
    assert found.wall_s_p50_lo <= found.wall_s_p50_hi
    assert found.n_samples == sum(map(len, turns))


def test_the_interval_covers_the_true_median_about_nine_times_in_ten() -> None:
    """Over 200 synthetic benches with turns that differ; a binomial 99.9% band around 90% of few turns."""
    hits = 0
    for seed in range(200):
        draw = np.random.default_rng(seed)
        turns = [draw.normal(1.0 + draw.normal(0, 0.05), 0.02, size=40) for _ in range(20)]
        low, high = median_interval(turns, seed=seed, resamples=200)
        hits += low <= 1.0 <= high
    assert 0.80 <= hits / 200 <= 0.97


def test_a_quiet_case_is_not_contended() -> None:
    """Wall equals CPU, and the calibration keeps its speed."""
    assert not contended(QUIET, on_cpu=True)


def test_waiting_is_contention_on_a_cpu_only() -> None:
    """Wall far above CPU time: another process ran. On an accelerator the host always waits."""
    waiting = [turn([0.020] * 5, [0.010] * 5)] * 3
    assert contended(waiting, on_cpu=True)
    assert not contended(waiting, on_cpu=False)


def test_a_change_of_speed_is_contention() -> None:
    """The calibration product took 30% longer in one turn."""
    assert contended([*QUIET, turn([0.010] * 3, calibration_s=1.3e-3)], on_cpu=False)


def test_clock_speed_cancels_in_the_calibrated_spread() -> None:
    """Twice as slow everywhere: the same work in units of the calibration."""
    slow = turn([0.020, 0.022, 0.020], calibration_s=2e-3)
    assert calibrated_cv([QUIET[0], slow]) == pytest.approx(0)


def test_drift_compares_the_last_third_with_the_first() -> None:
    """10% slower at the end is a drift of 0.1."""
    assert drift_ratio([turn([1.0] * 3)] * 2 + [turn([1.05] * 3)] * 2 + [turn([1.1] * 3)] * 2) == pytest.approx(0.1)
