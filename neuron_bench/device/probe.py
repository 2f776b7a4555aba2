"""What this machine can bench on, and what is missing. Packages are imported in a child process only.

Levels, from nothing to all: absent, placeholder (the public index's wheel that raises at import),
importable_no_driver, compile_only (compiler here, no chip), ready (a traced add came back right).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neuron_bench.device.neuron_ls import neuron_ls
from neuron_bench.errors import BenchUsageError, DeviceError

DEVICES = ("cpu", "cuda", "neuron")
LEVELS = ("absent", "placeholder", "importable_no_driver", "compile_only", "ready")

_CHILD_TIMEOUT_S = 300  # a first compile of even a tiny graph takes a minute on a small Neuron instance
_INSTALL_NEURON = (
    "use a Neuron DLAMI or container on Inf2/Trn1 (torch-neuronx 2.9 from AWS's own package index, never the public "
    "one), or serve with vLLM Neuron and use --method endpoint; see docs/neuron.md"
)
_INSTALL_TORCH = "install PyTorch for your device, then: pip install 'peakday[bench]'"


@dataclass(frozen=True)
class ProbeReport:
    """What was found. `remedy` is empty when level is ready."""

    device: str
    level: str
    reason: str
    remedy: str
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def ready(self) -> bool:
        """Whether a bench can run here."""
        return self.level == "ready"


def probe(
    device: str, *, python: str = sys.executable, env: Mapping[str, str] | None = None, dev: Path = Path("/dev")
) -> ProbeReport:
    """Look at one kind of device.

    Raises:
        BenchUsageError: not one of cpu, cuda, neuron.
    """
    if device not in DEVICES:
        raise BenchUsageError(f"device {device!r}: expected one of {', '.join(DEVICES)}")
    found = _ask_child(device, python, os.environ if env is None else env, chips=_chip_nodes(dev))
    return _neuron(found, dev) if device == "neuron" else _torch_device(device, found)


def require(device: str, **kwargs: Any) -> ProbeReport:
    """The report of a device that is ready.

    Raises:
        DeviceError: it is not, with the reason and the remedy; exit code 5.
    """
    report = probe(device, **kwargs)
    if not report.ready:
        raise DeviceError(f"device {device}: {report.level}: {report.reason}; {report.remedy}")
    return report


def _chip_nodes(dev: Path) -> list[str]:
    """Device nodes the Neuron driver makes: /dev/neuron0 and on."""
    return sorted(str(node) for node in dev.glob("neuron[0-9]*"))


def _ask_child(device: str, python: str, env: Mapping[str, str], chips: list[str]) -> dict[str, Any]:
    """Run child/probe.py in a process of its own; a crash there is an answer too."""
    script = Path(__file__).parents[1] / "child" / "probe.py"
    command = [python, str(script), device, "run" if chips else "import"]
    # The script's folder must not lead sys.path: our module names would hide others.
    clean = {**env, "PYTHONSAFEPATH": "1"}
    try:
        done = subprocess.run(command, env=clean, capture_output=True, text=True, timeout=_CHILD_TIMEOUT_S, check=False)
        return dict(json.loads(done.stdout.strip().splitlines()[-1]))
    except subprocess.TimeoutExpired:
        return {"installed": True, "error": f"no answer within {_CHILD_TIMEOUT_S} s"}
    except (json.JSONDecodeError, IndexError):
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        return {"installed": True, "error": f"the probe process died (exit {done.returncode}): {last}"}


def _torch_device(device: str, found: dict[str, Any]) -> ProbeReport:
    if not found["installed"]:
        return ProbeReport(device, "absent", "torch is not installed", _INSTALL_TORCH, found)
    if found.get("error"):
        return ProbeReport(device, "absent", f"torch: {found['error']}", _INSTALL_TORCH, found)
    if not found["works"]:
        reason = f"torch {found['version']} sees no {device} device"
        return ProbeReport(device, "importable_no_driver", reason, "check the driver and torch's build", found)
    return ProbeReport(device, "ready", f"torch {found['version']}", "", found)


def _neuron(found: dict[str, Any], dev: Path) -> ProbeReport:
    chips = _chip_nodes(dev)
    listed, why = neuron_ls()
    details = found | {"device_nodes": chips, "neuron_ls": listed, "neuron_ls_error": why}
    level, reason = _neuron_level(found, chips)
    return ProbeReport("neuron", level, reason, "" if level == "ready" else _INSTALL_NEURON, details)


def _neuron_level(found: dict[str, Any], chips: list[str]) -> tuple[str, str]:
    version = found.get("version")
    if not found["installed"]:
        nodes = f"{len(chips)} chips" if chips else "no /dev/neuron*"
        return "absent", f"torch_neuronx is not installed and there is {nodes}"
    if found.get("error") and not found.get("compiled"):
        return "placeholder", f"torch-neuronx {version} is a placeholder: {found['error']}"
    if found.get("error"):
        return "absent", f"torch-neuronx {version} does not import: {found['error']}"
    if chips and found.get("works"):
        return "ready", f"torch-neuronx {version}, {len(chips)} chips, a traced add is right"
    if chips:
        return "importable_no_driver", f"{len(chips)} chips, but a traced add fails: {found.get('run_error')}"
    if found.get("compiler"):
        return "compile_only", f"neuronx-cc {found['compiler']} is here, no chip is (no /dev/neuron*)"
    return "importable_no_driver", f"torch-neuronx {version} imports, but there is no chip (no /dev/neuron*)"
