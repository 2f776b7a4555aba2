"""Bounds of a share and of a mean, against the distributions they are named after."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import beta, sem, t

from slo.bounds import Batch, Bounds, batches_of, design_effect, mean_bounds, share_bounds
from slo.slo import Slo

BURSTY = [Batch(20, 100), Batch(0, 100), Batch(0, 100), Batch(0, 100), Batch(0, 100)]


def test_independent_turns_have_the_exact_bounds_of_clopper_and_pearson():
    bounds = share_bounds([Batch(4, 100)] * 5, 0.05)
    assert (bounds.ratio, bounds.design_effect, bounds.missed, bounds.turns) == (0.04, 1.0, 20, 500)
    assert bounds.lower == pytest.approx(beta.ppf(0.05, 20, 481))
    assert bounds.upper == pytest.approx(beta.ppf(0.95, 21, 480))


def test_bursts_have_the_bounds_of_so_many_fewer_turns():
    effect = design_effect(BURSTY)
    bounds = share_bounds(BURSTY, 0.05)
    assert bounds.lower == pytest.approx(beta.ppf(0.05, 20 / effect, 480 / effect + 1))
    assert bounds.upper == pytest.approx(beta.ppf(0.95, 20 / effect + 1, 480 / effect))
    assert (bounds.ratio, bounds.missed, bounds.turns) == (0.04, 20, 500)


@pytest.mark.parametrize(
    ("batches", "bounds"),
    [
        ([], Bounds(None, 0.0, 1.0, 1.0, 0, 0)),
        ([Batch(0, 0)], Bounds(None, 0.0, 1.0, 1.0, 0, 0)),
        ([Batch(0, 9)], Bounds(0.0, 0.0, 1 - 0.05 ** (1 / 9), 1.0, 0, 9)),
        ([Batch(9, 9)], Bounds(1.0, 0.05 ** (1 / 9), 1.0, 1.0, 9, 9)),
    ],
)
def test_no_turn_no_miss_and_nothing_but_misses_have_bounds_in_closed_form(batches, bounds):
    found = share_bounds(batches, 0.05)
    assert found.ratio == bounds.ratio
    assert vars_of(found) == pytest.approx(vars_of(bounds))


def vars_of(bounds):
    return [bounds.lower, bounds.upper, bounds.design_effect, bounds.missed, bounds.turns]


def test_a_turn_due_at_the_end_is_of_the_last_batch():
    turns = pd.DataFrame(
        {"status": "ok", "ttft_s": [0.5, 2.0, 2.0], "e2e_s": 3.0, "intended_start_s": [2.0, 9.9, 10.0]}
    )
    assert batches_of(turns, Slo("ttft_s", 0.95, 1.0), 2.0, 10.0, 4) == [Batch(0, 1), Batch(2, 2)]


@pytest.mark.parametrize("values", [(1.0, 2.0, 4.0), (3.0, 3.0), (-2.0, 7.5, 0.25, 11.0)])
@pytest.mark.parametrize("alpha", [0.05, 0.1])
def test_a_mean_has_students_bounds(values, alpha):
    mean, lower, upper = mean_bounds(values, alpha)
    half = t.ppf(1 - alpha, len(values) - 1) * sem(values)
    assert (mean, lower, upper) == pytest.approx((np.mean(values), np.mean(values) - half, np.mean(values) + half))


def test_a_single_value_bounds_nothing():
    assert mean_bounds([7.0], 0.05) == (7.0, -math.inf, math.inf)
