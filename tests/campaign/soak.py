"""Hours compressed: so many streams at once, and what memory and descriptors of each process do meanwhile.

`python -m tests.campaign.soak [--users 200] [--minutes 30] [--work FOLDER]` prints a table: for each process of the run
the slope of its resident memory over the second half of the load, by least squares, its memory then at the end, and its
fewest and most descriptors. The load ends with its worker: what reads the record afterwards is no load. Linux.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import psutil

from tests.campaign.faults import PROCESSES, family

EVERY_S = 5.0
Sample = tuple[float, int, int]
"""Seconds since the start, resident bytes, descriptors."""


def main() -> None:
    """Run, sample, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaign.soak", description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--work", type=Path, default=Path(".peakday/soak"))
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    marker = f"soak-{os.getpid()}"
    command = [sys.executable, "-m", "peakday", "run", "smoke", "--users", str(arguments.users)]
    command += ["--for", f"{60 * arguments.minutes:g}s", "--seed", "1"]
    with (arguments.work / "log").open("w") as log:
        run = subprocess.Popen(
            command, cwd=arguments.work, env={**os.environ, "PEAKDAY_TEST_MARKER": marker}, stdout=log, stderr=log,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        samples = sampled(run, marker)
    (arguments.work / "samples.json").write_text(json.dumps(samples))
    print(f"exit {run.returncode}")
    print(table(samples, 60 * arguments.minutes))


def sampled(run: subprocess.Popen[bytes], marker: str) -> dict[str, list[Sample]]:
    """Memory and descriptors of every process of the run, until it ends."""
    samples: dict[str, list[Sample]] = defaultdict(list)
    began_s = time.monotonic()
    while run.poll() is None:
        for process in family(marker):
            try:
                words = process.cmdline()
                name = next(key for key, parts in PROCESSES.items() if all(any(p in w for w in words) for p in parts))
                row = (time.monotonic() - began_s, process.memory_info().rss, process.num_fds())
            except (psutil.Error, OSError, StopIteration):
                continue
            samples[name].append(row)
        time.sleep(EVERY_S)
    return samples


def table(samples: dict[str, list[Sample]], length_s: float) -> str:
    """One row a process, of the second half of the load."""
    rows = ["| process | MB per minute | MB at the end | descriptors |", "|---|---|---|---|"]
    until_s = samples["worker"][-1][0] - 3 * EVERY_S
    for name, taken in samples.items():
        at_s, memory, open_files = np.array(taken, dtype=float).T
        half = (at_s > until_s - length_s / 2) & (at_s < until_s)
        if half.sum() < 3:
            continue
        slope = np.polyfit(at_s[half], memory[half], 1)[0] * 60 / 1e6
        rows.append(
            f"| {name} | {slope:+.2f} | {memory[half][-1] / 1e6:.0f} | {open_files[half].min():.0f} to "
            f"{open_files[half].max():.0f} |"
        )
    return "\n".join(rows)


if __name__ == "__main__":
    main()
