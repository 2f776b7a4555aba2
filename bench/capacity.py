"""Speed of capacity/: rows of figure, reference and ratio. `python -m bench.capacity` on an idle machine.

Bars: simulator >= 3 million requests/s for one replica and >= 1 million/s for 256 replicas with d = 2 on one
core, >= 20,000/s without the compiler; the full-scale prime_day plan in <= 60 s and <= 1 GB on 2 cores.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

from capacity.simulator import engine
from capacity.simulator.requests import Requests, requests
from tests.capacity.models import llama_8b

Row = tuple[str, float, float, float]


def drawn(n: int, rate_per_s: float, seed: int = 1) -> Requests:
    """Poisson arrivals, log-normal lengths of about 1,000 tokens in and 200 out."""
    rng = np.random.default_rng(seed)
    prompt = np.clip(rng.lognormal(np.log(800), 0.7, n), 16, 3000).astype(int)
    answer = np.clip(rng.lognormal(np.log(160), 0.7, n), 2, 1000).astype(int)
    return requests(np.cumsum(rng.exponential(1 / rate_per_s, n)), prompt, answer)


def requests_per_s(n: int, replicas: int) -> float:
    """Simulated requests a second at about 70% load, after compilation."""
    model = llama_8b(max_num_seqs=128, kv_tokens=600_000, d=3e-8)
    work = drawn(n, 2.0 * replicas)
    rng = np.random.default_rng(2)
    candidates = rng.integers(0, replicas, (n, 2)) if replicas > 1 else None
    engine.simulate(drawn(64, 1.0), model, replicas=replicas, candidates=candidates)
    return n / best_s(lambda: engine.simulate(work, model, replicas=replicas, candidates=candidates))


def best_s(run: Callable[[], object], repeats: int = 3) -> float:
    """Shortest of a few repeats: the least disturbed one."""
    spent = []
    for _ in range(repeats):
        begin = time.perf_counter()
        run()
        spent.append(time.perf_counter() - begin)
    return min(spent)


def without_compiler(n: int) -> float:
    """The same figure in plain Python, in a fresh interpreter."""
    code = f"from bench.capacity import requests_per_s; print(requests_per_s({n}, 1))"
    env = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    return float(done.stdout)


def prime_day_plan() -> tuple[float, float]:
    """Seconds and peak GB of the full-scale plan (4 days, 3 regions, all models, 1,000 draws), started afresh."""
    code = (
        "import resource, time; begin = time.perf_counter()\n"
        "from scenarios.loading import load_scenario; from capacity.planner import make_plan\n"
        "from neuron_bench.fit.published import step_models\n"
        "make_plan(load_scenario('prime_day'), step_models=list(step_models().values()),"
        " now_utc='2026-11-23T00:00:00Z', version='bench', plan_id='bench')\n"
        "print(time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    kilobyte = 1 if sys.platform == "darwin" else 1024
    return float(printed[0]), float(printed[1]) * kilobyte / 1e9


def rows(scale: float = 1.0) -> list[Row]:
    """Figure, measured, reference, ratio. scale < 1 for a smoke test."""
    table = []
    for name, value, bar in (
        ("requests/s, one replica", requests_per_s(int(1_000_000 * scale), 1), 3e6),
        ("requests/s, 256 replicas, d = 2", requests_per_s(int(1_000_000 * scale), 256), 1e6),
        ("requests/s, one replica, no compiler", without_compiler(int(20_000 * scale)), 2e4),
    ):
        table.append((name, value, bar, value / bar))
    seconds, gigabytes = prime_day_plan()
    table.append(("prime_day plan, s (at most)", seconds, 60.0, seconds / 60))
    table.append(("prime_day plan, peak GB (at most)", gigabytes, 1.0, gigabytes))
    return table


def main() -> None:
    """Print the rows."""
    for name, value, bar, ratio in rows(float(os.environ.get("PEAKDAY_BENCH_SCALE", "1"))):
        print(f"{name:42s} {value:14,.4g} {bar:14,.4g} {ratio:8.2f}x")


if __name__ == "__main__":
    main()
