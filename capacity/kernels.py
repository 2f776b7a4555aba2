"""The compiled kernels of the simulator and of the quota buckets, made ahead of the first plan."""

from __future__ import annotations

import numpy as np

from capacity.quotas.quota import CallTokens, Granted
from capacity.quotas.throttling import throttled_calls
from capacity.simulator.engine import simulate
from capacity.simulator.requests import requests
from neuron_bench.step_model import Coefficients, StepModel


def warm_up() -> None:
    """Compile the kernel into its cache, so that the first plan does not wait for it."""
    one = Coefficients(a=0.01, b=0.0, e=0.0, c=0.0, d=0.0)
    model = StepModel(
        model_id="warm-up", chip="none", tp=1, chips_per_replica=1.0, buckets=(one,), max_num_seqs=1,
        max_batched_tokens=16, block_tokens=16, kv_blocks=4, ttft_overhead_s=0.0, gap_overhead_s=0.0,
        provenance="derived", relative_error=0.0, engine="none", version="0", date="2026-01-01", source="none",
    )  # fmt: skip
    simulate(requests([0.0], 1, 2), model)
    throttled_calls(np.ones(1, dtype=np.int64), CallTokens(2.0, 1.0), 1.0, Granted(1.0, 1.0, 1.0, ""), gives_back=True)
