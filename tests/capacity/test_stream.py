"""Traffic fed in blocks gives the times of one piece, and its sketches are small, mergeable and true to 1%."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capacity.simulator import engine
from capacity.simulator.rate_at_slo import latencies
from capacity.simulator.requests import Requests, ServiceError, requests
from capacity.stream import Block, simulate_blocks
from capacity.windows import BUCKETS, METRICS, Windows, bucket_middle, bucket_of
from tests.capacity.models import step_model
from tests.capacity.test_engine import random_model, random_work


def cut(work, sizes, candidates=None):
    """The same requests as blocks of these sizes."""
    start = 0
    for size in sizes:
        rows = slice(start, start + size)
        part = Requests(*(getattr(work, name)[rows] for name in Requests.__dataclass_fields__))
        yield Block(part, None if candidates is None else candidates[rows])
        start += size


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.integers(1, 60),
    speculation=st.booleans(),
    preempts=st.booleans(),
    kv_tokens=st.sampled_from([1100, 100_000]),
    replicas=st.sampled_from([1, 4]),
    signal_period_s=st.sampled_from([0.0, 0.5]),
    warm=st.booleans(),
)
def test_blocks_give_the_times_of_one_piece(
    seed, size, speculation, preempts, kv_tokens, replicas, signal_period_s, warm
):
    rng = np.random.default_rng(seed)
    rate_per_s = float(np.exp(rng.uniform(0, 5)))
    begun_ratio = 0.3 if warm else 0.0
    work = random_work(rng, 120, rate_per_s, speculation=speculation, home_only=warm, begun_ratio=begun_ratio)
    model = random_model(rng, buckets=True, kv_tokens=kv_tokens)
    candidates = rng.integers(0, replicas, (120, 2))
    options = {"replicas": replicas, "signal_period_s": signal_period_s, "preempts": preempts, "slack": 1.0}
    whole = engine.simulate(work, model, candidates=candidates, **options)
    got = []
    sizes = [size] * (120 // size) + [120 % size]
    found = simulate_blocks(
        cut(work, sizes, candidates), model, decode_steps_max=int(work.decode_steps.max()), sink=got.append, **options
    )
    arrival_s = np.concatenate([done.arrival_s for done in got])
    order = np.argsort(arrival_s, kind="stable")
    assert arrival_s[order].tolist() == work.arrival_s.tolist()
    assert np.array_equal(np.concatenate([done.first_s for done in got])[order], whole.first_s, equal_nan=True)
    assert np.concatenate([done.end_s for done in got])[order].tolist() == whole.end_s.tolist()
    assert found.n.sum() == 120


def served(n=4_000, rate_per_s=20.0):
    model = step_model(0.01, 1e-4, c=2e-4, max_num_seqs=32)
    rng = np.random.default_rng(5)
    work = requests(np.cumsum(rng.exponential(1 / rate_per_s, n)), rng.integers(50, 400, n), rng.integers(1, 60, n))
    return work, model


@pytest.mark.parametrize("q", [0.5, 0.9, 0.99])
def test_a_quantile_of_a_sketch_is_within_one_per_cent(q):
    work, model = served()
    found = simulate_blocks(cut(work, [1_000] * 4), model, decode_steps_max=60, window_s=30.0)
    seen = latencies(work, engine.simulate(work, model), model)
    for metric in METRICS:
        exact = np.quantile(getattr(seen, metric), q, method="inverted_cdf")
        assert found.quantile(metric, q) == pytest.approx(exact, rel=0.0101)
    inside = (work.arrival_s >= 60) & (work.arrival_s < 90)
    exact = np.quantile(seen.ttft_s[inside], q, method="inverted_cdf")
    assert found.quantile("ttft_s", q, window=2) == pytest.approx(exact, rel=0.0101)


def test_sketches_merge_by_addition_whatever_the_order():
    rng = np.random.default_rng(1)
    parts = [Windows(10.0) for _ in range(3)]
    whole = Windows(10.0)
    for part in parts:
        at_s, values = rng.uniform(0, 100, 500), rng.lognormal(size=500)
        for sketch in (part, whole):
            sketch.add(at_s, values, values / 10, values * 2)
    for order in ((0, 1, 2), (2, 0, 1)):
        merged = Windows(10.0)
        for place in order:
            merged.merge(parts[place])
        assert (merged.counts == whole.counts).all()
        assert (merged.n == whole.n).all()


def test_windows_of_another_length_are_not_merged():
    with pytest.raises(ValueError, match="cannot be merged"):
        Windows(10.0).merge(Windows(20.0))


def test_a_sketch_is_as_large_for_many_requests_as_for_few():
    """Its size is windows x metrics x buckets, for 100 or 100,000 requests of the same hour."""
    sizes = []
    for n in (100, 100_000):
        sketch = Windows(60.0)
        at_s = np.linspace(0, 3_599, n)
        sketch.add(at_s, np.full(n, 0.5), np.full(n, 0.05), np.full(n, 5.0))
        sizes.append(sketch.counts.nbytes)
    assert sizes == [60 * len(METRICS) * BUCKETS * 8] * 2


@given(st.floats(1e-4, 1e4))
def test_no_value_is_further_than_one_per_cent_from_its_bucket(value):
    assert bucket_middle(int(bucket_of(np.array([value]))[0])) == pytest.approx(value, rel=0.0101)


def test_nothing_counted_has_no_quantile():
    assert np.isnan(Windows(1.0).quantile("ttft_s", 0.5))


def test_blocks_out_of_order_and_answers_longer_than_stated_are_refused():
    work, model = served(200)
    blocks = list(cut(work, [100, 100]))
    with pytest.raises(ServiceError, match="blocks follow each other"):
        simulate_blocks(blocks[::-1], model, decode_steps_max=60)
    with pytest.raises(ServiceError, match="none longer than 5"):
        simulate_blocks(blocks, model, decode_steps_max=5)


def fed(n, size=2_000, rate_per_s=20.0):
    """Blocks drawn one at a time, so that no more than one of them is held."""
    rng = np.random.default_rng(5)
    begun_s = 0.0
    for _ in range(n // size):
        arrival_s = begun_s + np.cumsum(rng.exponential(1 / rate_per_s, size))
        begun_s = float(arrival_s[-1])
        yield Block(requests(arrival_s, rng.integers(50, 400, size), rng.integers(1, 60, size)))


def test_a_long_day_takes_no_more_memory_than_a_short_one():
    """Ten times the requests through the same block size: the highest point of what Python holds stays."""
    model = step_model(0.01, 1e-4, c=2e-4, max_num_seqs=32)
    simulate_blocks(fed(2_000), model, decode_steps_max=60, window_s=1e6)  # compiled and imported before it is measured
    highest = []
    for n in (10_000, 100_000):
        tracemalloc.start()
        simulate_blocks(fed(n), model, decode_steps_max=60, window_s=1e6)
        highest.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert highest[1] < 1.1 * highest[0]
