"""The process that times one case: `python -m neuron_bench.child`, asked on stdin, answering on stdout, in JSON lines.

Its environment (threads, visible cores) is set by the parent before it starts.
Requests: load, warm, turn, greedy, exit. An error is answered as {"error": text} and ends the process.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import IO

from pydantic import TypeAdapter

from neuron_bench.child.runner import Runner
from neuron_bench.trace.messages import Greedy, Loaded, LoadRequest, Turn, Warmed

_LOAD = TypeAdapter(LoadRequest)


def main() -> int:
    """Serve requests until stdin ends. Whatever libraries print goes to stderr: stdout carries answers only."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    return serve(sys.stdin, answers)


def serve(requests: IO[str], answers: IO[str]) -> int:
    """Answer each request line; returns the exit code."""
    runner: Runner | None = None
    for line in requests:
        request = json.loads(line)
        op = request.pop("op")
        if op == "exit":
            return 0
        try:
            if op == "load":
                wanted = _LOAD.validate_python(request)
                _pin(wanted.core)
                runner = Runner(wanted)
                answer: Loaded | Warmed | Turn | Greedy = runner.loaded()
            else:
                answer = _work(runner, op, request)
        except Exception as error:
            answers.write(json.dumps({"error": f"{type(error).__name__}: {error}".splitlines()[0]}) + "\n")
            return 1
        answers.write(json.dumps(asdict(answer)) + "\n")
    return 0


def _work(runner: Runner | None, op: str, request: Mapping[str, float]) -> Warmed | Turn | Greedy:
    """What is asked of a loaded graph."""
    assert runner is not None, "load comes first"
    if op == "warm":
        return runner.warm(request["turn_s"], int(request["windows_max"]))
    if op == "turn":
        return runner.turn(request["seconds"], int(request["samples"]))
    return runner.greedy(int(request["steps"]))


def _pin(core: int | None) -> None:
    if core is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})


if __name__ == "__main__":
    raise SystemExit(main())
