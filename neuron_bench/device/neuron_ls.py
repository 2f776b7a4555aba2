"""`neuron-ls -j`: the chips of this machine. Source: the Neuron LS user guide, SDK 2.32. Never run on a chip by us."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from host.json_values import items, objects, text, whole
from neuron_bench.errors import BenchError


class TelemetryError(BenchError):
    """Output of a device's tool that is not what its guide describes."""


@dataclass(frozen=True)
class NeuronDevice:
    """One chip as neuron-ls lists it. `logical_config` is None where the tool is too old to say (then it is 1)."""

    device: int
    cores: int
    memory_bytes: int
    core_ids: tuple[int, ...]
    logical_config: int | None
    connected_to: tuple[int, ...]
    processes: tuple[int, ...]
    instance_type: str | None


def parse_neuron_ls(output: str) -> list[NeuronDevice]:
    """Devices of `neuron-ls -j`.

    Raises:
        TelemetryError: not a JSON array of devices.
    """
    try:
        raw = json.loads(output)
    except json.JSONDecodeError as error:
        raise TelemetryError(f"neuron-ls: not JSON ({error})") from None
    if not isinstance(raw, list):
        raise TelemetryError(f"neuron-ls: expected an array of devices, got {type(raw).__name__}")
    try:
        return [_device(entry) for entry in raw]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise TelemetryError(f"neuron-ls: a device cannot be read ({error!r})") from None


def _device(entry: Mapping[str, object]) -> NeuronDevice:
    return NeuronDevice(
        device=_count(entry["neuron_device"]),
        cores=_count(entry["nc_count"]),
        memory_bytes=_count(entry["memory_size"]),
        core_ids=tuple(_count(core) for core in items(entry.get("neuroncore_ids"))),
        logical_config=whole(entry.get("logical_neuroncore_config")) or None,
        connected_to=tuple(_count(device) for device in items(entry.get("connected_to"))),
        processes=tuple(_count(process["pid"]) for process in objects(entry.get("neuron_processes"))),
        instance_type=text(entry.get("instance_type")) or None,
    )


def _count(value: object) -> int:
    if not isinstance(value, int | float | str):
        raise ValueError(f"{value!r} is no number")
    return int(value)


def neuron_ls() -> tuple[list[NeuronDevice], str | None]:
    """Devices of this machine, or why there are none."""
    command = shutil.which("neuron-ls") or shutil.which("/opt/aws/neuron/bin/neuron-ls")
    if command is None:
        return [], "neuron-ls is not installed"
    try:
        done = subprocess.run([command, "-j"], capture_output=True, text=True, timeout=20, check=True)
        return parse_neuron_ls(done.stdout), None
    except (subprocess.SubprocessError, OSError, TelemetryError) as error:
        return [], str(error)
