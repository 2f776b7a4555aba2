"""Run a command whose processes stand still at random moments, as on a machine with too much to do (POSIX):

python -m tests.pauses [--seed 1] [--longest 2] [--rest 1] [--busy 0] COMMAND...
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import subprocess
import sys
import time

import psutil

SHORTEST_S = 0.1


def main() -> None:
    """The command's exit code; how often its processes stood still goes to stderr."""
    parser = argparse.ArgumentParser(prog="python -m tests.pauses", description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=None, help="of processes and moments; default: another each time")
    parser.add_argument("--longest", type=float, default=2.0, help="seconds that a process stands still at most")
    parser.add_argument("--rest", type=float, default=1.0, help="mean seconds from one pause to the next")
    parser.add_argument("--busy", type=int, default=0, help="processes that keep a core busy beside the command")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    asked = parser.parse_args()
    burners = [subprocess.Popen([sys.executable, "-c", f"import os\nwhile os.getppid() == {os.getpid()}: pass"])
               for _ in range(asked.busy)]  # fmt: skip
    run = subprocess.Popen(asked.command)
    try:
        pauses, still_s = pause_until_it_ends(run, random.Random(asked.seed), asked.longest, asked.rest)
    finally:
        for burner in burners:
            burner.kill()
    print(f"{pauses} pauses, {still_s:.0f} s in all; seed {asked.seed}", file=sys.stderr)
    sys.exit(run.returncode)


def pause_until_it_ends(
    run: subprocess.Popen[bytes], rng: random.Random, longest_s: float, rest_s: float
) -> tuple[int, float]:
    """Stop one process of a command's family after the other, each for a while: how many pauses, and their seconds."""
    pauses, still_s = 0, 0.0
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.wait(rng.expovariate(1 / rest_s) if rest_s else 0.0)
            return pauses, still_s
        with contextlib.suppress(psutil.Error):
            family = psutil.Process(run.pid)
            process = rng.choice([family, *family.children(recursive=True)])
            length_s = rng.uniform(SHORTEST_S, longest_s)
            process.suspend()
            try:
                time.sleep(length_s)
            finally:
                process.resume()
            pauses, still_s = pauses + 1, still_s + length_s


if __name__ == "__main__":
    main()
