"""Runs beside neighbours that want every processor: how many of them are valid, and how late they started turns.

Usage: python -m bench neighbours
PEAKDAY_BENCH_RUNS=5 makes fewer runs (20); PEAKDAY_BENCH_ROWS=tokens,smoke picks rows. It prints how workers were
scheduled: `real time` needs root or CAP_SYS_NICE, and a processor more than workers.

Bars: valid at 10,000 tokens/s beside a busy process on every processor; INVALID at most 1 in 20 of `peakday run smoke`
beside two.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.loadgen import bench, open_loop
from host.errors import Exit
from host.processes import processors
from loadgen.record import read_info

RUNS = int(os.environ.get("PEAKDAY_BENCH_RUNS", "20"))
ROWS = os.environ.get("PEAKDAY_BENCH_ROWS", "tokens,smoke").split(",")
TOKENS_PER_S = 10_000


@contextlib.contextmanager
def neighbours(count: int) -> Iterator[None]:
    """So many processes that never wait, at the ordinary priority."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def smoke(seed: int, folder: Path) -> tuple[bool, float, str]:
    """One `peakday run smoke`: whether it was valid, its start lag's p99 in ms, and how its worker was scheduled."""
    out = folder / f"run-{seed}"
    command = [sys.executable, "-m", "peakday", "run", "smoke", "--seed", str(seed), "--out", str(out), "--quiet"]
    code = subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
    info = read_info(out)
    lag_s = (info.quantiles or {})["start_lag_s"]["p99"].value or 0.0
    return (
        code != Exit.INVALID_RUN,
        lag_s * 1e3,
        ", ".join({str(one.scheduling) for one in (info.clock or {}).values()}),
    )


def main() -> None:
    """Print a line a run, then the shares."""
    if "tokens" in ROWS:
        with bench() as bed, neighbours(processors()):
            for number in range(max(1, RUNS // 4)):
                found = open_loop(bed, TOKENS_PER_S)
                figures = ", ".join(f"{name} {value:.3f}" for name, value in found.items())
                print(f"{TOKENS_PER_S:,} tokens/s, run {number + 1}: {figures}", flush=True)
    if "smoke" in ROWS:
        with tempfile.TemporaryDirectory(prefix="peakday-bench-") as folder, neighbours(2):
            results = [smoke(seed, Path(folder)) for seed in range(1, RUNS + 1)]
        for valid, lag_ms, scheduling in results:
            print(f"smoke: {'valid' if valid else 'INVALID'}, start lag p99 {lag_ms:.2f} ms, {scheduling}")
        invalid = sum(not valid for valid, _, _ in results)
        print(f"smoke beside two busy processes: {invalid} of {RUNS} INVALID; bar 1 of 20")


if __name__ == "__main__":
    main()
