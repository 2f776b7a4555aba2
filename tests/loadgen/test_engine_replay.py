"""A real engine's own count of prefix hits under a replayed trace, against the exact policy for its cache. By hand:

    export EXTRA="--max-model-len 40960 --enable-prompt-tokens-details --num-gpu-blocks-override 1501 --block-size 32"
    export EXTRA="$EXTRA --max-num-seqs 1"  # which prompt comes after which is then all that decides
    KV_GB=1 shared/engine/vllm_cpu.sh serve DIR PORT --layers 1 --hidden 64 --heads 1 --kv-heads 1 --context 40960
    PEAKDAY_ENGINE_URL=http://127.0.0.1:PORT/v1 python -m pytest -m engine -s tests/loadgen/test_engine_replay.py

Without --max-num-seqs 1 requests run at once. A larger --max-model-len (and --context) lets longer sessions in; the
agents' sessions need minutes, $PEAKDAY_ENGINE_WINDOW_S (3000) is the most. Times do not matter: what is
counted is tokens. Prints the rows of docs/validation.md.
"""

from __future__ import annotations

import gzip
import itertools
import json
import os
import re
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import gevent
import numpy as np
import pytest

from loadgen.coordinator.scrape import samples
from loadgen.job import LoadJob, TargetSpec
from loadgen.record import load_run
from loadgen.worker.worker_run import WorkerRun
from peakday.run.replay import add_hits
from scenarios.replay.file import write_plan
from scenarios.replay.plan import plan_replay
from scenarios.traces.sessions import read_trace
from tests.loadgen.worker_runs import play

URL = os.environ.get("PEAKDAY_ENGINE_URL", "")
ANSWER_TOKENS = 4_000
"""Of the engine's context, left to an answer."""
FILLER_TOKENS = 20_000
QUICKER = 30.0
"""The samples' clocks are so much quicker than the traces'; which call waits for which stays as it is."""
WINDOW_S = float(os.environ.get("PEAKDAY_ENGINE_WINDOW_S", "3000"))
"""More than a busy machine needs: a run ends with the last answer."""

pytestmark = [
    pytest.mark.engine,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not URL, reason="no engine: set PEAKDAY_ENGINE_URL, see this file's docstring"),
]


def lines_of(file: Path) -> Iterator[dict[str, object]]:
    with gzip.open(file, "rt") as lines:
        yield from map(json.loads, lines)


def agentic(traces: Path) -> Iterator[dict[str, object]]:
    """Sessions of coding agents whose prompts all fit the engine's context."""
    with urllib.request.urlopen(f"{URL}/models", timeout=60) as response:
        context_tokens = json.load(response)["data"][0]["max_model_len"] - ANSWER_TOKENS
    for session in lines_of(traces / "agentic_sessions_a.jsonl.gz"):
        if max(call.get("in", 0) for call in session["requests"]) <= context_tokens:
            for call in session["requests"]:
                call |= {name: call[name] / QUICKER for name in ("t", "api_time", "think_time") if name in call}
            yield session


def mooncake(traces: Path) -> Iterator[dict[str, object]]:
    """The first requests of the conversations that most requests of the trace go on from, as far as they fit."""
    rows = [
        row for row in lines_of(traces / "mooncake_conversation_min00-30.jsonl.gz") if row["input_length"] <= 12_000
    ]
    shared = Counter(row["hash_ids"][1] for row in rows if len(row["hash_ids"]) > 2).most_common(24)
    trunks = {block for block, _ in shared}
    chosen = (row for row in rows if len(row["hash_ids"]) > 2 and row["hash_ids"][1] in trunks)
    for row in itertools.islice(chosen, 60):
        yield row | {"timestamp": row["timestamp"] / QUICKER, "output_length": min(row["output_length"], 32)}


def server_counts() -> tuple[float, float, int, int]:
    """Tokens queried and hit in the engine's prefix cache so far; the cache's blocks, and tokens of one."""
    with urllib.request.urlopen(URL.removesuffix("/v1") + "/metrics", timeout=60) as response:
        text = response.read().decode()
    totals = [
        sum(value for key, _, value in samples(text) if key == f"vllm:prefix_cache_{name}_total")
        for name in ("queries", "hits")
    ]
    blocks, size = (int(re.search(rf'{name}="(\d+)"', text)[1]) for name in ("num_gpu_blocks", "[^_]block_size"))
    return totals[0], totals[1], blocks, size


def end_with_the_last_answer(run: WorkerRun, calls: int) -> None:
    """Stop the run when all its calls have been sent and answered."""

    def watch() -> None:
        while run.recorder.counters["sent"] < calls or run.driver.in_flight:
            gevent.sleep(0.2)
        run.driver.stop(0.0)

    gevent.spawn(watch)


def fill_cache() -> None:
    """Give the engine fresh ids in the number that its cache holds: what it held before is forgotten."""
    _, _, blocks, size = server_counts()
    draws = np.random.default_rng()
    for _ in range(-(-blocks * size // FILLER_TOKENS)):
        body = {"model": "custom", "prompt": draws.integers(10, 1000, FILLER_TOKENS).tolist(), "max_tokens": 1}
        request = urllib.request.Request(
            f"{URL}/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        urllib.request.urlopen(request, timeout=1800).close()


@pytest.mark.parametrize("live", [False, True], ids=["trace's answers", "its own answers"])
@pytest.mark.parametrize("sample", [agentic, mooncake])
def test_a_real_engines_prefix_hits_equal_the_exact_policys(
    tmp_path: Path, make_job: Callable[..., LoadJob], traces: Path, sample: Callable[[Path], object], live: bool,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Of its cache's size, within 1%: the engine's counters, and our rows' cached tokens, which are the same number."""
    file = tmp_path / "trace.jsonl"
    file.write_text("".join(json.dumps(record) + "\n" for record in sample(traces)))
    trace = replace(read_trace(file), clock=True)
    plan = plan_replay(trace, window=(0.0, WINDOW_S), live_output=live)
    job = make_job(
        TargetSpec("openai", URL, model="custom"), window=(0.0, WINDOW_S),
        replay_file=str(write_plan(plan, tmp_path / "plans")),
        scenario={"load": {"turn_timeout_s": 1800.0, "drain_s": 1800.0}},
    )  # fmt: skip
    fill_cache()
    queried, hit, blocks, size = server_counts()
    run, final = play(job, lambda one: end_with_the_last_answer(one, plan.calls))
    queried_after, hit_after, _, _ = server_counts()
    assert final["faults"] == []
    assert run.turns["status"].value_counts().to_dict() == {"ok": plan.calls}
    add_hits(job, job.folder, (blocks - 1) * size, size)  # an engine keeps one block for padding
    hits = load_run(job.folder).info.replay
    server = (hit_after - hit) / (queried_after - queried)
    policy = hits.policies[f"lru:{(blocks - 1) * size}"]
    cells = (
        sample.__name__, "its own" if live else "trace's", f"{hits.sent} of {hits.calls}",
        f"{queried_after - queried:,.0f}", f"{blocks} x {size}", f"{hits.policies['infinite']:.4f}", f"{policy:.4f}",
        f"{server:.4f}", f"{hits.measured:.4f}", f"{server / policy - 1:+.2%}",
    )  # fmt: skip
    with capsys.disabled():
        print("\n| " + " | ".join(cells) + " |")
    assert server == pytest.approx(hits.measured, abs=1e-4)
    assert server == pytest.approx(policy, rel=0.01)
