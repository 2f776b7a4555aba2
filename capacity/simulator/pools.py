"""Replicas and requests in the arrays that the kernel works on."""

from __future__ import annotations

import numpy as np

from capacity.simulator import kernel
from capacity.simulator.requests import Floats, Ints, Requests
from neuron_bench.step_model import StepModel


def make_pool(model: StepModel, n: int, replicas: int, longest: int, preempts: bool) -> kernel.Pool:
    """Empty replicas with room for the times of n requests of at most `longest` decode steps; jobs are filled in."""
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
    jobs = np.zeros((len(work), 13), dtype=np.int64)
    jobs[:, kernel.PROMPT] = work.input_tokens
    jobs[:, kernel.CACHED] = work.cached_tokens
    jobs[:, kernel.STEPS] = work.decode_steps
    jobs[:, kernel.COMPUTED] = work.cached_tokens
    jobs[:, kernel.TO_COMPUTE] = work.input_tokens
    if (begun := np.flatnonzero(work.begun_steps)).size:
        done = work.begun_steps[begun] - 1
        grown = done * ((work.output_tokens[begun] - 1) / work.decode_steps[begun])
        jobs[begun, kernel.STARTED], jobs[begun, kernel.DONE] = 1, done
        jobs[begun, kernel.TO_COMPUTE] += 1 + grown.astype(np.int64)
        jobs[begun, kernel.COMPUTED] = jobs[begun, kernel.TO_COMPUTE]
    jobs[:, kernel.KEPT] = -(-(work.input_tokens + work.output_tokens) // model.block_tokens) * model.block_tokens
    return jobs


def job_amounts(work: Requests) -> Floats:
    """Pool.amount of requests as they arrive."""
    amounts = np.zeros((len(work), 2))
    amounts[:, 0] = (work.output_tokens - 1) / np.maximum(work.decode_steps, 1)
    return amounts


def _states(replicas: int) -> Ints:
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
