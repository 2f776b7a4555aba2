"""The rate at which a replica still meets its SLOs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from capacity.simulator import engine
from capacity.simulator.rate_at_slo import (
    Lengths,
    at_rate,
    drawn_work,
    latencies,
    quantile,
    rate_at_slo,
    throughput_bound_per_s,
)
from capacity.simulator.requests import ServiceError
from slo.slo import Slo, parse_slo
from tests.capacity import simulator_oracle as oracle
from tests.capacity.models import llama_8b, step_model


def lengths(prompt=800, answer=120, cached=0):
    return Lengths(np.array([prompt]), np.array([answer]), np.array([cached]))


def slos(ttft_s, tpot_s):
    return (Slo("ttft_s", 0.99, ttft_s), Slo("tpot_s", 0.99, tpot_s))


def rate(limits, model=None, sample=None, **options):
    options = {"n": 1_500, "seed": 1} | options
    return rate_at_slo(sample or lengths(), model or llama_8b(), limits, **options).rate_per_s


def test_the_slos_are_met_at_the_rate_and_missed_above_it():
    limits, model = slos(1.0, 0.05), llama_8b()
    result = rate_at_slo(lengths(), model, limits, n=3_000, seed=1)
    work = drawn_work(lengths(), 3_000, 1)
    above = latencies(w := at_rate(work, result.rate_per_s * 1.05), engine.simulate(w, model), model).p99s()
    assert result.p99s.ttft_s <= 1.0
    assert result.p99s.tpot_s <= 0.05
    assert above.ttft_s > 1.0 or above.tpot_s > 0.05


def test_no_rate_passes_the_throughput_bound():
    work = drawn_work(lengths(), 2_000, 1)
    assert rate(slos(1e6, 1e6)) <= throughput_bound_per_s(work, llama_8b()) * 1.02


def padded(a=(0.02, 0.04), sizes=((0, 32), (512, 32)), **other):
    """An engine with one graph to decode and one to prefill."""
    graphs = [(a_i, tokens, seqs) for a_i, (tokens, seqs) in zip(a, sizes, strict=True)]
    return step_model(buckets=graphs, **{"max_num_seqs": 32, "max_batched_tokens": 512} | other)


def test_prompts_fill_the_graphs_of_an_engine_that_pads_before_any_limit():
    """1,024 prompt tokens are two graphs of 512, 40 ms each; 32 others decode in those, and 10 steps need no more."""
    work = drawn_work(lengths(prompt=1_024, answer=11), 500, 1)
    assert throughput_bound_per_s(work, padded()) == pytest.approx(1 / 0.08, rel=0.01)
    assert 0.5 / 0.08 < rate(slos(1e6, 1e6), padded(), lengths(1_024, answer=11)) <= 1.02 / 0.08


def test_decodes_fill_the_graphs_of_an_engine_that_pads():
    """640 steps, 32 at once in a graph of 32: 20 graphs of 20 ms a call; its prompt rides in one of the 40 ms."""
    work = drawn_work(lengths(prompt=512, answer=641), 500, 1)
    assert throughput_bound_per_s(work, padded()) == pytest.approx(1 / (19 * 0.02 + 0.04), rel=0.01)
    smaller = padded(sizes=((0, 16), (512, 16)))
    assert throughput_bound_per_s(work, smaller) == pytest.approx(1 / (39 * 0.02 + 0.04), rel=0.01)


def test_a_single_graph_that_never_fills_is_bound_like_an_engine_that_does_not_pad():
    work = drawn_work(lengths(prompt=10, answer=100), 500, 1)
    plain = step_model(a=0.02, max_num_seqs=32)
    assert throughput_bound_per_s(work, padded((0.02,), ((8192, 256),), max_batched_tokens=8192)) == pytest.approx(
        throughput_bound_per_s(work, plain)
    )


@pytest.mark.parametrize("name", ["ttft", "tpot"])
def test_a_tighter_slo_never_raises_the_rate(name):
    loose, tight = (2.0, 0.06), (0.8, 0.045)
    first = rate(slos(*loose))
    second = rate(slos(tight[0] if name == "ttft" else loose[0], tight[1] if name == "tpot" else loose[1]))
    assert second <= first * 1.02


def test_longer_prompts_never_raise_the_rate_and_prefix_hits_never_lower_it():
    limits = slos(1.0, 0.06)
    assert rate(limits, sample=lengths(1_600)) < rate(limits)
    assert rate(limits, sample=lengths(cached=600)) > rate(limits)


def test_reference_and_engine_give_the_same_rate():
    limits = slos(1.0, 0.06)
    assert rate(limits, n=200) == pytest.approx(rate(limits, n=200, simulator=oracle.simulate), rel=1e-9)


def test_an_slo_one_call_alone_misses_has_no_rate_and_says_so():
    result = rate_at_slo(lengths(), llama_8b(), slos(0.01, 1.0), n=200, seed=1)
    assert result.rate_per_s == 0
    assert "is missed by one call alone" in result.binding


def test_a_whole_answer_may_have_an_slo():
    limits = (*slos(10.0, 10.0), Slo("e2e_s", 0.99, 4.0))
    assert 0 < rate(limits) < rate(slos(10.0, 10.0))


def test_an_slo_of_another_percentile_is_taken_as_written():
    """A p50 is met where a p99 of the same limit is not, and a ratio is refused."""
    middle = (Slo("ttft_s", 0.5, 1.0),)
    assert rate(middle) > rate((Slo("ttft_s", 0.99, 1.0),))
    with pytest.raises(ServiceError, match=r"error_ratio <= 0\.01: a replica is sized by upper limits"):
        rate((parse_slo("error_ratio <= 0.01"),))


def test_a_step_model_without_time_is_refused():
    with pytest.raises(ServiceError, match="steps take no time"):
        rate(slos(1.0, 1.0), model=step_model(a=0.0))


def test_a_change_of_time_unit_changes_no_ratio():
    """All times a thousand times longer: the rate is a thousand times lower."""
    slow = llama_8b(a=24.0, b=0.25, c=0.4)
    assert rate(slos(1_000.0, 50.0), model=slow) * 1_000 == pytest.approx(rate(slos(1.0, 0.05)), rel=1e-6)


@given(
    arrays(np.float64, st.integers(1, 60), elements=st.floats(0, 1e6)),
    st.one_of(st.sampled_from([0.5, 0.9, 0.95, 0.99]), st.floats(0, 1)),
)
def test_a_quantile_is_numpys_to_the_last_bit(values, share):
    assert quantile(values, share) == float(np.quantile(values, share))
