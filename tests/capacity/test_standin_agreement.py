"""The stand-ins' engine and the planner's simulator are two implementations of one law; here they meet in virtual time.

Neither is evidence about a real engine: their agreement says only that a simulated run and a plan speak of one thing.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capacity.simulator import engine
from emulator.engine.engine import Engine, Job
from emulator.profiles import EnginePhysics
from neuron_bench.step_model import StepModel
from tests.capacity.models import step_model
from tests.capacity.test_engine import random_work


def stand_in(work, model: StepModel):
    """First and last token of every request on the stand-ins' engine, its clock moved by hand."""
    k = model.coefficients
    physics = EnginePhysics(
        a=k.a, b=k.b, e=k.e, c=k.c, d=k.d, max_num_seqs=model.max_num_seqs,
        max_batched_tokens=model.max_batched_tokens, block_tokens=model.block_tokens, kv_blocks=model.kv_blocks,
        prefix_cache_blocks=None, replicas=1, router="random", ttft_overhead_s=0.0,
    )  # fmt: skip
    replica, n = Engine(physics), len(work)
    first_s, end_s = np.zeros(n), np.zeros(n)

    def job(index):
        def emit(produced, at_s):
            if produced == 1:
                first_s[index] = at_s
            end_s[index] = at_s

        cached = int(work.cached_tokens[index])
        return Job(int(work.input_tokens[index]), int(work.output_tokens[index]), emit, lambda: cached)

    now_s, sent = 0.0, 0
    while sent < n or replica.load:
        while sent < n and work.arrival_s[sent] <= now_s:
            replica.waiting.append(job(sent))
            sent += 1
        step_s = replica.begin_step()
        if step_s is None:
            now_s = float(work.arrival_s[sent])
            continue
        now_s += step_s
        replica.end_step(now_s)
    return first_s, end_s


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), blocks=st.sampled_from([80, 400, 10_000]))
def test_the_stand_ins_engine_and_the_simulator_give_the_same_times(seed, blocks):
    rng = np.random.default_rng(seed)
    work = random_work(rng, 100, float(np.exp(rng.uniform(0, 5))), speculation=False)
    model = step_model(
        rng.uniform(0.001, 0.02), 1e-5, 1e-8, rng.uniform(0, 1e-3), rng.uniform(0, 1e-6),
        max_num_seqs=int(rng.integers(1, 24)), max_batched_tokens=int(rng.integers(24, 400)),
        kv_tokens=blocks, block_tokens=16,
    )  # fmt: skip
    served = engine.simulate(work, model)
    first_s, end_s = stand_in(work, model)
    assert served.first_s == pytest.approx(first_s, rel=1e-9)
    assert served.end_s == pytest.approx(end_s, rel=1e-9)
