"""The continuous-batching simulator: every step of a pool of replicas, in jumps. Numba loads on first use.

What is right is defined by a walk of every token in plain Python (tests/capacity/simulator_oracle.py): equal results.
"""

from __future__ import annotations

import numpy as np

from capacity.simulator.requests import Ints, Requests, Served, ServiceError
from neuron_bench.step_model import StepModel


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
    """Serve every request on a pool of replicas.

    Args:
        candidates: [n, d] replica numbers a request may go to; it joins the least loaded, the first on a tie.
            None with one replica. One column: random or sharded; d columns: power of d; all: least loaded.
        slack: requests the first candidate may be ahead of the others and still be chosen (prefix affinity); a call
            diverted from it finds `away_cached_tokens`.
        signal_period_s: the router sees loads as of the last multiple of this; 0 = now.
        preempts: KV is taken as it fills and taken back when it overflows; else input + output are kept from the start.
    """
    from capacity.simulator import kernel, pools  # numba takes a second to load: only what simulates waits for it

    check_fits(work, model)
    n = len(work)
    pool = pools.make_pool(model, n, replicas, int(work.decode_steps.max(initial=0)), preempts)
    pool = pool._replace(
        job=pools.job_rows(work, model),
        amount=pools.job_amounts(work),
        first_s=np.full(n, np.nan),
        admitted_s=np.full(n, np.nan),
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


def check_fits(work: Requests, model: StepModel) -> None:
    """Raise `ServiceError` when a request can never be held by one replica."""
    largest = int((work.input_tokens + work.output_tokens).max()) if len(work) else 0
    if largest > model.kv_tokens_max:
        raise ServiceError(
            f"{model.model_id} on {model.chip}: a call of {largest:,} tokens exceeds the replica's "
            f"{model.kv_tokens_max:,} KV tokens; shorten the prompt or use a larger replica"
        )
