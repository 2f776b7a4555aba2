"""The load generator beside a compiled client of the same minute, against a server that stamps what it truly sent.

Server and C client are of our worker's scheduling class: a client that the system lets wait reads many tokens at once,
and one of real time wakes for each, so that figures of two classes compare schedulers. `nice -n 1` makes all three
ordinary. The server stamps a request when it reads it: one that waits for a processor blames that on us.

Wants gcc, the C programs of $PEAKDAY_LOADGEN_BENCH (or ../shared/bench/loadgen), and an idle machine.
Usage: python -m bench loadgen
PEAKDAY_BENCH_SCALE=0.2 shortens every run, PEAKDAY_BENCH_PAIRS=1 makes fewer of them, PEAKDAY_BENCH_ROWS=cpu,startup
picks rows (cpu, unpaced, startup, accuracy).

Bars: CPU a token <= 2.0x the C client at 200 and 800 paced streams, rows written; TTFT error p50 <= 0.3 ms
and p99 <= 10 ms at 40,000 tokens/s; >= 15,000 streams/s unpaced on one core; sent within 0.5% of due; start-up
<= 1 CPU-second beyond Locust's own. Every ratio is the median of interleaved pairs.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from host.ports import free_port
from host.processes import run_first
from loadgen.job import LoadJob, TargetSpec
from loadgen.record import load_run
from loadgen.run import run_load
from loadgen.seal import VARIABLE
from scenarios.schema import Scenario
from tests.loadgen.conftest import SCENARIO, merged

SOURCES = Path(
    os.environ.get("PEAKDAY_LOADGEN_BENCH", Path(__file__).resolve().parents[2] / "shared" / "bench" / "loadgen")
)
SCALE = float(os.environ.get("PEAKDAY_BENCH_SCALE", "1"))
PAIRS = int(os.environ.get("PEAKDAY_BENCH_PAIRS", "5"))
ROWS = os.environ.get("PEAKDAY_BENCH_ROWS", "cpu,unpaced,startup,accuracy").split(",")
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
            preexec_fn=run_first,
        )
        return json.loads(done.stdout)

    def ours(self, for_s: float, **job: Any) -> dict[str, Any]:
        """One run of ours: completed turns, CPU-seconds of its worker since t0, run.json."""
        outcome = run_load(self.job(for_s, **job))
        run = load_run(outcome.run_dir)
        return {
            "completed": outcome.info.totals.completed,
            "cpu_s": float(run.generator["cpu_ratio"].sum()),
            "info": outcome.info.to_json(),
        }

    def job(self, for_s: float, **more: Any) -> LoadJob:
        """A job of sessions of one turn."""
        self.runs += 1
        single = {"interactions_per_session": {"mean": 1, "max": 1}, "turns_per_interaction": {"mean": 1, "max": 1}}
        scenario = Scenario.model_validate(merged(SCENARIO, {"mix": single, "load": {"drain_s": 3.0}}))
        return LoadJob(
            run_dir=str(self.folder / f"run-{self.runs}"),
            run_id=f"run-{self.runs}",
            scenario=scenario.model_dump(mode="json", by_alias=True),
            scenario_hash="",
            peakday_version=version("peakday"),
            seed=self.runs,
            targets=(TargetSpec("openai", f"http://127.0.0.1:{self.port}/v1", model="mock"),),
            messages=str(self.messages),
            for_s=for_s,
            **{"rate_per_s": 1.0, **more},
        )


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
        port = free_port()
        server = subprocess.Popen([folder / "mockllm", str(port)], preexec_fn=run_first)
        try:
            time.sleep(0.3)
            yield Bench(folder, port)
        finally:
            server.terminate()
            server.wait()


def medians(pairs: list[tuple[float, float]]) -> tuple[float, float, float]:
    """Medians of ours, of the C client's, and of the ratios pair by pair."""
    ours, compiled = zip(*pairs, strict=True)
    return statistics.median(ours), statistics.median(compiled), statistics.median(a / b for a, b in pairs)


def cpu_ratio(bed: Bench, streams: int) -> tuple[float, float, float]:
    """CPU-seconds per 1,000 streams of ours and of the C client, and their ratio: medians of interleaved pairs.

    Ours are closed-loop users; both are paced, and phases drift apart over the run.
    """
    pairs = []
    seconds = max(4.0, 15.0 * SCALE)
    requests = int(streams * seconds / ANSWER_S)
    bed.get(f"/ctl?{PACED}&n={TOKENS}")
    for _ in range(PAIRS):
        reference = bed.compiled(streams, requests)["cpu_s"] / requests
        result = bed.ours(seconds, closed_loop_users=streams)
        pairs.append((result["cpu_s"] / result["completed"] * 1e3, reference * 1e3))
    return medians(pairs)


def unpaced_per_s(bed: Bench) -> dict[str, tuple[float, float, float]]:
    """Streams over 64 connections without pacing, a second of the clock and a second of the client's CPU."""
    seconds, requests = max(2.0, 5.0 * SCALE), max(2_000, int(100_000 * SCALE))
    clock, cpu = [], []
    bed.get(f"/ctl?{UNPACED}&n={TOKENS}")
    for _ in range(PAIRS):
        reference = bed.compiled(64, requests)
        result = bed.ours(seconds, closed_loop_users=64)
        clock.append((result["completed"] / seconds, reference["n"] / reference["wall_s"]))
        cpu.append((result["completed"] / result["cpu_s"], reference["n"] / reference["cpu_s"]))
    return {"second": medians(clock), "CPU-second": medians(cpu)}


LOCUST_ALONE = "import time, locust.main, locust.runners; print(time.process_time())"
WITH_OURS = (
    "import sys, time, locust.main, locust.runners; from pathlib import Path; import loadgen.worker.locustfile\n"
    "from loadgen.job import LoadJob; from loadgen.worker.worker_run import WorkerRun\n"
    "WorkerRun(LoadJob.read(Path(sys.argv[1])), 0, 1).prepare(); print(time.process_time())"
)

SEALED = {VARIABLE: "bench"}  # a worker's messages are sealed with its run's secret


def start_up_s(bed: Bench) -> tuple[float, float, float]:
    """CPU-seconds of a worker until it is ready for t0, at 60 sessions/s; of Locust's imports alone; the difference."""
    job = bed.job(60.0, rate_per_s=60.0)
    job.folder.mkdir()
    job.write(job.folder / "job.json")
    pairs = []
    for _ in range(PAIRS):
        spent = []
        for code in (WITH_OURS, LOCUST_ALONE):
            command = [sys.executable, "-c", code, str(job.folder / "job.json")]
            done = subprocess.run(command, capture_output=True, check=True, text=True, env={**os.environ, **SEALED})
            spent.append(float(done.stdout))
        pairs.append((spent[0], spent[1]))
    ours, alone, _ = medians(pairs)
    return ours, alone, statistics.median(a - b for a, b in pairs)


def open_loop(bed: Bench, tokens_per_s: float) -> dict[str, float]:
    """TTFT error against the server's own stamps, start lag, and the share sent, at a rate of tokens."""
    bed.get(f"/ctl?{PACED}&n={TOKENS}")
    bed.get("/reset")
    result = bed.ours(max(4.0, 15.0 * SCALE), rate_per_s=tokens_per_s / TOKENS)
    truth, info = bed.get("/stats"), result["info"]
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
    print(f"{'':44s}{'ours':>10s} {'C client':>10s} {'ratio':>8s}")
    with bench() as bed:
        if "cpu" in ROWS:
            for streams in (200, 800):
                mine, reference, ratio = cpu_ratio(bed, streams)
                row = f"CPU s per 1,000 streams, {streams} paced"
                print(f"{row:44s}{mine:10.3f} {reference:10.3f} {ratio:7.2f}x  bar 2.0x", flush=True)
        if "unpaced" in ROWS:
            for unit, (mine, reference, ratio) in unpaced_per_s(bed).items():
                row = f"streams a {unit}, unpaced, 64 connections"
                print(f"{row:44s}{mine:10.0f} {reference:10.0f} {ratio:7.2f}x  bar 15,000", flush=True)
        if "startup" in ROWS:
            mine, alone, beyond = start_up_s(bed)
            print(
                f"start-up CPU s: ours {mine:.2f}, Locust alone {alone:.2f}, beyond {beyond:.2f}  bar 1.0", flush=True
            )
        if "accuracy" in ROWS:
            accuracy(bed)


def accuracy(bed: Bench) -> None:
    """Our times against what the server truly sent, at four numbers of streams and at the bar's rate of tokens."""
    for streams in (50, 200, 400, 800):
        for name, value in open_loop(bed, streams / ANSWER_S * TOKENS).items():
            print(f"{streams} streams: {name:24s} {value:12.4f}", flush=True)
    for name, value in open_loop(bed, 40_000).items():
        print(f"40,000 tokens/s: {name:24s} {value:12.4f}  bars: TTFT p50 0.3, p99 10; sent 0.995", flush=True)


if __name__ == "__main__":
    main()
