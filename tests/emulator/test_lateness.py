"""How late the emulator was: the histograms, and the rule that voids a run."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.lateness import Lateness, Waits
from slo.histogram import RELATIVE_WIDTH


@given(st.lists(st.floats(1e-5, 100.0), min_size=1, max_size=200), st.sampled_from([0.5, 0.9, 0.99]))
def test_a_quantile_is_at_most_one_bin_above_the_truth(values, share):
    """Never below the order statistic, and at most 0.8% above it."""
    histogram = Waits()
    for value in values:
        histogram.add(value)
    truth = float(np.quantile(values, share, method="inverted_cdf"))
    assert truth * (1 - 1e-9) <= histogram.quantile_s(share) <= truth * (1 + RELATIVE_WIDTH) * (1 + 1e-9)


@given(st.lists(st.floats(-1.0, 100.0), min_size=1, max_size=200))
def test_counting_many_at_once_is_counting_each(values):
    """The fast way and the plain way fill the same bins."""
    one, many = Waits(), Waits()
    for value in values:
        one.add(value)
    many.add_many(values)
    assert one.histogram.counts.tolist() == many.histogram.counts.tolist()
    assert (one.n, one.max_s) == (many.n, pytest.approx(many.max_s))
    assert one.total_s == pytest.approx(many.total_s)


def test_an_exported_histogram_is_cumulative():
    """Prometheus buckets count everything at or below their edge."""
    histogram = Waits()
    for value in (0.0004, 0.004, 0.04, 4.0):
        histogram.add(value)
    rows = dict(histogram.cumulative())
    assert (rows[0.0005], rows[0.005], rows[0.05], rows[10.0]) == (1, 2, 3, 4)


@pytest.mark.parametrize(
    ("first_s", "token_s", "ttft_s", "gap_s", "late"),
    [
        (0.004, 0.004, 0.4, 0.01, False),
        (0.015, 0.001, 0.4, 0.01, False),  # 5% of 0.4 s is 20 ms
        (0.025, 0.001, 0.4, 0.01, True),
        (0.001, 0.006, 0.4, 0.01, True),  # 25% of 10 ms is under the floor of 5 ms
        (0.001, 0.006, 0.4, 0.04, False),  # 25% of 40 ms is 10 ms
    ],
)
def test_the_rule_that_voids_a_run(first_s, token_s, ttft_s, gap_s, late):
    """First-token p99 > max(5 ms, 5% of TTFT p50), or token p99 > max(5 ms, 25% of the gap)."""
    lateness = Lateness()
    for _ in range(100):
        lateness.first.add(first_s)
        lateness.ttft.add(ttft_s)
        lateness.token_late_s.append(token_s)
        lateness.gap.add(gap_s)
    assert lateness.as_json()["late"] is late


def test_a_reset_forgets_what_was_not_yet_counted():
    """Nothing measured before counts after; whoever appends keeps its list."""
    lateness = Lateness()
    appending = lateness.token_late_s
    appending.append(1.0)
    lateness.reset()
    appending.append(0.001)
    assert lateness.token.n == 1
    assert not lateness.reasons()
