"""`make perf`: peakday's own hot paths gated against another commit, by the same arithmetic as `peakday check`.

Usage: python -m bench.gate [--against REF] [--pairs 12] [--margin 0.10]

Each workload runs in a fresh process in this checkout and in a worktree of REF, side by side in the order ABBA, and is
measured in CPU time in units of a fixed loop, which a busy neighbour moves less than wall time. Exit codes as of
`peakday check`.
"""

from __future__ import annotations

import argparse
import math
import os
import subprocess
import sys
from pathlib import Path

from peakday.gate.builds.builds import worktree
from peakday.gate.outputs import as_text
from peakday.gate.regression.decision import Decision, decide, order, settled, spend
from peakday.gate.verdicts import Line, Outcome, Verdict

LOOKS = (4, 8, 12)
ALPHA = 0.05
WORKLOADS = {
    "parse_sse": """
from wire.sse import SseParser
parser, data = SseParser(), b'event: delta\\ndata: {"text": "hello"}\\n\\n' * 40
def work():
    for _ in range(1_500): parser.feed(data)
""",
    "plan_sessions": """
import json
from peakday.stack.resolved import resolve
from scenarios.loading import json_values
from scenarios.sessions import SessionPlanner
r = resolve("smoke", [], None)
messages = json.loads(r.world.messages.read_text())["messages"]
def work():
    SessionPlanner(json_values(r.scenario), messages, 1).block(0, 20_000)
""",
    "load_scenario": """
from scenarios.loading import load_scenario
def work():
    for _ in range(12): load_scenario("prime_day")
""",
    "route_by_rules": """
from assistant.router.rules import complexity_of, intent_of
messages = ["is this tent waterproof?", "where is my order", "compare these two", "reorder my coffee"]
def work():
    for _ in range(6_000):
        for text in messages: complexity_of(text, intent_of(text) or "deals")
""",
    "plan_smoke": """
from peakday.gate.builds.runs import fixed_plan
from peakday.stack.resolved import resolve
r = resolve("smoke", [], None)
def work():
    fixed_plan(r)
""",
}
"""Name -> code that defines `work`; what it sets up is not measured."""
TIMED = """
import time
def cpu(what):
    began = time.process_time()
    what()
    return time.process_time() - began
def loop():
    total = 0
    for number in range(1_000_000): total += number & 7
work()
print(min(cpu(work) for _ in range(3)) / min(cpu(loop) for _ in range(3)))
"""
"""The best of three turns, in units of a fixed loop of the same process: a clock that changes pace cancels."""


def main() -> int:
    """Run the pairs and print the table; the exit code."""
    options = arguments()
    here = Path.cwd()
    with worktree(options.against, None) as (there, commit):
        print(f"against {options.against} ({commit[:12]}), CPU time of {len(WORKLOADS)} workloads", file=sys.stderr)
        lines = gate(here, there, options)
    outcome = Outcome(f"peakday against {commit[:12]}", tuple(lines))
    print(as_text(outcome))
    return int(outcome.exit_code)


def arguments() -> argparse.Namespace:
    """What was typed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", default="HEAD~1", help="commit to compare the files here with")
    parser.add_argument("--pairs", type=int, default=LOOKS[-1])
    parser.add_argument("--margin", type=float, default=0.10)
    return parser.parse_args()


def gate(here: Path, there: Path, options: argparse.Namespace) -> list[Line]:
    """Pairs until every workload is settled; a workload that one side cannot run is inconclusive."""
    looks = [*(look for look in LOOKS if look < options.pairs), options.pairs]
    folders = {"A": there, "B": here}
    loops: dict[str, dict[str, list[float | None]]] = {name: {"A": [], "B": []} for name in WORKLOADS}
    sides, decisions = order(looks[-1]), []
    for look, alpha in zip(looks, spend(ALPHA, looks), strict=True):
        for side in sides[2 * len(loops["parse_sse"]["A"]) : 2 * look]:
            for name, times in loops.items():
                times[side].append(cpu_loops(WORKLOADS[name], folders[side]))
        print(f"  {look} pairs", file=sys.stderr, flush=True)
        kept = {name: times for name, times in loops.items() if None not in (*times["A"], *times["B"])}
        ratios = {
            name: [math.log(b / a) for a, b in zip(times["A"], times["B"], strict=True)]  # type: ignore[operator]
            for name, times in kept.items()
        }
        decisions = decide(ratios, dict.fromkeys(ratios, options.margin), alpha) if ratios else []
        if settled(decisions):
            break
    absent = [name for name in loops if name not in kept]
    return [*(_line(one, loops) for one in decisions), *(_absent(name) for name in absent)]


def cpu_loops(code: str, folder: Path) -> float | None:
    """CPU time of a workload in a fresh process, in fixed loops; None where this checkout cannot run it."""
    done = subprocess.run(
        [sys.executable, "-c", code + TIMED], cwd=folder, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(folder)},
    )  # fmt: skip
    return float(done.stdout) if done.returncode == 0 else None


def _absent(name: str) -> Line:
    return Line("perf", name, Verdict.INCONCLUSIVE, "one of the two commits cannot run it")


def _line(decision: Decision, loops: dict[str, dict[str, list[float | None]]]) -> Line:
    old, new = (sum(value or 0.0 for value in loops[decision.metric][side]) / decision.pairs for side in "AB")
    return Line(
        "perf", decision.metric, decision.verdict, f"{decision.why} ({decision.pairs} pairs)",
        old, new, decision.mean, decision.lo, decision.hi,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
