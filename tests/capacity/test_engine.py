"""The compiled engine gives what the oracle gives, request by request, with every feature on."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capacity.simulator import engine
from capacity.simulator.requests import Requests, requests
from tests.capacity import simulator_oracle as oracle
from tests.capacity.models import step_model


def random_work(
    rng: np.random.Generator,
    n: int,
    rate_per_s: float,
    *,
    speculation: bool,
    step_ratio: float = 1.0,
    home_only: bool = False,
    begun_ratio: float = 0.0,
) -> Requests:
    """Poisson arrivals, step_ratio times as fast in the second half; log-uniform lengths, prefix hits, drawn steps.

    home_only: a replica that is not the first choice has fewer of the prefixes. begun_ratio: share of requests that
    arrive in the middle of their answer.
    """
    prompt = np.exp(rng.uniform(0, np.log(900), n)).astype(int) + 1
    answer = np.exp(rng.uniform(0, np.log(120), n)).astype(int)
    answer = np.maximum(answer, 1)
    cached = np.where(rng.random(n) < 0.4, (rng.random(n) * prompt).astype(int), 0)
    steps = np.ceil((answer - 1) / rng.uniform(1, 3, n)).astype(int) if speculation else None
    gaps_s = rng.exponential(1 / rate_per_s, n) / np.where(np.arange(n) < n // 2, 1.0, step_ratio)
    away = (rng.random(n) * cached).astype(int) if home_only else None
    all_steps = answer - 1 if steps is None else steps
    begun = np.where(rng.random(n) < begun_ratio, rng.integers(0, all_steps + 1), 0)
    return requests(np.cumsum(gaps_s), prompt, answer, cached, steps, away_cached_tokens=away, begun_steps=begun)


def random_model(rng: np.random.Generator, *, buckets: bool, kv_tokens: int, block_tokens: int = 1):
    """All five coefficients, a small batch and small chunks, so that every queue fills."""
    a, b, e, c, d = rng.uniform(0.001, 0.02), 1e-5, 1e-8, rng.uniform(0, 1e-3), rng.uniform(0, 1e-6)
    rows = [(a, 32, 4), (a * 1.5, 64, 8), (a * 2, 4096, 64)] if buckets else None
    batched, seqs = int(rng.integers(16, 400)), int(rng.integers(1, 24))
    blocks = kv_tokens // block_tokens
    return step_model(
        a, b, e, c, d, max_num_seqs=seqs, max_batched_tokens=batched, kv_tokens=blocks, block_tokens=block_tokens,
        buckets=rows,
    )  # fmt: skip


@settings(max_examples=120)
@given(
    seed=st.integers(0, 2**32 - 1),
    buckets=st.booleans(),
    preempts=st.booleans(),
    kv_tokens=st.sampled_from([1100, 3000, 100_000]),
    replicas=st.sampled_from([1, 2, 5]),
    columns=st.sampled_from([1, 2, 3, "all"]),
    block_tokens=st.sampled_from([1, 16]),
    slack=st.sampled_from([0.0, 2.0]),
    signal_period_s=st.sampled_from([0.0, 0.5]),
    work_options=st.fixed_dictionaries(
        {
            "speculation": st.booleans(),
            "step_ratio": st.sampled_from([1.0, 5.0]),
            "home_only": st.booleans(),
            "begun_ratio": st.sampled_from([0.0, 0.3]),
        }
    ),
)
def test_engine_equals_oracle_request_by_request(
    seed, buckets, preempts, kv_tokens, replicas, columns, block_tokens, slack, signal_period_s, work_options
):
    rng = np.random.default_rng(seed)
    rate_per_s = float(np.exp(rng.uniform(0, 5)))
    work = random_work(rng, 120, rate_per_s, **work_options)
    model = random_model(rng, buckets=buckets, kv_tokens=kv_tokens, block_tokens=block_tokens)
    every = np.tile(np.arange(replicas), (120, 1))  # least loaded of all
    options = {
        "replicas": replicas,
        "candidates": every if columns == "all" else rng.integers(0, replicas, (120, columns)),
        "slack": slack,
        "signal_period_s": signal_period_s,
        "preempts": preempts,
    }
    quick, slow = engine.simulate(work, model, **options), oracle.simulate(work, model, **options)
    assert quick.replica.tolist() == slow.replica.tolist()
    assert quick.first_s == pytest.approx(slow.first_s, rel=1e-9, nan_ok=True)
    assert quick.end_s == pytest.approx(slow.end_s, rel=1e-9)
    assert quick.admitted_s == pytest.approx(slow.admitted_s, rel=1e-9)
    assert (quick.preemptions, quick.steps) == (slow.preemptions, slow.steps)
    assert quick.busy_s == pytest.approx(slow.busy_s, rel=1e-9)


def test_random_workloads_do_preempt():
    """The test above would prove little if its stores never overflowed."""
    rng = np.random.default_rng(3)
    work = random_work(rng, 120, 50.0, speculation=False)
    model = random_model(rng, buckets=False, kv_tokens=1100)
    assert engine.simulate(work, model, preempts=True).preemptions > 5


@pytest.fixture(scope="module")
def without_a_compiler() -> list[str]:
    """What a process says that imports the planner and simulates with numba's compiler off: libraries, then times."""
    code = (
        "import sys, capacity.planner, capacity.simulator.engine; print(*sys.modules);"
        "from tests.capacity.test_engine import *; print(sum_of_ends())"
    )
    environment = {"NUMBA_DISABLE_JIT": "1", "PATH": ""}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def sum_of_ends() -> str:
    rng = np.random.default_rng(1)
    work = random_work(rng, 50, 20.0, speculation=True)
    model = random_model(rng, buckets=True, kv_tokens=1100)
    return engine.simulate(work, model, preempts=True).end_s.sum().hex()


def test_importing_the_planner_loads_neither_numba_nor_all_of_scipys_statistics(without_a_compiler):
    """Each takes 0.3 s."""
    assert not {"numba", "scipy.stats"} & set(without_a_compiler[0].split())


def test_the_same_source_runs_without_a_compiler(without_a_compiler):
    """With the compiler off the results are the same to the bit."""
    assert without_a_compiler[1] == sum_of_ends()
