"""The batching engine, in virtual time. capacity's naive simulator is a second, independent implementation of it."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capacity.simulator.requests import requests
from emulator.engine.engine import Job
from emulator.engine.pool import Pool
from emulator.profiles import EnginePhysics, read_profiles
from neuron_bench.step_model import Coefficients, StepModel
from tests.capacity.simulator_oracle import simulate
from tests.emulator.virtual_time import VirtualTime

PHYSICS = EnginePhysics(
    a=0.01, b=1e-4, e=1e-8, c=2e-4, d=1e-7, max_num_seqs=4, max_batched_tokens=256, block_tokens=16, kv_blocks=400,
    prefix_cache_blocks=None, replicas=1, router="least_loaded", ttft_overhead_s=0.0,
)  # fmt: skip

work = st.lists(
    st.tuples(
        st.one_of(st.just(0.0), st.floats(0.0, 0.5)), st.integers(1, 1500), st.integers(1, 60), st.floats(0, 0.99)
    ),
    min_size=1, max_size=30,
)  # fmt: skip
physics = st.builds(
    lambda e, d, seqs, tokens, blocks: dataclasses.replace(
        PHYSICS, e=e, d=d, max_num_seqs=seqs, max_batched_tokens=tokens, kv_blocks=blocks
    ),
    st.sampled_from([0.0, 1e-8]), st.sampled_from([0.0, 1e-6]), st.integers(1, 9), st.integers(9, 600),
    st.integers(100, 500),
)  # fmt: skip


def step_model(physics: EnginePhysics) -> StepModel:
    """The same coefficients in capacity's words."""
    return StepModel(
        model_id="m", chip="c", tp=1, chips_per_replica=1,
        buckets=(Coefficients(physics.a, physics.b, physics.e, physics.c, physics.d),),
        max_num_seqs=physics.max_num_seqs, max_batched_tokens=physics.max_batched_tokens,
        block_tokens=physics.block_tokens, kv_blocks=physics.kv_blocks, ttft_overhead_s=0, gap_overhead_s=0,
        provenance="derived", relative_error=0.1, engine="test", version="", date="", source="",
    )  # fmt: skip


def serve(physics: EnginePhysics, rows) -> tuple[list[list[float]], int]:
    """Token times of each (arrival, input, output, cached tokens), and the number of steps."""
    clock = VirtualTime()
    pool = Pool(physics, clock, "seed")
    times: list[list[float]] = [[] for _ in rows]
    for index, (arrival_s, tokens, output, cached) in enumerate(rows):
        job = Job(tokens, output, lambda produced, now_s, index=index: times[index].append(now_s))
        pool.start(job, [], arrival_s)
        job.cached_tokens = lambda cached=cached: cached
    clock.run()
    return times, sum(replica.engine.steps for replica in pool.replicas)


@given(work, physics)
def test_the_engine_equals_capacitys_naive_simulator(rows, physics):
    """First tokens, last tokens and the number of steps are equal on random workloads, KV limits and budgets."""
    arrivals = np.cumsum([gap for gap, *_ in rows])
    plain = [(at, n, out, int(share * (n - 1))) for at, (_, n, out, share) in zip(arrivals, rows, strict=True)]
    times, steps = serve(physics, plain)
    _, prompts, answers, cached = (np.array(column) for column in zip(*plain, strict=True))
    served = simulate(requests(arrivals, prompts, answers, cached), step_model(physics))
    assert [series[0] for series in times] == pytest.approx(served.first_s, abs=1e-9)
    assert [series[-1] for series in times] == pytest.approx(served.end_s, abs=1e-9)
    assert steps == served.steps


def test_one_request_alone_takes_the_steps_of_its_prompt_and_tokens():
    """1,000 input tokens at 256 a step are four steps; then each token is a step: the arithmetic by hand."""
    physics = dataclasses.replace(PHYSICS, b=0.0, e=0.0, c=0.0, d=0.0)
    times, steps = serve(physics, [(0.0, 1000, 3, 0)])
    assert times[0] == pytest.approx([0.04, 0.05, 0.06])
    assert steps == 6


def test_kv_room_is_kept_for_whole_requests():
    """Two requests of 3,200 tokens do not fit 400 blocks of 16 beside each other with a third: it waits."""
    times, _ = serve(PHYSICS, [(0.0, 3150, 50, 0), (0.0, 3150, 50, 0), (0.0, 100, 2, 0)])
    assert times[2][0] > min(times[0][-1], times[1][-1])


def test_a_cancelled_request_gives_its_room_back():
    """After its client went away a request makes no more tokens and holds no KV."""
    clock = VirtualTime()
    pool = Pool(PHYSICS, clock, "seed")
    seen: list[int] = []

    def emit(produced: int, now_s: float) -> None:
        seen.append(produced)
        job.cancelled = produced == 3

    job = Job(100, 50, emit)
    pool.start(job, [], 0.0)
    clock.run()
    assert seen == [1, 2, 3]
    assert pool.replicas[0].engine.kv_blocks_used == 0


@pytest.mark.parametrize("router", ["least_loaded", "random", "prefix_affinity"])
def test_every_router_serves_everything(router):
    """Whatever the router, each request ends with its tokens."""
    physics = dataclasses.replace(PHYSICS, replicas=3, router=router)
    times, _ = serve(physics, [(0.01 * index, 50, 5, 0) for index in range(20)])
    assert [len(series) for series in times] == [5] * 20


def test_prefix_affinity_finds_its_blocks_again():
    """Equal first blocks go to the same replica, so the second request hits what the first computed."""
    clock = VirtualTime()
    pool = Pool(dataclasses.replace(PHYSICS, replicas=4, router="prefix_affinity"), clock, "seed")
    jobs = [Job(100, 2, lambda produced, now_s: None) for _ in range(2)]
    for start_s, job in zip((0.0, 5.0), jobs, strict=True):
        pool.start(job, [11, 22, 33], start_s)
    clock.run()
    assert [job.cached for job in jobs] == [0, 48]


def test_the_trn2_profile_reproduces_the_published_single_user_row():
    """1,500 in, 250 out, one user: TTFT 197 ms and a gap of 22.1 ms (neuron_load_curves.csv), within 3%."""
    physics = read_profiles()["custom-8b"].physics
    times, _ = serve(physics, [(0.0, 1500, 250, 0)])
    assert times[0][0] == pytest.approx(0.19725, rel=0.03)
    assert (times[0][-1] - times[0][0]) / 249 == pytest.approx(0.022136, rel=0.03)
