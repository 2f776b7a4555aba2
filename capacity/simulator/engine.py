"""The quick continuous-batching simulator: `simulate` as in `reference.py`, in jumps. Numba loads on first use."""

from __future__ import annotations

import numpy as np

from capacity.simulator.reference import check_fits
from capacity.simulator.requests import Ints, Requests, Served
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
    """Serve every request on a pool of replicas; the arguments are those of `capacity.simulator.reference.simulate`."""
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
