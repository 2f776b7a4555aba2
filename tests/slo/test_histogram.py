"""The one histogram: exact to a bin, merged without loss."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from slo.histogram import BINS, RELATIVE_WIDTH, UPPER_EDGES_S, Histogram, bins_of

SECONDS = st.lists(st.floats(1e-5, 5_000), min_size=1, max_size=300)


def histogram(values) -> Histogram:
    made = Histogram()
    made.add(np.array(values, dtype=np.float64))
    return made


@given(values=SECONDS, share=st.sampled_from([0.5, 0.9, 0.99]))
def test_a_histogram_quantile_is_within_a_bin_of_the_order_statistic(values, share):
    """At most 0.8% above, never below."""
    true = np.sort(values)[max(1, int(np.ceil(round(share * len(values), 9)))) - 1]
    assert true <= histogram(values).quantile(share) <= true * (1 + RELATIVE_WIDTH) * (1 + 1e-12)


@given(values=SECONDS, workers=st.sampled_from([1, 2, 4]))
def test_merging_loses_nothing(values, workers):
    """The sum of the workers' histograms is the histogram of the union."""
    merged = Histogram()
    for worker in range(workers):
        merged.merge(histogram(values[worker::workers]))
    assert (merged.counts == histogram(values).counts).all()


@given(values=SECONDS)
def test_a_histogram_survives_json(values):
    """What is sent is what arrives."""
    made = histogram(values)
    assert (Histogram.from_json(made.to_json()).counts == made.counts).all()


def test_values_outside_the_range_are_kept_at_its_ends():
    """Zero, negative and huge values are counted, not lost."""
    assert histogram([0.0, -1.0, 1e9]).n == 3


@given(values=st.lists(st.floats(-1.0, 1e9), min_size=1, max_size=100), times=st.integers(1, 5))
def test_counting_one_by_one_is_counting_all_at_once(values, times):
    """The way without an array fills the same bins, also at the edges of bins and of the range."""
    single = Histogram()
    for value in values:
        single.add_one(value, times)
    assert (single.counts == times * histogram(values).counts).all()


def test_every_bin_ends_where_the_next_begins():
    assert (bins_of(UPPER_EDGES_S[:-1]) == np.arange(1, BINS)).all()
    assert (bins_of(np.nextafter(UPPER_EDGES_S, 0.0)) == np.arange(BINS)).all()


@given(values=SECONDS, edge_s=st.floats(1e-4, 1_000))
def test_a_cumulative_count_is_exact_to_a_bin(values, edge_s):
    (count,) = histogram(values).cumulative([edge_s])
    below = np.array(values)
    assert (below <= edge_s).sum() <= count <= (below <= edge_s * (1 + RELATIVE_WIDTH)).sum()
