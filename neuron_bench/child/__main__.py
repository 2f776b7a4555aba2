"""The process that times one case: `python -m neuron_bench.child`, asked on stdin, answering on stdout, in JSON lines.

Its environment (threads, visible cores) is set by the parent before it starts.
Requests: load, warm, turn, greedy, exit. An error is answered as {"error": text} and ends the process.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import IO, Any


def main() -> int:
    """Serve requests until stdin ends. Whatever libraries print goes to stderr: stdout carries answers only."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    return serve(sys.stdin, answers)


def serve(requests: IO[str], answers: IO[str]) -> int:
    """Answer each request line; returns the exit code."""
    from neuron_bench.child.runner import OPERATIONS, Runner

    runner: Runner | None = None
    for line in requests:
        request = json.loads(line)
        try:
            if request["op"] == "exit":
                return 0
            if request["op"] == "load":
                _pin(request["core"])
                started = time.perf_counter()
                runner = Runner(request)
                answer: dict[str, Any] = runner.facts() | {"start_s": time.perf_counter() - started}
            else:
                assert runner is not None, "load comes first"
                answer = OPERATIONS[request["op"]](runner, request)
        except Exception as error:
            answers.write(json.dumps({"error": f"{type(error).__name__}: {error}".splitlines()[0]}) + "\n")
            return 1
        answers.write(json.dumps(answer) + "\n")
    return 0


def _pin(core: int | None) -> None:
    if core is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})


if __name__ == "__main__":
    raise SystemExit(main())
