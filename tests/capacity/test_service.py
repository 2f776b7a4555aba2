"""The rate a replica keeps its promise at."""

import numpy as np
import pytest

from capacity.simulator import engine
from capacity.simulator import reference as oracle
from capacity.simulator.rate_at_slo import (
    Lengths,
    Promise,
    at_rate,
    drawn_work,
    latencies,
    pooled_rate,
    rate_at_promise,
    throughput_bound_per_s,
)
from capacity.simulator.requests import ServiceError
from tests.capacity.models import llama_8b, step_model


def lengths(prompt=800, answer=120, cached=0):
    return Lengths(np.array([prompt]), np.array([answer]), np.array([cached]))


def rate(promise, model=None, sample=None, **options):
    options = {"n": 1_500, "seed": 1} | options
    return rate_at_promise(sample or lengths(), model or llama_8b(), promise, **options).rate_per_s


def test_the_promise_holds_at_the_rate_and_breaks_above_it():
    promise, model = Promise(1.0, 0.05), llama_8b()
    found = rate_at_promise(lengths(), model, promise, n=3_000, seed=1)
    work = drawn_work(lengths(), 3_000, 1)
    above = latencies(w := at_rate(work, found.rate_per_s * 1.05), engine.simulate(w, model), model).p99s()
    assert found.p99s.ttft_s <= 1.0
    assert found.p99s.tpot_s <= 0.05
    assert above.ttft_s > 1.0 or above.tpot_s > 0.05


def test_no_rate_passes_the_throughput_bound():
    work = drawn_work(lengths(), 2_000, 1)
    assert rate(Promise(1e6, 1e6)) <= throughput_bound_per_s(work, llama_8b()) * 1.02


@pytest.mark.parametrize("name", ["ttft", "tpot"])
def test_a_tighter_promise_never_raises_the_rate(name):
    loose, tight = (2.0, 0.06), (0.8, 0.045)
    first = rate(Promise(*loose))
    second = rate(Promise(tight[0] if name == "ttft" else loose[0], tight[1] if name == "tpot" else loose[1]))
    assert second <= first * 1.02


def test_longer_prompts_never_raise_the_rate_and_prefix_hits_never_lower_it():
    promise = Promise(1.0, 0.06)
    assert rate(promise, sample=lengths(1_600)) < rate(promise)
    assert rate(promise, sample=lengths(cached=600)) > rate(promise)


def test_oracle_and_engine_give_the_same_rate():
    promise = Promise(1.0, 0.06)
    assert rate(promise, n=200) == pytest.approx(rate(promise, n=200, simulator=oracle.simulate), rel=1e-9)


def test_a_promise_one_call_alone_breaks_has_no_rate_and_says_so():
    found = rate_at_promise(lengths(), llama_8b(), Promise(0.01, 1.0), n=200, seed=1)
    assert found.rate_per_s == 0
    assert "is broken by one call alone" in found.binding


def test_a_whole_answer_may_be_promised():
    promise = Promise(10.0, 10.0, e2e_s_p99=4.0)
    assert 0 < rate(promise) < rate(Promise(10.0, 10.0))


def test_a_step_model_without_time_is_refused():
    with pytest.raises(ServiceError, match="steps take no time"):
        rate(Promise(1.0, 1.0), model=step_model(a=0.0))


def test_routing_by_load_serves_more_than_chance_and_a_doubled_pool_hardly_more():
    promise, sizes = Promise(1.0, 0.05), {"replicas": 8, "n": 800, "seed": 1}
    chance = pooled_rate(lengths(), llama_8b(), promise, choices=1, **sizes)
    two = pooled_rate(lengths(), llama_8b(), promise, choices=2, **sizes)
    assert two.rate_per_s > chance.rate_per_s * 1.02
    assert two.bias_ratio < 0.1
    assert chance.rate_per_s == pytest.approx(rate(promise, n=6_400), rel=0.1)


def test_a_change_of_time_unit_changes_no_ratio():
    """All times a thousand times longer: the rate is a thousand times lower."""
    slow = llama_8b(a=24.0, b=0.25, c=0.4)
    assert rate(Promise(1_000.0, 50.0), model=slow) * 1_000 == pytest.approx(rate(Promise(1.0, 0.05)), rel=1e-6)
