"""Native TorchNeuron (SDK 2.33) against a fake that checks the documented interface. Nothing here ran on a chip."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path

import pytest

from neuron_bench.device.probe import probe
from neuron_bench.errors import BenchUsageError
from neuron_bench.record import load_bench
from neuron_bench.trace import suite
from neuron_bench.trace.cases import Effort, decode, prefill
from neuron_bench.trace.prebuild import prebuild

HERE = Path(__file__).parent
needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="torch is not installed: pip install 'peakday[bench]'"
)


@pytest.fixture
def chip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with one chip's device node and the fake on its path; returns its /dev."""
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "neuron0").touch()
    monkeypatch.syspath_prepend(str(HERE / "fake_native"))
    monkeypatch.setenv("PYTHONPATH", str(HERE / "fake_native"))
    monkeypatch.setenv("FAKE_NEURONX_LOG", str(tmp_path / "calls.ndjson"))
    return tmp_path / "dev"


@needs_torch
def test_a_native_device_is_ready_by_a_sum_on_it(chip: Path) -> None:
    """It has no `.trace`, and is told as what it is."""
    report = probe("neuron", dev=chip)
    assert (report.level, report.native) == ("ready", True)
    assert "native TorchNeuron" in report.reason


@needs_torch
def test_a_native_library_without_a_chip_is_no_compiler(chip: Path, tmp_path: Path) -> None:
    """`compile_only` is of the XLA line: natively there is nothing to build ahead."""
    (tmp_path / "empty").mkdir()
    report = probe("neuron", dev=tmp_path / "empty", env=os.environ | {"PYTHONPATH": str(HERE / "fake_native")})
    assert report.level == "importable_no_driver"
    with pytest.raises(BenchUsageError, match="nothing to build ahead"):
        prebuild(suite.Spec(device="neuron", artifact_store=str(tmp_path / "store")), dev=chip)


@needs_torch
def test_a_torch_neuronx_of_no_line_we_know_is_told_so(tmp_path: Path) -> None:
    """Neither trace nor device: absent, with its version."""
    (tmp_path / "neuron0").touch()
    report = probe("neuron", dev=tmp_path, env=os.environ | {"PYTHONPATH": str(HERE / "fake_unknown")})
    assert report.level == "absent"
    assert "torch-neuronx 3.0+schema.example has neither .trace" in report.reason


@needs_torch
def test_a_native_bench_compiles_for_the_device_and_waits_for_every_step(chip: Path, tmp_path: Path) -> None:
    """torch.compile with the backend once a case, tensors placed on the device, a synchronize after each step."""
    effort = Effort(samples_min=3, seconds_min=0.02, turn_s=0.01, warm_windows_max=2)
    spec = suite.Spec(
        device="neuron", chip="trn2", cases=(prefill(1, 16, "float32"), decode(2, 32, "float32")), effort=effort
    )
    bench = load_bench(suite.run(spec, tmp_path / "bench", dev=chip))
    calls = [json.loads(line) for line in (tmp_path / "calls.ndjson").read_text().splitlines()]
    assert [call["dynamic"] for call in calls if call["call"] == "compile"] == [False, False]
    assert any(call["call"] == "place" for call in calls)
    steps = sum(row.n_samples or 0 for row in bench.rows)
    assert sum(call["call"] == "synchronize" for call in calls) >= steps
    assert {row.provenance for row in bench.rows} == {"schema_example"}
    assert {row.chip for row in bench.rows} == {"trainium2"}
    assert (bench.info["engine"], bench.state) == ("torch-native", "finished")
    assert {row.phase for row in bench.rows} == {"prefill", "decode", "compile", "load"}
