"""The load generator beside a compiled client of the same minute, against a server that stamps what it truly sent.

Wants gcc, the C programs of $PEAKDAY_LOADGEN_BENCH (or ../shared/bench/loadgen), and an idle machine.
Usage: python -m tests.bench loadgen    PEAKDAY_BENCH_SCALE=0.2 shortens every run.

Bars: CPU a token <= 2.0x the C client at 200 and 800 paced streams, rows written; TTFT error p50 <= 0.3 ms
and p99 <= 10 ms at 40,000 tokens/s; >= 15,000 streams/s unpaced on one core; sent within 0.5% of due.
"""

import json
import os
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from loadgen.job import LoadJob, TargetSpec
from loadgen.record import load_run
from loadgen.run import run_load
from scenarios.schema import Scenario
from tests.loadgen.conftest import SCENARIO, merged

SOURCES = Path(
    os.environ.get("PEAKDAY_LOADGEN_BENCH", Path(__file__).resolve().parents[3] / "shared" / "bench" / "loadgen")
)
SCALE = float(os.environ.get("PEAKDAY_BENCH_SCALE", "1"))
PAIRS = 5
TOKENS = 64
PACED = "ttft=100&itl=20"
UNPACED = "ttft=0&itl=0"
ANSWER_S = 0.1 + 0.02 * (TOKENS - 1)


class Bench:
    """The mock server, the C client, and runs of ours against the one, beside the other."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self.runs = 0
        self.messages = folder / "messages.json"
        message = {"id": "m", "intent": "deals", "complexity": "simple", "text": "hello", "page_product_id": None}
        flags = {"image": False, "follow_up": False, "confirm": False}
        self.messages.write_text(json.dumps({"messages": [message | flags]}))

    def get(self, path: str) -> Any:
        """One control request to the mock server."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}") as response:
            text = response.read()
        return json.loads(text) if text[:1] == b"{" else text

    def compiled(self, streams: int, requests: int) -> dict[str, Any]:
        """The C client: its own report."""
        done = subprocess.run(
            [self.folder / "rawclient", str(self.port), str(streams), str(requests)],
            capture_output=True,
            check=True,
        )
        return json.loads(done.stdout)

    def ours(self, for_s: float, **job: Any) -> dict[str, Any]:
        """One run of ours: completed turns, CPU-seconds since t0, run.json and rows."""
        self.runs += 1
        single = {"interactions_per_session": {"mean": 1, "max": 1}, "turns_per_interaction": {"mean": 1, "max": 1}}
        scenario = Scenario.model_validate(merged(SCENARIO, {"mix": single, "load": {"drain_s": 3.0}}))
        outcome = run_load(
            LoadJob(
                run_dir=str(self.folder / f"run-{self.runs}"),
                run_id=f"run-{self.runs}",
                scenario=scenario.model_dump(mode="json", by_alias=True),
                scenario_hash="",
                peakday_version=version("peakday"),
                seed=self.runs,
                targets=(TargetSpec("openai", f"http://127.0.0.1:{self.port}/v1", model="mock"),),
                messages=str(self.messages),
                for_s=for_s,
                **{"rate_per_s": 1.0, **job},
            )
        )
        run = load_run(outcome.run_dir)
        return {
            "completed": outcome.info["totals"]["completed"],
            "cpu_s": float(run.generator["cpu_ratio"].sum()),
            "info": outcome.info,
        }


@contextmanager
def bench() -> Iterator[Bench]:
    """Build both programs and start the server."""
    if shutil.which("gcc") is None or not (SOURCES / "mockllm.c").is_file():
        raise SystemExit("loadgen bench: needs gcc, and PEAKDAY_LOADGEN_BENCH naming a folder with mockllm.c")
    with tempfile.TemporaryDirectory(prefix="peakday-bench-") as name:
        folder = Path(name)
        for program in ("mockllm", "rawclient"):
            command = ["gcc", "-O2", "-w", "-o", str(folder / program), str(SOURCES / f"{program}.c"), "-lm"]
            subprocess.run(command, check=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        server = subprocess.Popen([folder / "mockllm", str(port)])
        try:
            time.sleep(0.3)
            yield Bench(folder, port)
        finally:
            server.terminate()
            server.wait()


def cpu_ratio(one: Bench, streams: int) -> tuple[float, float, float]:
    """CPU-seconds per 1,000 streams of ours and of the C client, and their ratio: medians of interleaved pairs.

    Ours are closed-loop users; both are paced, and phases drift apart over the run.
    """
    ours, compiled, ratios = [], [], []
    seconds = max(4.0, 15.0 * SCALE)
    for _ in range(max(1, round(PAIRS * SCALE))):
        one.get(f"/ctl?{PACED}&n={TOKENS}")
        requests = int(streams * seconds / ANSWER_S)
        reference = one.compiled(streams, requests)["cpu_s"] / requests * 1000
        found = one.ours(seconds, closed_loop_users=streams)
        mine = found["cpu_s"] / found["completed"] * 1000
        ours.append(mine)
        compiled.append(reference)
        ratios.append(mine / reference)
    return statistics.median(ours), statistics.median(compiled), statistics.median(ratios)


def unpaced_per_s(one: Bench) -> tuple[float, float, float]:
    """Streams a second over 64 connections without pacing: ours, the C client's, and the share."""
    one.get(f"/ctl?{UNPACED}&n={TOKENS}")
    reference = one.compiled(64, max(2_000, int(100_000 * SCALE)))
    found = one.ours(max(2.0, 5.0 * SCALE), closed_loop_users=64)
    seconds = max(2.0, 5.0 * SCALE)
    return (
        found["completed"] / seconds,
        reference["n"] / reference["wall_s"],
        found["completed"] / seconds / (reference["n"] / reference["wall_s"]),
    )


def open_loop(one: Bench, tokens_per_s: float) -> dict[str, float]:
    """TTFT error against the server's own stamps, start lag, and the share sent, at a rate of tokens."""
    one.get(f"/ctl?{PACED}&n={TOKENS}")
    one.get("/reset")
    found = one.ours(max(4.0, 15.0 * SCALE), rate_per_s=tokens_per_s / TOKENS)
    truth, info = one.get("/stats"), found["info"]
    sent = info["quantiles"]["ttft_from_send_s"]
    return {
        "TTFT error p50 (ms)": sent["p50"]["value"] * 1e3 - truth["ttft_ms"]["p50"],
        "TTFT error p99 (ms)": sent["p99"]["value"] * 1e3 - truth["ttft_ms"]["p99"],
        "gap error p50 (ms)": info["quantiles"]["gap_s"]["p50"]["value"] * 1e3 - truth["gap_ms"]["p50"],
        "gap error p99 (ms)": info["quantiles"]["gap_s"]["p99"]["value"] * 1e3 - truth["gap_ms"]["p99"],
        "start lag p99 (ms)": info["quantiles"]["start_lag_s"]["p99"]["value"] * 1e3,
        "sent over asked": info["totals"]["sent"] / max(1, info["totals"]["asked"]),
        "server saw over sent": truth["requests"] / max(1, info["totals"]["sent"]),
        "valid": float(info["verdict"]["valid"]),
    }


def main() -> None:
    """Print the rows: figure, ours, reference, ratio or bar."""
    with bench() as one:
        for streams in (200, 800):
            mine, reference, ratio = cpu_ratio(one, streams)
            print(f"CPU s per 1,000 streams, {streams} paced {mine:10.3f} {reference:10.3f} {ratio:8.2f}x  bar 2.0x")
        mine, reference, ratio = unpaced_per_s(one)
        print(f"streams/s unpaced, 64 connections  {mine:10.0f} {reference:10.0f} {ratio:8.2f}x  bar 15,000/s")
        for streams in (50, 200, 400, 800):
            for name, value in open_loop(one, streams / ANSWER_S * TOKENS).items():
                print(f"{streams} streams: {name:24s} {value:12.4f}")
        for name, value in open_loop(one, 40_000).items():
            print(f"40,000 tokens/s: {name:24s} {value:12.4f}  bars: TTFT p50 0.3, p99 10; sent 0.995")


if __name__ == "__main__":
    main()
