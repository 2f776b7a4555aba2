"""A real serving engine's own count of tokens, against ours: they are equal, to the token. Run by hand:

    EXTRA=--enable-prompt-tokens-details shared/engine/vllm_cpu.sh serve DIR PORT
    PEAKDAY_ENGINE_URL=http://127.0.0.1:PORT/v1 python -m pytest -m engine -s tests/loadgen/test_engine.py

The engine's worker should have a core of its own; the client runs on $PEAKDAY_ENGINE_CLIENT_CORE (0 when unset), which
it shares with the engine's HTTP front end. Prints the table of docs/validation.md.
"""

from __future__ import annotations

import os
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loadgen.coordinator.scrape import samples
from loadgen.job import LoadJob, TargetSpec
from loadgen.record import Run, load_run
from loadgen.run import run_load

URL = os.environ.get("PEAKDAY_ENGINE_URL", "")
CLIENT_CORE = int(os.environ.get("PEAKDAY_ENGINE_CLIENT_CORE", "0"))
FOR_S = 60.0
ROWS = 40
SEEN_BEFORE = 12
SERVER_TOTALS = {
    "prompt": "vllm:prompt_tokens_total",
    "cached": "vllm:prefix_cache_hits_total",
    "generated": "vllm:generation_tokens_total",
    "requests": "vllm:request_success_total",
}

pytestmark = [
    pytest.mark.engine,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not URL, reason="no engine: set PEAKDAY_ENGINE_URL, see this file's docstring"),
]


@pytest.fixture
def one_core() -> Iterator[None]:
    """This process and the load worker it starts, on the client's core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {CLIENT_CORE})
    yield
    os.sched_setaffinity(0, before)


def log_of_requests(path: Path, rows: int) -> str:
    """Lengths of requests spread over the window; the same first rows whatever their number."""
    draws = np.random.default_rng(1)
    lines = ["timestamp,input_tokens,output_tokens"]
    for row in range(ROWS):
        short = row % 2
        prompt = int(draws.integers(16, 64) if short else draws.integers(140, 300))
        lines.append(f"{row * FOR_S / ROWS:.3f},{prompt},{int(draws.integers(8, 33))}")
    path.write_text("\n".join(lines[: rows + 1]) + "\n")
    return str(path)


def server_totals() -> dict[str, float]:
    """What the engine has counted so far, all its label sets added up."""
    with urllib.request.urlopen(URL.removesuffix("/v1") + "/metrics", timeout=10) as response:
        found = samples(response.read().decode())
    return {name: sum(value for key, _, value in found if key == metric) for name, metric in SERVER_TOTALS.items()}


def ours(run: Run) -> dict[str, float]:
    """The same totals from the record's rows."""
    calls = run.calls
    cached = calls["cache_read_tokens"].fillna(0)
    return {
        "prompt": float((calls["input_tokens"] + cached).sum()),
        "cached": float(cached.sum()),
        "generated": float(calls["output_tokens"].sum()),
        "requests": float((run.turns["status"] == "ok").sum()),
    }


def test_our_totals_are_the_servers_own(
    tmp_path: Path, make_job: Callable[..., LoadJob], one_core: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """Prompt, cached and generated tokens of 60 s: our rows' sums equal the moves of the engine's own counters."""
    target = TargetSpec("openai", URL, model="custom")
    limits = {"load": {"turn_timeout_s": 120.0}}

    def job(name: str, rows: int, window: tuple[float, float]) -> LoadJob:
        arrivals = log_of_requests(tmp_path / f"{name}.csv", rows)
        fields: dict[str, Any] = {"arrivals_file": arrivals, "window": window, "run_dir": str(tmp_path / name)}
        return make_job(target, scenario=limits, run_id=name, **fields)

    run_load(job("before", SEEN_BEFORE, (0.0, SEEN_BEFORE * FOR_S / ROWS)))  # the same prompts again hit the cache
    first = server_totals()
    outcome = run_load(job("measured", ROWS, (0.0, FOR_S)))
    counted = {name: value - first[name] for name, value in server_totals().items()}
    run = load_run(outcome.run_dir)
    lag = run.turns["start_lag_s"]
    with capsys.disabled():
        print("\n| total | ours | server's /metrics |\n|---|---|---|")
        for name, value in ours(run).items():
            print(f"| {name} | {value:.0f} | {counted[name]:.0f} |")
        print(f"start lag p50 {lag.quantile(0.5) * 1e3:.2f} ms, p99 {lag.quantile(0.99) * 1e3:.2f} ms, n {len(lag)}")
        print(f"TTFT p50 {run.turns['ttft_s'].quantile(0.5):.3f} s; verdict {outcome.info['verdict']}")
        print(f"1-minute load {os.getloadavg()[0]:.1f}")
    assert len(run.turns) == ROWS
    assert ours(run) == counted
    assert counted["cached"] > 0
