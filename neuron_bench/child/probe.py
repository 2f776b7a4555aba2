"""Run by `probe` in a process of its own: import what the device needs, try a tiny sum, print one JSON line.

Usage: probe.py cpu|cuda|neuron import|run. Stands alone: imports nothing of ours.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from importlib import metadata
from types import ModuleType


def main(device: str, effort: str) -> dict[str, object]:
    """What was found, as plain values."""
    module, distribution = ("torch_neuronx", "torch-neuronx") if device == "neuron" else ("torch", "torch")
    if importlib.util.find_spec(module) is None:
        return {"installed": False}
    answer: dict[str, object] = {
        "installed": True,
        "version": _version(distribution),
        "native_code": _native(distribution),
    }
    try:
        package = importlib.import_module(module)
    except Exception as error:
        return answer | {"error": _line(error)}
    if device == "neuron":
        answer |= {"compiler": _version("neuronx-cc"), "interface": _interface(package)}
        if effort != "run" or answer["interface"] is None:
            return answer
        return answer | (_traced_add(package) if answer["interface"] == "trace" else _device_add())
    if device == "cuda" and not package.cuda.is_available():
        return answer
    total = (package.ones(2, device=device) + 1).sum().item()
    return answer | {"works": total == 4.0, "name": package.cuda.get_device_name() if device == "cuda" else None}


def _interface(package: object) -> str | None:
    """How models get onto the chip: `trace` (XLA, to 2.9), `native` (a device of PyTorch, from 2.13), or unknown."""
    if callable(getattr(package, "trace", None)):
        return "trace"
    return "native" if hasattr(importlib.import_module("torch"), "neuron") else None


def _traced_add(package: ModuleType) -> dict[str, object]:
    torch = importlib.import_module("torch")
    try:
        graph = package.trace(lambda x: x + 1, (torch.ones(2),))
        return {"works": graph(torch.ones(2)).sum().item() == 4.0}
    except Exception as error:
        return {"works": False, "run_error": _line(error)}


def _device_add() -> dict[str, object]:
    torch = importlib.import_module("torch")
    try:
        total = (torch.ones(2, device="neuron") + 1).sum()
        return {"works": total.to("cpu").item() == 4.0}
    except Exception as error:
        return {"works": False, "run_error": _line(error)}


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _native(distribution: str) -> bool:
    """Whether the installed package holds any native library: a placeholder has none."""
    try:
        files = metadata.files(distribution) or []
    except metadata.PackageNotFoundError:
        return False
    return any(file.suffix == ".so" or ".so." in file.name for file in files)


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2])))
