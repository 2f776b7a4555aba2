"""The parent's side of a bench child: start it in a clean environment, ask, answer, end. POSIX pipes, JSON lines."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from neuron_bench.errors import BenchError
from neuron_bench.trace.messages import Greedy, Loaded, LoadRequest, Turn, Warmed

_Answer = TypeVar("_Answer")
_LOADED, _WARMED = TypeAdapter(Loaded), TypeAdapter(Warmed)
_TURN, _GREEDY = TypeAdapter(Turn), TypeAdapter(Greedy)
CLOSE_S = 5.0
"""How long a child may take to end by itself: it may be inside a compiler."""


class ChildError(BenchError):
    """A bench child refused or died; the message is its own."""


class Child:
    """One running child process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.process, self._requests, self._answers = process, process.stdin, process.stdout

    def load(self, request: LoadRequest) -> Loaded:
        """Build the graph, or take it from its file, and load it."""
        return self._ask("load", asdict(request), _LOADED)

    def warm(self, *, turn_s: float, windows_max: int) -> Warmed:
        """Run until two windows agree."""
        return self._ask("warm", {"turn_s": turn_s, "windows_max": windows_max}, _WARMED)

    def turn(self, *, seconds: float, samples: int) -> Turn:
        """Time steps for so long, and at least so many."""
        return self._ask("turn", {"seconds": seconds, "samples": samples}, _TURN)

    def greedy(self, steps: int) -> Greedy:
        """Greedy decode steps from an empty cache."""
        return self._ask("greedy", {"steps": steps}, _GREEDY)

    def _ask(self, op: str, request: Mapping[str, object], answer: TypeAdapter[_Answer]) -> _Answer:
        """One request, one answer.

        Raises:
            ChildError: the child answered with an error, with something else, or ended.
        """
        try:
            self._requests.write(json.dumps({"op": op, **request}) + "\n")
            self._requests.flush()
            line = self._answers.readline()
        except (BrokenPipeError, OSError) as error:
            raise ChildError(f"bench child ended ({error})") from None
        if not line:
            raise ChildError(f"bench child ended with exit code {self.process.wait()}")
        received = json.loads(line)
        if "error" in received:
            raise ChildError(str(received["error"]))
        try:
            return answer.validate_python(received)
        except ValidationError as error:
            raise ChildError(
                f"bench child answered {line.strip()[:200]!r} to {op} ({error.error_count()} problems)"
            ) from None

    def hang_up(self) -> None:
        """Tell it that nothing more comes."""
        with contextlib.suppress(OSError):
            self._requests.close()

    def close(self, wait_s: float = CLOSE_S) -> None:
        """End the child: closing its stdin is enough, unless it hangs in a compiler."""
        self.hang_up()
        try:
            self.process.wait(timeout=wait_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._answers.close()


def close_all(children: Iterable[Child], wait_s: float = CLOSE_S) -> None:
    """End children together: none waits for another."""
    alive = list(children)
    for child in alive:
        child.hang_up()
    for child in alive:
        child.close(wait_s)


def environment(device: str, *, core: int, threads: int, base: Mapping[str, str]) -> dict[str, str]:
    """What a child sees: set before it imports anything, because libraries read it once.

    core: the Neuron core or CUDA device of this child. One core a child: a single-core model shares nothing.
    """
    clean = dict(base)
    clean |= {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    clean["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    clean["TOKENIZERS_PARALLELISM"] = "false"
    if device == "neuron":
        clean["NEURON_RT_VISIBLE_CORES"] = str(core)
        clean.pop("NEURON_RT_NUM_CORES", None)
    if device == "cuda":
        clean["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
    return clean


def start(device: str, *, core: int = 0, threads: int = 1) -> Child:
    """A child waiting for `load`. Ctrl-C is the parent's to handle: children are in a session of their own."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "neuron_bench.child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(device, core=core, threads=threads, base=os.environ),
        start_new_session=True,
    )
    return Child(process)
