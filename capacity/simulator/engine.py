"""The quick continuous-batching simulator: `simulate` as in `reference.py`, in jumps. Numba loads on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from capacity.simulator.reference import check_fits, kept_tokens
from capacity.simulator.requests import Floats, Ints, Requests, Served
from neuron_bench.step_model import StepModel

if TYPE_CHECKING:
    from capacity.simulator.kernel import Pool


def simulate(
    work: Requests,
    model: StepModel,
    *,
    replicas: int = 1,
    candidates: Ints | None = None,
    slack: float = 0.0,
    signal_period_s: float = 0.0,
    preempts: bool = False,
) -> Served:
    """Serve every request on a pool of replicas; the arguments are those of `capacity.simulator.reference.simulate`."""
    from capacity.simulator import kernel

    check_fits(work, model)
    n = len(work)
    pool = make_pool(model, n, replicas, int(work.decode_steps.max(initial=0)), preempts)
    pool = pool._replace(
        job=job_rows(work, model), amount=job_amounts(work), first_s=np.full(n, np.nan), admitted_s=np.full(n, np.nan)
    )
    placed = np.zeros(n, dtype=np.int64)
    options = np.zeros((1, 1), dtype=np.int64) if candidates is None else np.ascontiguousarray(candidates, np.int64)
    period_s = signal_period_s if candidates is not None else 0.0
    loads = np.zeros(replicas, dtype=np.int64)
    kernel.serve(
        pool, work.arrival_s, 0, options, float(slack), float(period_s), work.away_cached_tokens, placed, loads, 0.0
    )
    kernel.drain(pool)
    return Served(
        pool.first_s,
        pool.end_s,
        placed,
        int(pool.state[:, kernel.PREEMPTIONS].sum()),
        int(pool.state[:, kernel.STEPS_RUN].sum()),
        float(pool.level[:, kernel.BUSY].sum()),
        pool.admitted_s,
    )


def make_pool(model: StepModel, n: int, replicas: int, longest: int, preempts: bool) -> Pool:
    """Empty replicas with room for the times of n requests of at most `longest` decode steps; jobs are filled in."""
    from capacity.simulator import kernel

    return kernel.Pool(
        job=np.zeros((n, 13), dtype=np.int64),
        amount=np.zeros((n, 2)),
        state=_states(replicas),
        level=np.zeros((replicas, 5)),
        wheel=np.full((replicas, 1 << (longest + 1).bit_length()), kernel.NONE, dtype=np.int64),
        first_s=np.zeros(n),
        end_s=np.zeros(n),
        admitted_s=np.zeros(n),
        buckets=_buckets(model),
        max_num_seqs=model.max_num_seqs,
        max_batched_tokens=model.max_batched_tokens,
        kv_tokens=float(model.kv_tokens_max),
        preempts=preempts,
    )


def job_rows(work: Requests, model: StepModel) -> Ints:
    """Pool.job of requests as they arrive."""
    from capacity.simulator import kernel

    jobs = np.zeros((len(work), 13), dtype=np.int64)
    jobs[:, kernel.PROMPT] = work.input_tokens
    jobs[:, kernel.CACHED] = work.cached_tokens
    jobs[:, kernel.STEPS] = work.decode_steps
    jobs[:, kernel.COMPUTED] = work.cached_tokens
    jobs[:, kernel.TO_COMPUTE] = work.input_tokens
    begun = np.flatnonzero(work.begun_steps)
    done = work.begun_steps[begun] - 1
    grown = done * ((work.output_tokens[begun] - 1) / work.decode_steps[begun])
    jobs[begun, kernel.STARTED], jobs[begun, kernel.DONE] = 1, done
    jobs[begun, kernel.TO_COMPUTE] += 1 + grown.astype(np.int64)
    jobs[begun, kernel.COMPUTED] = jobs[begun, kernel.TO_COMPUTE]
    jobs[:, kernel.KEPT] = kept_tokens(work.input_tokens + work.output_tokens, model.block_tokens)
    return jobs


def job_amounts(work: Requests) -> Floats:
    """Pool.amount of requests as they arrive."""
    amounts = np.zeros((len(work), 2))
    amounts[:, 0] = (work.output_tokens - 1) / np.maximum(work.decode_steps, 1)
    return amounts


def _states(replicas: int) -> Ints:
    from capacity.simulator import kernel

    states = np.zeros((replicas, 11), dtype=np.int64)
    for column in (kernel.WAIT_HEAD, kernel.WAIT_TAIL, kernel.FILL_HEAD, kernel.FILL_TAIL, kernel.NEWEST):
        states[:, column] = kernel.NONE
    return states


def _buckets(model: StepModel) -> Floats:
    rows = []
    for bucket in model.buckets:
        tokens = np.inf if bucket.bucket_tokens is None else float(bucket.bucket_tokens)
        seqs = np.inf if bucket.bucket_seqs is None else float(bucket.bucket_seqs)
        rows.append((bucket.a, bucket.b, bucket.e, bucket.c, bucket.d, tokens, seqs))
    return np.array(rows, dtype=np.float64)


def warm_up() -> None:
    """Compile the kernel into its cache, so that the first plan does not wait for it."""
    from capacity.quotas.quota import CallTokens, Granted
    from capacity.quotas.throttling import throttled_calls
    from capacity.simulator.requests import requests
    from neuron_bench.step_model import Coefficients

    one = Coefficients(a=0.01, b=0.0, e=0.0, c=0.0, d=0.0)
    model = StepModel(
        model_id="warm-up", chip="none", tp=1, chips_per_replica=1.0, buckets=(one,), max_num_seqs=1,
        max_batched_tokens=16, block_tokens=16, kv_blocks=4, ttft_overhead_s=0.0, gap_overhead_s=0.0,
        provenance="derived", relative_error=0.0, engine="none", version="0", date="2026-01-01", source="none",
    )  # fmt: skip
    simulate(requests([0.0], 1, 2), model)
    throttled_calls(np.ones(1, dtype=np.int64), CallTokens(2.0, 1.0), 1.0, Granted(1.0, 1.0, 1.0, ""), gives_back=True)
