"""Each generation of the SDK from probe to plan, with fakes: what a chip's owner does in an afternoon.

2.29 is torch_neuronx.trace (XLA), 2.33 native TorchNeuron, the third a vLLM server with the Neuron plug-in. Records
made with a fake library are `schema_example`, and a plan refuses them; the server is only said to be on a chip.
"""

from __future__ import annotations

import importlib.util
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from neuron_bench.device.probe import probe
from neuron_bench.endpoint import sweep
from neuron_bench.endpoint.loads import decode as serving
from neuron_bench.endpoint.loads import prefill as prompting
from neuron_bench.endpoint.sweep import EndpointSpec
from neuron_bench.importers.files import Known, import_file
from neuron_bench.record import Bench, load_bench
from neuron_bench.trace import suite
from neuron_bench.trace.cases import Effort, decode, prefill
from peakday.benches import report_bench
from peakday.cli import main
from tests.neuron_bench.test_endpoint import FakeServer, server  # noqa: F401 (a fixture)
from tests.neuron_bench.test_importers import VLLM

HERE = Path(__file__).parent
EFFORT = Effort(samples_min=40, seconds_min=0.05, turn_s=0.01, warm_windows_max=2)
CASES = tuple(prefill(1, n, "float32") for n in (16, 32)) + tuple(decode(b, 32, "float32") for b in (1, 2))
needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="torch is not installed: pip install 'peakday[bench]'"
)
no_chip = pytest.mark.skipif(any(Path("/dev").glob("neuron[0-9]*")), reason="this machine has a Neuron chip")


@dataclass(frozen=True)
class Generation:
    """One line of the library: its fake, what it is called, and the chip it is for."""

    fake: str
    chip: str
    engine: str


def command(line: str) -> int:
    """As typed; returns the exit code."""
    with pytest.raises(SystemExit) as ended:
        main(line.split())
    return int(ended.value.code or 0)


def interrupted_and_resumed(spec: suite.Spec, home: Path) -> Bench:
    """Ctrl-C in the midst of a bench, and the same bench gone on with."""

    turns: list[str] = []

    def stop(done: int, total: int, left: float | None, label: str) -> None:
        turns.extend([] if label.startswith("build") else [label])
        if len(turns) > 2 * len(CASES) + 2:
            raise KeyboardInterrupt

    first = load_bench(suite.run(spec, home / "benches" / "first", dev=home / "dev", progress=stop))
    assert first.state == "interrupted"
    assert any(row.phase in ("prefill", "decode") for row in first.rows)
    whole = load_bench(suite.run(spec, home / "benches" / "whole", dev=home / "dev", resume=first.path))
    assert whole.state == "finished"
    return whole


def imported(home: Path, chip: str) -> Bench:
    """What the same machine's server wrote under load, with the chip that the file cannot say."""
    (home / "serve.json").write_text(json.dumps(VLLM))
    return load_bench(import_file(home / "serve.json", home / "benches" / "load", Known(chip=chip, tp=4, chips_used=1)))


@needs_torch
@no_chip
@pytest.mark.slow
@pytest.mark.parametrize(
    "line", [Generation("fake", "inferentia2", "torch"), Generation("fake_native", "trainium2", "torch-native")]
)
def test_a_traced_generation_from_probe_to_plan(
    line: Generation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ready, run, Ctrl-C, resume, report, calibrate; the plan then refuses invented values in one line."""
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "neuron0").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(HERE / line.fake))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE / line.fake), str(HERE.parents[1])]))
    monkeypatch.setenv("FAKE_NEURONX_LOG", str(tmp_path / "calls.ndjson"))
    assert probe("neuron", dev=tmp_path / "dev").level == "ready"
    spec = suite.Spec(device="neuron", chip=line.chip, cases=CASES, effort=EFFORT, suite="full")
    whole = interrupted_and_resumed(spec, tmp_path)
    assert {row.provenance for row in whole.rows} == {"schema_example"}
    assert {row.chip for row in whole.rows} == {line.chip}
    assert str(whole.info["engine"]).startswith(line.engine)
    assert line.chip in report_bench(str(whole.path), None)[0]
    assert imported(tmp_path, line.chip).rows[0].tp == 4
    code = command(f"calibrate {whole.path} --chips-per-replica 1 --out m.json")
    said = capsys.readouterr()
    assert (code, "its values are invented and fit nothing" in said.err) == (2, True)
    assert command(f"plan smoke --bench {whole.path} --out planned") == 0
    assert "bench gives no step times" in capsys.readouterr().err


@no_chip
@pytest.mark.slow
def test_a_plug_in_server_from_probe_to_plan(
    server: FakeServer,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """No library here, a server elsewhere: measured over HTTP, on the chip and chips that its owner states."""
    monkeypatch.chdir(tmp_path)
    assert probe("neuron", dev=tmp_path).level in ("absent", "importable_no_driver", "placeholder")
    server.step_s = 1e-3
    loads = (prompting(32), prompting(256), prompting(512), serving(1, 16, 24), serving(4, 16, 24), serving(8, 64, 24))
    facts: dict[str, Any] = {"chip": "trn2", "tp": 4, "chips_used": 1, "server_host": "trn2.example"}
    spec = EndpointSpec(server.url, loads=loads, rounds=2, suite="full", **facts)
    bench = load_bench(sweep.run(spec, tmp_path / "benches" / "served"))
    assert {(row.chip, row.tp, row.chips_used) for row in bench.rows} == {("trainium2", 4, 1)}
    assert "trainium2" in report_bench(str(bench.path), None)[0]
    assert imported(tmp_path, "trn2").rows[0].chip == "trainium2"
    assert command(f"calibrate {bench.path} --out m.json") == 0
    model = json.loads((tmp_path / "m.json").read_text())
    assert (model["chip"], model["tp"], model["chips_per_replica"]) == ("trainium2", 4, 1.0)
    capsys.readouterr()
    assert command("plan smoke --step-model m.json --out planned") == 0
