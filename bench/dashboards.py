"""How fast and how large reports are: a run of a million turns, and one of the demo's size.

Run: `python -m bench.dashboards [TURNS]`. Each case runs in a process of its own, so that peak memory is its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

LIMITS = {"demo": (160, 3.0, None), "million": (1_000_000, 20.0, 1.0)}
"""Case -> turns, seconds allowed, GiB allowed (None: not stated). Issue 10."""

_MEASURED = """
import json, resource, sys, time
from pathlib import Path
begin = time.perf_counter()
from dashboards.report import load_for_report, write_report
folder = Path(sys.argv[1])
write_report(folder.parent / "report.html", run=load_for_report(folder))
peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(json.dumps({"wall_s": time.perf_counter() - begin, "peak_gib": peak_gib}))
"""


def measure(turns: int, folder: Path) -> dict[str, float]:
    """Write a record of so many turns, then time its report and read its peak memory (from a cold interpreter)."""
    made = "import sys; from pathlib import Path; from tests.dashboards.records import make_run; "
    made += "make_run(Path(sys.argv[1]), int(sys.argv[2]))"
    record = folder / f"run-{turns}"
    subprocess.run([sys.executable, "-c", made, str(record), str(turns)], check=True)
    done = subprocess.run([sys.executable, "-c", _MEASURED, str(record)], check=True, capture_output=True, text=True)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def main(turns: int | None = None) -> None:
    """Print figure, limit and their ratio for each case; `turns` replaces the million, to try it quickly."""
    print(f"{'figure':<34}{'measured':>12}{'limit':>10}{'ratio':>8}")
    with tempfile.TemporaryDirectory() as folder:
        for name, (size, seconds, gib) in LIMITS.items():
            figures = measure(turns if turns and name == "million" else size, Path(folder))
            _row(f"report of {name}, seconds", figures["wall_s"], seconds)
            if gib is not None:
                _row(f"report of {name}, peak GiB", figures["peak_gib"], gib)


def _row(figure: str, measured: float, limit: float) -> None:
    print(f"{figure:<34}{measured:>12.2f}{limit:>10.2f}{measured / limit:>8.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else None)
