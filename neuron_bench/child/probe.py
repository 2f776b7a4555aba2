"""Run by `probe` in a process of its own: import what the device needs, try a tiny sum, print one JSON line.

Usage: probe.py cpu|cuda|neuron import|run. Stands alone: imports nothing of ours.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from importlib import metadata
from typing import Any


def main(device: str, effort: str) -> dict[str, Any]:
    """What was found, as plain values."""
    module, distribution = ("torch_neuronx", "torch-neuronx") if device == "neuron" else ("torch", "torch")
    if importlib.util.find_spec(module) is None:
        return {"installed": False}
    found: dict[str, Any] = {"installed": True, "version": _version(distribution), "compiled": _compiled(distribution)}
    try:
        package = importlib.import_module(module)
    except Exception as error:
        return found | {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
    if device == "neuron":
        found["compiler"] = _version("neuronx-cc")
        return found | (_neuron_add(package) if effort == "run" else {"works": False})
    if device == "cuda" and not package.cuda.is_available():
        return found | {"works": False}
    total = (package.ones(2, device=device) + 1).sum().item()
    return found | {"works": total == 4.0, "name": package.cuda.get_device_name() if device == "cuda" else None}


def _neuron_add(package: Any) -> dict[str, Any]:
    import torch

    try:
        graph = package.trace(lambda x: x + 1, (torch.ones(2),))
        return {"works": graph(torch.ones(2)).sum().item() == 4.0}
    except Exception as error:
        return {"works": False, "run_error": f"{type(error).__name__}: {error}".splitlines()[0]}


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _compiled(distribution: str) -> bool:
    """Whether the installed package holds any native library: a placeholder has none."""
    try:
        files = metadata.files(distribution) or []
    except metadata.PackageNotFoundError:
        return False
    return any(file.suffix == ".so" or ".so." in file.name for file in files)


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2])))
