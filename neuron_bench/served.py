"""A server of a bench matrix, started with every combination of its options and stopped when it was measured.

`options` of an endpoint target are axes: each key holds a list of values. `neuron_config.NAME` and
`vision_neuron_config.NAME` go into `--additional-config`, which is how the vLLM Neuron plug-in takes its own
(num_batched_tokens_buckets, num_seqs_buckets, kv_segment_size_buckets, quantization, on_device_sampling_config ...;
https://awsdocs-neuron.readthedocs-hosted.com, vllm-neuron, configuration options); any other is an option of `serve`.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from host import processes
from host.fetch import FetchError, fetch
from host.ports import is_loopback_url
from neuron_bench.errors import BenchUsageError, DeviceError

NEURON = ("neuron_config.", "vision_neuron_config.")
READY_WITHIN_S = 3600.0
"""A graph compiles for minutes, and there is one for each bucket."""
_POLL_S = 0.5


def commands(serve: Sequence[str], options: Mapping[str, Sequence[object]], url: str) -> list[tuple[str, ...]]:
    """The command of every combination, in the order of the keys.

    Raises:
        BenchUsageError: options without a server to start, or a server that would not answer at this machine.
    """
    if not serve:
        if options:
            raise BenchUsageError("options: needs serve, the command that starts the server")
        return [()]
    if not is_loopback_url(url):
        raise BenchUsageError(f"serve: starts a server on this machine, and url is {url}")
    combinations = itertools.product(*options.values())
    return [(*serve, *_arguments(dict(zip(options, values, strict=True)))) for values in combinations]


def _arguments(chosen: Mapping[str, object]) -> Iterator[str]:
    """Options as arguments; a switch is `--name` or `--no-name`."""
    neuron: dict[str, dict[str, object]] = {}
    for name, value in chosen.items():
        flag = name.replace("_", "-")
        if name.startswith(NEURON):
            group, _, key = name.partition(".")
            neuron.setdefault(group, {})[key] = value
        elif isinstance(value, bool):
            yield f"--{flag}" if value else f"--no-{flag}"
        else:
            yield from (f"--{flag}", value if isinstance(value, str) else json.dumps(value))
    if neuron:
        yield from ("--additional-config", json.dumps(neuron))


@contextmanager
def served(command: Sequence[str], url: str, log: Path, within_s: float = READY_WITHIN_S) -> Iterator[None]:
    """Keep the server of a command up inside the block; nothing to start for an empty one.

    Raises:
        DeviceError: it cannot be started, ended, or did not answer in time; with its last log line.
    """
    if not command:
        yield
        return
    try:
        child = processes.start("server", list(command), log=log, watched=True)
    except OSError as error:
        raise DeviceError(f"serve: {command[0]} cannot be started ({error})") from None
    with processes.running(child):
        _wait(child, url, within_s)
        yield


def _wait(child: processes.Child, url: str, within_s: float) -> None:
    deadline_s = time.monotonic() + within_s
    while time.monotonic() < deadline_s:
        if (end := child.poll()) is not None:
            raise DeviceError(child.explain(f"serve: {end}"))
        if _answers(url):
            return
        time.sleep(_POLL_S)
    raise DeviceError(child.explain(f"serve: no answer at {url} within {within_s:g} s"))


def _answers(url: str) -> bool:
    try:
        fetch(f"{url.rstrip('/')}/models", within_s=5.0)
    except FetchError:
        return False
    return True
