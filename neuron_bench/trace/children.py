"""The parent's side of a bench child: start it in a clean environment, ask, answer, end. POSIX pipes, JSON lines."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Mapping
from typing import Any

from host import processes
from neuron_bench.errors import BenchError

END_WITHIN_S = 5.0


class ChildError(BenchError):
    """A bench child refused or died; the message is its own."""


class Child:
    """One running child process."""

    def __init__(self, child: processes.Child) -> None:
        self._child = child

    def ask(self, op: str, **request: Any) -> dict[str, Any]:
        """One request, one answer.

        Raises:
            ChildError: the child answered with an error, or ended.
        """
        requests, answers = self._child.process.stdin, self._child.process.stdout
        assert requests is not None
        assert answers is not None
        try:
            requests.write(json.dumps({"op": op, **request}).encode() + b"\n")
            requests.flush()
            line = answers.readline()
        except OSError:
            line = b""
        if not line:
            end = self._child.wait(END_WITHIN_S)
            raise ChildError(self._child.explain(str(end) if end else "the bench child answers no more"))
        answer = dict(json.loads(line))
        if "error" in answer:
            raise ChildError(answer["error"])
        return answer

    def close(self) -> None:
        """End the child: closing its stdin is enough, unless it hangs in a compiler."""
        assert self._child.process.stdin is not None
        with contextlib.suppress(OSError):
            self._child.process.stdin.close()
        self._child.wait(END_WITHIN_S)
        self._child.stop()


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
    """A child waiting for `load`."""
    command = [sys.executable, "-m", "neuron_bench.child"]
    variables = environment(device, core=core, threads=threads, base=os.environ)
    return Child(processes.start("bench child", command, environment=variables, stdin=True, stdout=True))
