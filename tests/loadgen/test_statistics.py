"""Histograms and quantiles: exact where they say so, merged without loss, honest about what was not waited for."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.coordinator.snapshots import Snapshots
from slo.quantiles import censored_values, quantile


def test_snapshots_may_be_lost_repeated_or_late():
    """Only the newest of a worker counts, whatever the order of arrival."""
    snapshots = Snapshots()
    for worker, sequence, asked in [(0, 1, 5), (0, 3, 9), (0, 2, 7), (0, 3, 9), (1, 1, 4)]:
        snapshots.accept({"worker": worker, "seq": sequence, "counters": {"asked": asked}, "histograms": {}})
    assert snapshots.counters() == {"asked": 13}


@given(values=st.lists(st.floats(0, 100), min_size=1, max_size=200), share=st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_without_censoring_a_quantile_is_the_order_statistic(values, share):
    """No interpolation, no model."""
    found = quantile(np.array(values), np.zeros(len(values), bool), share)
    assert found.value == np.sort(values)[int(np.ceil(round(share * len(values), 9))) - 1]
    assert found.lo <= found.value <= found.hi
    assert not found.censored


def test_the_interval_covers_the_truth_as_often_as_it_says():
    """The 95% interval of a p90 holds the true value in about 95% of runs."""
    draws = np.random.default_rng(1)
    true = -np.log(0.1)
    covered = 0
    for _ in range(400):
        found = quantile(draws.exponential(size=400), np.zeros(400, bool), 0.9)
        covered += found.lo <= true <= found.hi
    assert 0.91 <= covered / 400 <= 0.99


def test_impatience_does_not_improve_a_quantile():
    """Customers who leave hide the slow answers; the estimate still finds them, or says it is a lower bound."""
    draws = np.random.default_rng(2)
    latency, patience = draws.exponential(10.0, 4_000), draws.exponential(12.0, 4_000)
    gone = patience < latency
    naive = np.quantile(latency[~gone], 0.9)
    found = quantile(np.minimum(latency, patience), gone, 0.9)
    true = np.quantile(latency, 0.9)
    assert naive < 0.8 * true
    assert found.lo <= true <= found.hi


@pytest.mark.parametrize(
    ("share", "expected"), [(0.5, (4.0, 2.0, 6.0)), (0.78, (6.0, 4.0, 6.0)), (1 / 3, (2.0, 1.0, 5.0))]
)
def test_a_censored_quantile_and_its_interval_are_those_of_kaplan_meier_and_greenwood(share, expected):
    """By hand: 1 2 3+ 4 5 6 are reached at 1/6 1/3 1/3 5/9 7/9 1; the terms of the variance 1/30 1/20 - 1/6 1/2."""
    found = quantile(np.arange(1.0, 7.0), np.arange(6) == 2, share)
    assert (found.value, found.lo, found.hi) == expected


def test_an_answer_counts_as_it_is_and_who_waited_in_vain_as_longer_than_that():
    turns = pd.DataFrame(
        {
            "status": ["ok", "abandoned", "abandoned", "http_error", "dropped"],
            "ttft_s": [0.5, None, 0.7, None, None],
            "e2e_s": [3.0, 2.0, 2.5, None, None],
        }
    )
    values, gone, counts = censored_values(turns, "ttft_s")
    assert values.tolist() == [0.5, 2.0, 0.7]
    assert gone.tolist() == [False, True, False]
    assert counts.tolist() == [True, True, True, False, False]
    values, gone, counts = censored_values(turns, "e2e_s")
    assert values.tolist() == [3.0, 2.0, 2.5]
    assert gone.tolist() == [False, True, True]


def test_a_quantile_beyond_every_answer_is_a_lower_bound():
    """When most turns were given up, p99 prints as `>=` the longest wait."""
    values = np.array([1.0, 2.0, 5.0, 5.0, 5.0])
    found = quantile(values, np.array([False, False, True, True, True]), 0.99)
    assert (found.value, found.censored, found.n, found.n_tail) == (5.0, True, 5, 3)


def test_nothing_measured_is_unknown():
    """No sample, no value."""
    found = quantile(np.zeros(0), np.zeros(0, bool), 0.5)
    assert (found.value, found.lo, found.hi, found.n, found.n_tail) == (None, None, None, 0, 0)


@pytest.mark.parametrize("share", [0.5, 0.99])
def test_the_tail_is_counted(share):
    """n_tail is how many samples lie at or above the value."""
    found = quantile(np.arange(1.0, 1001.0), np.zeros(1000, bool), share)
    assert found.n_tail == 1000 - int(found.value) + 1
