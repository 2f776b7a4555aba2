"""Run the campaign: `python -m tests.campaign [--runs 60] [--seed 1] [--work FOLDER] [--minutes 60]`, as root on Linux.

Every run is one `peakday run smoke` of a few seconds with one fault. Results are kept in --work/results.jsonl: the same
command goes on where it stopped. The table at the end is that of docs/reliability.md.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import psutil

from tests.campaign.faults import Fault, draw, family, inject, named, surroundings
from tests.campaign.invariants import problems

LENGTH_S = 5.0
OVER_AFTER_S = 240.0
"""A run that has not ended by then hangs: a master that is stopped is given up 80 s after its drain."""
APPEARS_WITHIN_S = 90.0
"""How long a process that is to be struck is waited for: a busy machine takes its time to start one."""


def one_run(seed: int, folder: Path) -> dict[str, object]:
    """A run under the fault of a seed, and everything wrong with how it ended."""
    rng = random.Random(seed)
    fault = draw(rng, LENGTH_S)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    marker = f"campaign-{os.getpid()}-{seed}"
    environment = {**os.environ, "PEAKDAY_TEST_MARKER": marker, "COLUMNS": "120"}
    with surroundings(fault, folder) as (where, before):
        command = [sys.executable, "-m", "peakday", "run", "smoke", "--rate", "3/s", "--for", f"{LENGTH_S:g}s"]
        command += ["--seed", "1"]
        count = 2 if fault.kind == "twins" else 1
        logs = [(where.parent / f"{where.name}-{number}.log").open("w+") for number in range(count)]
        began_s = time.monotonic()
        options = {"cwd": where, "env": environment, "stdin": subprocess.DEVNULL, "start_new_session": True}
        runs = [subprocess.Popen(command, stdout=log, stderr=log, preexec_fn=begin(before), **options) for log in logs]
        struck = strike(fault, marker, runs)
        codes = [ended(run, fault, began_s) for run in runs]
        for log in logs:
            log.seek(0)
        output = "".join(log.read() for log in logs)
        wait_for_children(marker)
        wrong = problems(fault, struck, marker, where, codes, output)
        if None in codes:
            wrong.append(f"hangs: not over after {OVER_AFTER_S:g} s")
        for process in family(marker):
            process.kill()
    last = output.strip().splitlines()[-1] if output.strip() else ""
    return {
        "seed": seed,
        "kind": fault.kind,
        "process": fault.process,
        "fault": str(fault),
        "struck": struck is not None,
        "codes": codes,
        "wrong": wrong,
        "last": last[:200],
    }


def begin(before: Callable[[], None] | None) -> Callable[[], None]:
    """What a run's process does first: Ctrl-C counts again where the campaign is a shell's background job."""

    def first() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if before is not None:
            before()

    return first


def strike(fault: Fault, marker: str, runs: list[subprocess.Popen[str]]) -> datetime | None:
    """Wait for the process, then for the fault's moment, and bring it about; when that was, None where it was gone."""
    if not fault.process:
        return datetime.now(UTC)
    until_s = time.monotonic() + APPEARS_WITHIN_S
    while named(marker, fault.process) is None:
        if time.monotonic() > until_s or all(run.poll() is not None for run in runs):
            return None
        time.sleep(0.05)
    time.sleep(fault.at_s)
    struck = inject(fault, marker)
    at = datetime.now(UTC)
    if fault.twice:
        time.sleep(0.5)
        inject(fault, marker)
    return at if struck else None


def ended(run: subprocess.Popen[str], fault: Fault, began_s: float) -> int | None:
    """The exit code. A command that was stopped is let go on after 3 s, as a laptop that is opened again."""
    if fault.kind == "stop" and fault.process == "command":
        time.sleep(3.0)
        with contextlib.suppress(psutil.Error):
            psutil.Process(run.pid).resume()
    try:
        return run.wait(max(1.0, began_s + OVER_AFTER_S - time.monotonic()))
    except subprocess.TimeoutExpired:
        run.kill()
        return None


def wait_for_children(marker: str, within_s: float = 12.0) -> None:
    """Children notice that their parent is gone by themselves."""
    until_s = time.monotonic() + within_s
    while family(marker) and time.monotonic() < until_s:
        time.sleep(0.2)


def main() -> None:
    """Go on with a campaign, and print its table."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaign", description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1, help="of the first run; the others follow")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--work", type=Path, default=Path(".peakday/campaign"))
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    results = arguments.work.resolve() / "results.jsonl"
    done = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    known = {result["seed"] for result in done}
    until_s = time.monotonic() + 60 * arguments.minutes
    for seed in range(arguments.seed, arguments.seed + arguments.runs):
        if seed in known or time.monotonic() > until_s:
            continue
        result = one_run(seed, arguments.work.resolve() / "run")
        with results.open("a") as file:
            file.write(json.dumps(result) + "\n")
        done.append(result)
        wrong = f" WRONG {'; '.join(result['wrong'])}" if result["wrong"] else ""
        print(f"{seed} {result['fault']}: exit {result['codes']}{wrong}", flush=True)
    print(table(done))
    sys.exit(any(result["wrong"] for result in done))


def table(done: list[dict]) -> str:
    """Runs, those struck, exit codes and what was wrong, by fault."""
    rows = ["| fault | runs | struck | exit codes | wrong |", "|---|---|---|---|---|"]
    for key in sorted({(result["kind"], result["process"]) for result in done}):
        of = [result for result in done if (result["kind"], result["process"]) == key]
        codes = Counter(str(code) for result in of for code in result["codes"])
        shown = ", ".join(f"{code} x {number}" for code, number in sorted(codes.items()))
        rows.append(
            f"| {' '.join(filter(None, key))} | {len(of)} | {sum(result['struck'] for result in of)} | {shown} | "
            f"{sum(bool(result['wrong']) for result in of)} |"
        )
    return "\n".join(rows)


if __name__ == "__main__":
    main()
