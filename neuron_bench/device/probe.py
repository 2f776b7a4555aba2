"""What this machine can bench on, and what is missing. Packages are imported in a child process only.

Levels, from nothing to all: absent, placeholder (the public index's wheel that raises at import),
importable_no_driver, compile_only (XLA compiler here, no chip), ready (an add on the device came back right).
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pydantic import TypeAdapter

from neuron_bench.device.neuron_ls import NeuronDevice, neuron_ls
from neuron_bench.errors import BenchUsageError, DeviceError

DEVICES = ("cpu", "cuda", "neuron")
LEVELS = ("absent", "placeholder", "importable_no_driver", "compile_only", "ready")

_CHILD_TIMEOUT_S = 300  # a first compile of even a tiny graph takes a minute on a small Neuron instance
_INSTALL_NEURON = (
    "use a Neuron DLAMI or container of SDK 2.31 on Inf2/Trn1 (torch-neuronx 2.9) or of SDK 2.33 on Trn2/Trn3 "
    "(torch-neuronx 2.13 or 2.14), from AWS's own package index, never the public one, or serve with vLLM Neuron and "
    "use --method endpoint; see docs/neuron.md"
)
_INSTALL_TORCH = "install PyTorch for your device, then: pip install 'peakday[bench]'"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What the probe's child saw. `interface`: how a torch_neuronx takes models, `trace` or `native`; None unknown."""

    installed: bool
    version: str | None = None
    native_code: bool = False
    error: str | None = None
    compiler: str | None = None
    interface: str | None = None
    works: bool = False
    run_error: str | None = None
    name: str | None = None


_FINDING = TypeAdapter(Finding)


@dataclass(frozen=True)
class ProbeReport:
    """What is here. `remedy` is empty when level is ready."""

    device: str
    level: str
    reason: str
    remedy: str
    finding: Finding = field(default_factory=lambda: Finding(installed=False))
    device_nodes: tuple[str, ...] = ()
    neuron_ls: tuple[NeuronDevice, ...] = ()
    neuron_ls_error: str | None = None

    @property
    def ready(self) -> bool:
        """Whether a bench can run here."""
        return self.level == "ready"

    @property
    def version(self) -> str | None:
        """Of the library that drives the device."""
        return self.finding.version

    @property
    def native(self) -> bool:
        """Whether the chip is a device of PyTorch's own, with no graph to trace."""
        return self.finding.interface == "native"

    @property
    def chip(self) -> str | None:
        """What the machine itself calls its chip: a GPU's name, or the instance type that neuron-ls prints."""
        if self.device == "cuda":
            return self.finding.name
        return next((device.instance_type for device in self.neuron_ls if device.instance_type), None)

    def as_json(self) -> dict[str, object]:
        """For a record."""
        return asdict(self)


def probe(
    device: str, *, python: str = sys.executable, env: Mapping[str, str] | None = None, dev: Path = Path("/dev")
) -> ProbeReport:
    """Look at one kind of device.

    Raises:
        BenchUsageError: not one of cpu, cuda, neuron.
    """
    if device not in DEVICES:
        raise BenchUsageError(f"device {device!r}: expected one of {', '.join(DEVICES)}")
    finding = _ask_child(device, python, os.environ if env is None else env, chips=chip_nodes(dev))
    return _neuron(finding, dev) if device == "neuron" else _torch_device(device, finding)


def require(device: str, *, dev: Path = Path("/dev")) -> ProbeReport:
    """The report of a device that is ready.

    Raises:
        DeviceError: it is not, with the reason and the remedy; exit code 5.
    """
    report = probe(device, dev=dev)
    if not report.ready:
        raise DeviceError(f"device {device}: {report.level}: {report.reason}; {report.remedy}")
    return report


def chip_nodes(dev: Path = Path("/dev")) -> list[str]:
    """Device nodes the Neuron driver makes: /dev/neuron0 and on."""
    return sorted(str(node) for node in dev.glob("neuron[0-9]*"))


def has_device(device: str, dev: Path = Path("/dev")) -> bool:
    """Whether a driver of this kind has made any device node on this machine."""
    pattern = {"neuron": "neuron[0-9]*", "cuda": "nvidia[0-9]*"}.get(device)
    return pattern is None or any(dev.glob(pattern))


def _ask_child(device: str, python: str, env: Mapping[str, str], chips: list[str]) -> Finding:
    """Run child/probe.py in a process of its own; a crash there is an answer too."""
    script = Path(__file__).parents[1] / "child" / "probe.py"
    command = [python, str(script), device, "run" if chips else "import"]
    # The script's folder must not lead sys.path: our module names would hide others.
    clean = {**env, "PYTHONSAFEPATH": "1"}
    try:
        done = subprocess.run(command, env=clean, capture_output=True, text=True, timeout=_CHILD_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return Finding(installed=True, error=f"no answer within {_CHILD_TIMEOUT_S} s")
    try:
        return _FINDING.validate_json(done.stdout.strip().splitlines()[-1])
    except (ValueError, IndexError):
        last_line = (done.stderr.strip().splitlines() or ["no output"])[-1]
        return Finding(installed=True, error=f"the probe process died (exit {done.returncode}): {last_line}")


def _torch_device(device: str, finding: Finding) -> ProbeReport:
    if not finding.installed:
        return ProbeReport(device, "absent", "torch is not installed", _INSTALL_TORCH, finding)
    if finding.error:
        return ProbeReport(device, "absent", f"torch: {finding.error}", _INSTALL_TORCH, finding)
    if not finding.works:
        reason = f"torch {finding.version} sees no {device} device"
        return ProbeReport(device, "importable_no_driver", reason, "check the driver and torch's build", finding)
    return ProbeReport(device, "ready", f"torch {finding.version}", "", finding)


def _neuron(finding: Finding, dev: Path) -> ProbeReport:
    chips = chip_nodes(dev)
    listed, why = neuron_ls()
    level, reason = _neuron_level(finding, chips)
    remedy = "" if level == "ready" else _INSTALL_NEURON
    return ProbeReport("neuron", level, reason, remedy, finding, tuple(chips), tuple(listed), why)


def _neuron_level(finding: Finding, chips: list[str]) -> tuple[str, str]:
    what = f"torch-neuronx {finding.version}"
    if not finding.installed:
        nodes = f"{len(chips)} chips" if chips else "no /dev/neuron*"
        return "absent", f"torch_neuronx is not installed and there is {nodes}"
    if finding.error and not finding.native_code:
        return "placeholder", f"{what} is a placeholder: {finding.error}"
    if finding.error:
        return "absent", f"{what} does not import: {finding.error}"
    if finding.interface is None:
        return (
            "absent",
            f"{what} has neither .trace (XLA, to 2.9) nor a neuron device (native, from 2.13): not one we know",
        )
    kind = "native TorchNeuron" if finding.interface == "native" else "XLA"
    if chips and finding.works:
        return "ready", f"{what} ({kind}), {len(chips)} chips, an add on the device is right"
    if chips:
        return "importable_no_driver", f"{what} ({kind}), {len(chips)} chips, but an add fails: {finding.run_error}"
    if finding.compiler and finding.interface == "trace":
        return "compile_only", f"neuronx-cc {finding.compiler} is here, no chip is (no /dev/neuron*)"
    return "importable_no_driver", f"{what} ({kind}) imports, but there is no chip (no /dev/neuron*)"
