"""A real serving engine: half of the cases predict the other half. Run by hand, on an idle machine:

    shared/engine/vllm_cpu.sh serve DIR PORT          (with EXTRA=--no-enable-prefix-caching)
    PEAKDAY_ENGINE_URL=http://127.0.0.1:PORT/v1 python -m pytest -m engine -s tests/neuron_bench/test_engine.py

Prints the table of docs/validation.md. PEAKDAY_ENGINE_ROUNDS sets how often each case is measured.
"""

from __future__ import annotations

import os
import statistics
from pathlib import Path

import pytest

from neuron_bench.endpoint.loads import decode, prefill
from neuron_bench.endpoint.sweep import EndpointSpec, run
from neuron_bench.fit.bench import Engine, step_model
from neuron_bench.record import Bench, load_bench
from neuron_bench.step_model import StepModel

URL = os.environ.get("PEAKDAY_ENGINE_URL", "")
ROUNDS = int(os.environ.get("PEAKDAY_ENGINE_ROUNDS", "4"))
LOADS = tuple(prefill(n) for n in (16, 32, 48, 64, 96, 128, 192, 256, 384, 512)) + tuple(
    decode(users, context, 64) for users in (1, 2, 4, 8) for context in (64, 192, 384)
)
ENGINE = Engine(max_num_seqs=32, max_batched_tokens=2048, block_tokens=128, kv_blocks=1000, name="vllm (CPU)")
BAR_RATIO = 0.10

pytestmark = [
    pytest.mark.engine,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not URL, reason="no engine: set PEAKDAY_ENGINE_URL, see this file's docstring"),
]


@pytest.fixture(scope="module")
def engine_bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    kept = os.environ.get("PEAKDAY_ENGINE_KEEP")
    folder = Path(kept) if kept else tmp_path_factory.mktemp("engine") / "bench"
    spec = EndpointSpec(
        URL, suite="full", loads=LOADS, device="cpu", dtype="bfloat16", weights_random=True, rounds=ROUNDS
    )
    return load_bench(run(spec, folder))


@pytest.fixture(scope="module")
def model(engine_bench: Bench) -> StepModel:
    fitted = step_model(engine_bench, ENGINE)
    print(table(engine_bench, fitted))
    return fitted


def median_error(model: StepModel, metric: str) -> float:
    return statistics.median(abs(row.error_ratio) for row in model.hold_out if row.metric == metric)


def table(bench: Bench, model: StepModel) -> str:
    """As docs/validation.md holds it."""
    load = max(row.load1 or 0.0 for row in bench.rows)
    lines = [
        f"\nvLLM {model.version} on this CPU, {model.date}, 1-minute load {load:.1f} after the sweep, {ROUNDS} rounds"
    ]
    lines += ["", "| held-out case | measured ms | predicted ms | error |", "|---|---|---|---|"]
    lines += [
        f"| {row.case} | {row.measured * 1e3:.2f} | {row.predicted * 1e3:.2f} | {row.error_ratio:+.1%} |"
        for row in model.hold_out
    ]
    medians = (
        f"median error: prefill {median_error(model, 'ttft_s'):.1%}, decode {median_error(model, 'tpot_s'):.1%}",
    )
    return "\n".join([*lines, "", *medians, f"{model.coefficients}, TTFT overhead {model.ttft_overhead_s:.4f} s"])


def test_every_load_is_measured_without_the_prefix_cache(engine_bench: Bench) -> None:
    """Fresh prompts of exact length: no flag is raised on a real server."""
    assert len(engine_bench.rows) == len(LOADS)
    assert all(row.flags == "" for row in engine_bench.rows)


def test_half_of_the_prefills_predict_the_other_half(model: StepModel) -> None:
    """Within 10% at the median."""
    assert median_error(model, "ttft_s") <= BAR_RATIO


def test_half_of_the_decodes_predict_the_other_half(model: StepModel) -> None:
    """Within 10% at the median."""
    assert median_error(model, "tpot_s") <= BAR_RATIO
