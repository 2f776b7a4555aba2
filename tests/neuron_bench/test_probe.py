"""Probe: what is here, what is missing, and never a fall-back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from neuron_bench.device.probe import ProbeReport, probe, require
from neuron_bench.errors import BenchUsageError, DeviceError

no_chip = pytest.mark.skipif(any(Path("/dev").glob("neuron[0-9]*")), reason="this machine has a Neuron chip")


def stub_wheel(folder: Path, version: str = "1.0") -> Path:
    """A wheel like the public index's: it installs, then raises at import."""
    info = f"torch_neuronx-{version}.dist-info"
    path = folder / f"torch_neuronx-{version}-py3-none-any.whl"
    files = {
        "torch_neuronx/__init__.py": "raise ImportError('install torch-neuronx from the Neuron index')\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: torch-neuronx\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)
    return path


@pytest.fixture
def stub_installed(tmp_path: Path) -> dict[str, str]:
    """An environment that sees the stub wheel, unpacked as an installer would."""
    with zipfile.ZipFile(stub_wheel(tmp_path)) as wheel:
        wheel.extractall(tmp_path / "site")
    return os.environ | {"PYTHONPATH": str(tmp_path / "site")}


@no_chip
def test_without_torch_neuronx_the_device_is_absent() -> None:
    """And the remedy names where to get it."""
    report = probe("neuron")
    assert report.level == "absent"
    assert "torch_neuronx is not installed" in report.reason
    assert "Neuron DLAMI" in report.remedy


@no_chip
def test_the_public_index_wheel_is_a_placeholder(stub_installed: dict[str, str]) -> None:
    """It installs and raises at import: said so, with its version."""
    report = probe("neuron", env=stub_installed)
    assert report.level == "placeholder"
    assert "torch-neuronx 1.0 is a placeholder" in report.reason


def test_a_device_node_alone_is_not_ready(tmp_path: Path, stub_installed: dict[str, str]) -> None:
    """A chip with packages that do not import is no device to bench on."""
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "neuron0").touch()
    assert not probe("neuron", dev=tmp_path / "dev", env=stub_installed).ready


@no_chip
def test_a_missing_device_is_refused_with_exit_code_5() -> None:
    """The reason and the remedy in one line; never another device."""
    with pytest.raises(DeviceError, match=r"device neuron: absent: .*docs/neuron\.md") as caught:
        require("neuron")
    assert caught.value.exit_code == 5


def test_an_unknown_device_is_a_usage_error() -> None:
    """Exit code 2 with the names."""
    with pytest.raises(BenchUsageError, match="expected one of cpu, cuda, neuron"):
        probe("tpu")


def test_a_probe_that_crashes_is_an_answer(tmp_path: Path) -> None:
    """A library that kills its process makes the device absent, not us."""
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("import os; os._exit(7)\n")
    report = probe("cpu", env=os.environ | {"PYTHONPATH": str(tmp_path)})
    assert report.level == "absent"
    assert "exit 7" in report.reason


def test_probing_imports_nothing_heavy_here() -> None:
    """Our own process stays free of torch."""
    code = (
        "import sys\nfrom neuron_bench.device.probe import probe\nprobe('cpu'); probe('neuron')\n"
        "print('torch' in sys.modules or 'torch_neuronx' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_report_is_plain_values() -> None:
    """`--json` prints it."""
    report = probe("cpu")
    assert isinstance(report, ProbeReport)
    json.dumps(report.as_json())
