"""How quickly `peakday serve` answers: home with 500 records beside 50 open streams, and 28 what-ifs of prime_day.

Run on an idle machine: `python -m bench.serve`. A what-if is timed from its request to its answer's end, over HTTP;
the first question of a start, which simulates everything, is shown apart.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

RECORDS, STREAMS, LOOKS = 500, 50, 20
HOME_S, WHAT_IF_P95_S = 0.3, 3.0
CHANGES = (
    *(f"demand.interactions.peak_per_s.mid={rate}" for rate in (250, 290, 333, 450)),
    *(f"capacity.own.custom-8b.ttft_s_p99={limit}" for limit in (0.5, 0.7, 0.9)),
    *(f"capacity.own.custom-8b.tpot_s_p99={limit}" for limit in (0.05, 0.08)),
    *(f"capacity.assumed_tokens.output_tokens={tokens}" for tokens in (150, 320)),
    *(f"capacity.assumed_tokens.shared_prefix_tokens={tokens}" for tokens in (1_500, 3_500)),
    *(f"capacity.hit_ratios.custom-8b={ratio}" for ratio in (0.5, 0.65, 0.8)),
    *(f"capacity.service_level={level}" for level in (0.8, 0.85, 0.95)),
    *(f"capacity.value_per_interaction_usd={usd}" for usd in (1, 2)),
    *(f"quotas.nova-pro.tpm={tokens}" for tokens in (5_000_000, 9_000_000)),
    "capacity.resilience.zones=4",
    "capacity.resilience.zones_lost=0",
    "capacity.resilience.retry_extra_attempts=0.3",
    "assistant.policy.simple=nova-pro",
    "capacity.own.custom-8b.chips=[trainium2]",
)


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The address of a `peakday serve` of the folder."""
    command = [sys.executable, "-m", "peakday", "serve", "--port", "0", "--json", "--quiet"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield str(json.loads(process.stdout.readline())["url"])
    finally:
        process.terminate()
        process.wait(20)


def seconds(address: str) -> float:
    """How long one answer takes, to its last byte.

    Raises:
        RuntimeError: a what-if that was refused.
    """
    began_s = time.perf_counter()
    with urllib.request.urlopen(address) as answer:
        text = answer.read()
    if b"event: refused" in text:
        raise RuntimeError(f"{address}: {text[-200:]!r}")
    return time.perf_counter() - began_s


def records(folder: Path) -> None:
    """So many runs, copies of one of 60 turns under names of their own."""
    made = "import sys; from pathlib import Path; from tests.dashboards.records import make_run; "
    first = folder / "runs" / "20260101-000000-smoke"
    subprocess.run([sys.executable, "-c", f"{made}make_run(Path(sys.argv[1]), 60)", str(first)], check=True)
    for number in range(1, RECORDS):
        name = f"20260101-{number // 3600:02}{number // 60 % 60:02}{number % 60:02}-smoke"
        shutil.copytree(first, folder / "runs" / name)


def main() -> None:
    """Print figure, limit and their ratio."""
    print(f"{'figure':<52}{'measured':>10}{'limit':>8}{'ratio':>8}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        records(folder)
        with serving(folder) as url:
            first_s = seconds(url)
            streams = [urllib.request.urlopen(f"{url}events") for _ in range(STREAMS)]
            home_s = statistics.median(seconds(url) for _ in range(LOOKS))
            for stream in streams:
                stream.close()
            _row(f"home, {RECORDS} records beside {STREAMS} open streams, median s", home_s, HOME_S)
            print(f"  the first look, which reads every record: {first_s:.2f} s")
            question = {"scenario": "prime_day", "run": "none"}
            first_s = seconds(f"{url}what-if/answer?{urlencode(question)}")
            took_s = sorted(seconds(f"{url}what-if/answer?{urlencode({**question, 'set': one})}") for one in CHANGES)
    p95_s = took_s[-(-95 * len(took_s) // 100) - 1]
    _row(f"what-if of prime_day, {len(took_s)} changes, p95 s", p95_s, WHAT_IF_P95_S)
    print(f"  first {first_s:.2f} s; median {statistics.median(took_s):.2f} s, worst {took_s[-1]:.2f} s")


def _row(figure: str, measured: float, limit: float) -> None:
    print(f"{figure:<52}{measured:>10.2f}{limit:>8.2f}{measured / limit:>8.2f}")


if __name__ == "__main__":
    main()
