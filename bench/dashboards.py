"""How fast and how large reports are: of the demo's size, of a million turns and of ten million.

Run: `python -m bench.dashboards [CASE [TURNS]]`. Each case has a process, and so a peak of memory, of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

LIMITS = {"demo": (160, 3.0, None), "million": (1_000_000, 20.0, 1.0), "ten-million": (10_000_000, 60.0, 1.397)}
"""Case -> turns, seconds allowed, GiB allowed (None: not stated)."""
COPIED_FROM_TURNS = 100_000
"""Larger records are made of copies (`tests.dashboards.large_records`)."""

_MEASURED = """
import json, resource, sys, time
from pathlib import Path
begin = time.perf_counter()
from dashboards.report import load_for_report, write_report
folder = Path(sys.argv[1])
write_report(folder.parent / "report.html", run=load_for_report(folder))
peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(json.dumps({"wall_s": time.perf_counter() - begin, "cpu_s": time.process_time(), "peak_gib": peak_gib}))
"""


def measure(turns: int, folder: Path) -> dict[str, float]:
    """Write a record of so many turns, then time its report and read its peak memory (from a cold interpreter)."""
    maker = (
        ("tests.dashboards.records", "make_run")
        if turns < COPIED_FROM_TURNS
        else ("tests.dashboards.large_records", "make_large_run")
    )
    made = f"import sys; from pathlib import Path; from {maker[0]} import {maker[1]} as make; "
    made += "make(Path(sys.argv[1]), int(sys.argv[2]))"
    record = folder / f"run-{turns}"
    subprocess.run([sys.executable, "-c", made, str(record), str(turns)], check=True)
    done = subprocess.run([sys.executable, "-c", _MEASURED, str(record)], check=True, capture_output=True, text=True)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def main(case: str | None = None, turns: int | None = None) -> None:
    """Print figure, limit and their ratio for each case or one; `turns` replaces its size, to try it quickly."""
    print(f"{'figure':<34}{'measured':>12}{'limit':>10}{'ratio':>8}")
    with tempfile.TemporaryDirectory() as folder:
        for name, (size, seconds, gib) in LIMITS.items():
            if case not in (None, name):
                continue
            figures = measure(turns or size, Path(folder))
            _row(f"report of {name}, seconds", figures["wall_s"], seconds)
            if gib is not None:
                _row(f"report of {name}, peak GiB", figures["peak_gib"], gib)


def _row(figure: str, measured: float, limit: float) -> None:
    print(f"{figure:<34}{measured:>12.2f}{limit:>10.2f}{measured / limit:>8.2f}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None, int(sys.argv[2]) if len(sys.argv) > 2 else None)
