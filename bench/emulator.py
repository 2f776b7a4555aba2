"""How fast the emulator is and how late, beside a C client and a C server of the same run.

Wants gcc and the C programs of $PEAKDAY_LOADGEN_BENCH (or ../shared/bench/loadgen), and an idle machine.
Usage: python -m bench emulator

Three ways to have 1,000 streams: the C client's closed loop, which starts them all at once and is measured when they
are out of step; a Poisson flow, as customers are; and that first instant alone, which no bar speaks of.
"""

import json
import os
import random
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import psutil

from host.ports import free_port
from host.yaml_text import dump_yaml

ROOT = Path(__file__).resolve().parents[1]
SOURCES = Path(os.environ.get("PEAKDAY_LOADGEN_BENCH", ROOT.parent / "shared" / "bench" / "loadgen"))
TOKENS = 64  # the C client asks for so many
C_CLIENT_US_PER_TOKEN = 6.7  # on the machine where the bars were set


def build(folder: Path) -> None:
    """Compile the C server and client."""
    for name, flags in (("mockllm", ["-lm"]), ("rawclient", [])):
        source = SOURCES / f"{name}.c"
        subprocess.run(["gcc", "-O2", "-w", "-o", str(folder / name), str(source), *flags], check=True)


def call(url: str, body: object | None = None) -> dict:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.loads(answer.read() or b"{}")


class Emulator:
    """An emulator process that serves the model `mock`, with a provider's pacing on the OpenAI protocol."""

    def __init__(self, folder: Path) -> None:
        model = {
            "model_id": "mock", "stands_for": "the C server", "supply": "self_hosted", "protocol": "openai",
            "cache_rule": "none", "context_tokens": 100_000, "max_output_tokens": 4096, "images": False,
            "grounding_regions": [], "source": "benchmark",
        }  # fmt: skip
        profile = {
            "physics": "provider",
            "ttft": {"base_s": 0.1, "per_uncached_token_s": 0, "per_cached_token_s": 0, "sigma": 0},
            "gap": {"gap_s": 0.02, "sigma": 0, "tokens_per_chunk": 1},
            "load": {"slow_at_in_flight": 1e12},
            "tokens": {"bytes_per_token": 4.0, "image_tokens": 0},
        }
        files = {
            "models.yaml": {"schema": "peakday.models/1", "models": {"mock": model}, "marketplaces": {}},
            "profiles.yaml": {
                "schema": "peakday.emulator/1", "models": {"mock": "mock"}, "profiles": {"mock": profile},
            },
            "conversations.yaml": {"schema": "peakday.conversations/1", "default": {"answer_tokens": TOKENS}},
        }  # fmt: skip
        for name, value in files.items():
            (folder / name).write_text(dump_yaml(value))
        stack = {
            "schema": "peakday.stack/1", "models_file": str(folder / "models.yaml"),
            "profiles": str(folder / "profiles.yaml"), "data": {"conversations": str(folder / "conversations.yaml")},
        }  # fmt: skip
        (folder / "stack.json").write_text(json.dumps(stack))
        command = [sys.executable, "-m", "emulator", "--stack", str(folder / "stack.json")]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        self.url = json.loads(self._process.stdout.readline())["url"]
        self.port = int(self.url.rsplit(":", 1)[1])
        self._usage = psutil.Process(self._process.pid)

    def pace(self, ttft_s: float, gap_s: float, sigma: float = 0.0) -> None:
        """Serve at this pace; `sigma` scatters both, so that streams of one client come out of step."""
        groups = {"ttft": {"base_s": ttft_s, "sigma": 4 * sigma}, "gap": {"gap_s": gap_s, "sigma": sigma}}
        call(f"{self.url}/control/profiles", {"mock": groups})
        call(f"{self.url}/control/reset", {})

    def pace_by_engine(self) -> None:
        """Serve by eight batching engines whose steps take 20 ms."""
        engine = {
            "max_num_seqs": 32, "max_batched_tokens": 2048, "block_tokens": 32, "kv_blocks": 8192,
            "prefix_cache_blocks": 8192, "replicas": 8, "router": "least_loaded", "ttft_overhead_s": 0.08,
        }  # fmt: skip
        step = {"a": 0.02, "b": 1e-6, "e": 0.0, "c": 1e-6, "d": 0.0}
        call(f"{self.url}/control/profiles", {"mock": {"physics": "engine", "step": step, "engine": engine}})
        call(f"{self.url}/control/reset", {})

    def cpu_s(self) -> float:
        times = self._usage.cpu_times()
        return times.user + times.system

    def memory_mb(self) -> float:
        return self._usage.memory_info().rss / 1e6

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(5)


def client(folder: Path, port: int, streams: int, requests: int) -> dict:
    """One run of the C client."""
    command = [str(folder / "rawclient"), str(port), str(streams), str(requests)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(printed if printed.rstrip().endswith("}") else printed + "}")


def row(name: str, value: float, unit: str, bar: str, note: str = "") -> None:
    print(f"{name:<44} {value:>12,.2f} {unit:<12} bar {bar:<12} {note}", flush=True)


def reference(folder: Path, requests: int) -> float:
    """CPU microseconds a token of the C client against the C server, 200 streams at 50 tokens/s."""
    port = free_port()
    server = subprocess.Popen([str(folder / "mockllm"), str(port)])
    try:
        for _ in range(100):
            try:
                call(f"http://127.0.0.1:{port}/health")
                break
            except OSError:
                time.sleep(0.02)
        run = client(folder, port, 200, requests)
    finally:
        server.terminate()
        server.wait()
    return run["cpu_s"] / (run["n"] * TOKENS) * 1e6


def unpaced(folder: Path, emulator: Emulator, requests: int, scale: float) -> None:
    emulator.pace(0.0, 0.0)
    before_s = emulator.cpu_s()
    run = client(folder, emulator.port, 64, requests)
    cpu_s = emulator.cpu_s() - before_s
    rate = requests * TOKENS / run["wall_s"]
    row(
        "unpaced, 64 connections",
        rate,
        "tokens/s",
        f">= {200_000 / scale:,.0f}",
        f"{cpu_s / requests * 1e6:.0f} us/request",
    )


def paced(
    folder: Path,
    emulator: Emulator,
    what: str,
    streams: int,
    stream_s: float,
    limit_s: float,
    requests: int,
    scale: float,
) -> None:
    """Lateness and CPU once the streams, which the client starts all at once, are out of step.

    `stream_s`: how long one stream takes. Measured between the second stream of each connection and the last but one.
    """
    running = subprocess.Popen(
        [str(folder / "rawclient"), str(emulator.port), str(streams), str(requests)], stdout=subprocess.DEVNULL
    )
    time.sleep(2 * stream_s)
    call(f"{emulator.url}/control/reset", {"what": ["lateness"]})
    before_s, until_s = emulator.cpu_s(), time.monotonic() + stream_s * max(1.0, requests / streams - 4)
    while running.poll() is None and time.monotonic() < until_s:
        time.sleep(0.05)
    cpu_s = emulator.cpu_s() - before_s
    late = call(f"{emulator.url}/control/lateness")
    running.wait()
    report(what, late, cpu_s, limit_s, scale)


def report(what: str, late: dict, cpu_s: float, limit_s: float, scale: float, note: str = "") -> None:
    """Three rows of one paced case."""
    tokens = late["token"]["n"] + late["first"]["n"]
    limit = f"<= {limit_s * scale * 1e3:.1f}"
    row(f"{what}: late p99, later tokens", late["token"]["p99_s"] * 1e3, "ms", limit, f"n {tokens:,}")
    row(f"{what}: late p99, first tokens", late["first"]["p99_s"] * 1e3, "ms", limit, note)
    row(f"{what}: CPU", cpu_s / tokens * 1e6, "us/token", f"<= {30 * scale:.1f}")


def flow(port: int, rate_per_s: float, for_s: float, seed: int = 1) -> None:
    """A client in a process of its own: requests of the C client's kind by a Poisson process, bytes read and dropped.

    Each takes a free connection, or a new one. Prints one JSON line.
    """
    body = json.dumps(
        {"model": "mock", "messages": [{"role": "user", "content": "hello"}], "stream": True, "max_tokens": TOKENS}
    ).encode()
    request = b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n" % len(body) + body
    draw, watched = random.Random(seed), selectors.DefaultSelector()
    free: list[socket.socket] = []
    start_s = next_s = time.monotonic()
    sent = done = busy_max = 0
    late_s = 0.0
    while done < sent or next_s < start_s + for_s:
        now_s = time.monotonic()
        while next_s <= now_s and next_s < start_s + for_s:
            if not free:
                free.append(socket.create_connection(("127.0.0.1", port)))
                watched.register(free[-1], selectors.EVENT_READ)
            free.pop().sendall(request)
            late_s = max(late_s, now_s - next_s)
            sent += 1
            next_s += draw.expovariate(rate_per_s)
        busy_max = max(busy_max, sent - done)
        wait_s = next_s - time.monotonic() if next_s < start_s + for_s else 1.0
        for key, _ in watched.select(max(0.0, wait_s)):
            if key.fileobj.recv(65536).endswith(b"\r\n0\r\n\r\n"):
                done += 1
                free.append(key.fileobj)
    print(json.dumps({"requests": sent, "streams_max": busy_max, "client_late_ms_max": late_s * 1e3}))


def poisson(emulator: Emulator, what: str, rate_per_s: float, stream_s: float, limit_s: float, for_s: float,
            scale: float) -> None:  # fmt: skip
    """Lateness and CPU under a flow of arrivals that know nothing of one another, once it is steady."""
    command = [
        sys.executable,
        "-c",
        f"from bench.emulator import flow; flow({emulator.port}, {rate_per_s}, {for_s})",
    ]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    time.sleep(1.5 * stream_s)
    call(f"{emulator.url}/control/reset", {"what": ["lateness"]})
    before_s = emulator.cpu_s()
    time.sleep(max(1.0, for_s - 2 * stream_s))
    cpu_s = emulator.cpu_s() - before_s
    late = call(f"{emulator.url}/control/lateness")
    client_row = json.loads(running.communicate()[0])
    report(what, late, cpu_s, limit_s, scale, f"up to {client_row['streams_max']:,} streams at once")


def one_instant(folder: Path, emulator: Emulator, streams: int) -> None:
    """First tokens of requests that all arrive at the same moment; TTFT 0.1 s. No bar: no crowd is so sudden."""
    call(f"{emulator.url}/control/reset", {"what": ["lateness"]})
    client(folder, emulator.port, streams, streams)
    late = call(f"{emulator.url}/control/lateness")
    row(f"{streams:,} requests in one instant: late p99, first", late["first"]["p99_s"] * 1e3, "ms", "(none)")


def memory(folder: Path, emulator: Emulator, requests: int) -> None:
    """Resident memory once the ring of /truth is full, and after all the requests."""
    full = min(requests // 2, 150_000)
    client(folder, emulator.port, 64, full)
    before_mb = emulator.memory_mb()
    client(folder, emulator.port, 64, requests - full)
    row(
        f"memory growth over {requests:,} requests",
        emulator.memory_mb() - before_mb,
        "MB",
        "flat",
        f"from {before_mb:.0f} MB",
    )


def main(requests: int = 6000, memory_requests: int = 1_000_000) -> None:
    """Print every row; the bars are scaled by the C client's CPU of this run."""
    if not shutil.which("gcc") or not SOURCES.is_dir():
        print(f"skipped: wants gcc and the C programs in {SOURCES}")
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build(folder)
        us = reference(folder, max(200, requests // 3))
        scale = us / C_CLIENT_US_PER_TOKEN
        row("C client, 200 streams x 50 tokens/s: CPU", us, "us/token", "(reference)", f"bars scaled by {scale:.2f}")
        emulator = Emulator(folder)
        try:
            unpaced(folder, emulator, requests * 5, scale)
            memory(folder, emulator, memory_requests)
            emulator.pace(0.1, 0.02, sigma=0.15)
            paced(folder, emulator, "200 x 50 tokens/s", 200, 1.4, 0.005, max(1200, requests), scale)
            emulator.pace(0.1, 0.04, sigma=0.15)
            paced(folder, emulator, "1,000 x 25 tokens/s", 1000, 2.7, 0.010, max(6000, requests * 2), scale)
            poisson(
                emulator, "1,000 x 25, Poisson arrivals", 1000 / 2.66, 2.66, 0.010, min(20.0, requests / 300), scale
            )
            one_instant(folder, emulator, 1000)
            emulator.pace_by_engine()
            paced(folder, emulator, "engine, 200 x 50 tokens/s", 200, 1.4, 0.005, max(1200, requests), scale)
        finally:
            emulator.stop()


if __name__ == "__main__":
    main()
