"""The parent's side of a bench child: start it in a clean environment, ask, answer, end. POSIX pipes, JSON lines."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from neuron_bench.errors import BenchError


class ChildError(BenchError):
    """A bench child refused or died; the message is its own."""


class Child:
    """One running child process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def ask(self, op: str, **request: Any) -> dict[str, Any]:
        """One request, one answer.

        Raises:
            ChildError: the child answered with an error, or ended.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps({"op": op, **request}) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except (BrokenPipeError, OSError) as error:
            raise ChildError(f"bench child ended ({error})") from None
        if not line:
            raise ChildError(f"bench child ended with exit code {self.process.wait()}")
        answer = dict(json.loads(line))
        if "error" in answer:
            raise ChildError(answer["error"])
        return answer

    def close(self) -> None:
        """End the child: closing its stdin is enough, unless it hangs in a compiler."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


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
        [sys.executable, "-m", "neuron_bench.child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(device, core=core, threads=threads, base=os.environ),
        start_new_session=True,
    )
    return Child(process)
