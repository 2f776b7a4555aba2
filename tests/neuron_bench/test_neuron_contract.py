"""The Neuron route against a fake that checks the documented API. Nothing here ran on a chip."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from neuron_bench.errors import BenchUsageError, DeviceError
from neuron_bench.fit.bench import Engine, step_model
from neuron_bench.record import Bench, load_bench
from neuron_bench.trace import suite
from neuron_bench.trace.cases import Effort, decode, encode, prefill
from neuron_bench.trace.children import environment
from neuron_bench.trace.prebuild import prebuild
from neuron_bench.trace.verify import verify

FAKE = Path(__file__).parent / "fake"
EFFORT = Effort(samples_min=3, seconds_min=0.02, turn_s=0.01, warm_windows_max=2)
needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="torch is not installed: pip install 'peakday[bench]'"
)


no_chip = pytest.mark.skipif(any(Path("/dev").glob("neuron[0-9]*")), reason="this machine has a Neuron chip")


@pytest.fixture(scope="module")
def neuron(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A machine with one chip's device node and the fake on the path; returns its /dev."""
    home = tmp_path_factory.mktemp("neuron")
    (home / "dev").mkdir()
    (home / "dev" / "neuron0").touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FAKE))
        patch.setenv("PYTHONPATH", str(FAKE))
        patch.setenv("FAKE_NEURONX_LOG", str(home / "calls.ndjson"))
        patch.setenv("NEURON_RT_NUM_CORES", "2")
        yield home / "dev"


def calls(dev: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (dev.parent / "calls.ndjson").read_text().splitlines()]


@pytest.fixture(scope="module")
def decoders(neuron: Path) -> tuple[Bench, list[dict[str, Any]]]:
    """A bench of one prefill and one decode graph, and the calls that made it (the probe's own trace first)."""
    cases = (prefill(1, 16, "float32"), decode(2, 32, "float32"))
    spec = suite.Spec(device="neuron", cases=cases, effort=EFFORT, chip="inferentia2", compiler_args="-O1")
    before = len(calls(neuron)) if (neuron.parent / "calls.ndjson").exists() else 0
    bench = load_bench(suite.run(spec, neuron.parent / "bench", dev=neuron))
    return bench, calls(neuron)[before:]


@needs_torch
def test_a_chip_with_its_library_is_ready(decoders: tuple[Bench, list[dict[str, Any]]]) -> None:
    """A device node and a traced add that comes back right."""
    bench, made = decoders
    assert bench.info["probe"]["level"] == "ready"
    assert (made[0]["call"], made[0]["aliases"]) == ("trace", 0)


@needs_torch
def test_a_decoder_is_traced_with_its_caches_as_states(decoders: tuple[Bench, list[dict[str, Any]]]) -> None:
    """Keyword call, one alias for each layer's keys and values, logits the only other output."""
    traced = [call for call in decoders[1][1:] if call["call"] == "trace"]
    assert [(call["aliases"], call["outputs"]) for call in traced] == [(8, 9), (8, 9)]
    assert {call["compiler_args"] for call in traced} == {"-O1"}


@needs_torch
def test_graphs_are_saved_loaded_and_moved_to_the_core(decoders: tuple[Bench, list[dict[str, Any]]]) -> None:
    """States start on the device: `move_trace_to_device` is called once for each loaded graph."""
    bench, made = decoders
    assert [call["call"] for call in made[1:]] == ["trace", "move_trace_to_device"] * 2
    assert set(bench.cases.phase) == {"prefill", "decode", "compile", "load"}


@needs_torch
def test_each_child_has_one_core_in_its_environment(decoders: tuple[Bench, list[dict[str, Any]]]) -> None:
    """Set before import; a core count from outside does not leak in."""
    for call in decoders[1][1:]:
        assert call["environment"] == {"NEURON_RT_VISIBLE_CORES": "0"}


@needs_torch
def test_its_records_are_schema_examples_and_fit_nothing(decoders: tuple[Bench, list[dict[str, Any]]]) -> None:
    """A record made with the fake can never reach a plan."""
    bench, _ = decoders
    assert set(bench.cases.provenance) == {"schema_example"}
    with pytest.raises(BenchUsageError, match="invented"):
        step_model(bench, Engine(1, 1, 1, 1))


@needs_torch
def test_a_stored_graph_is_not_compiled_again(neuron: Path, tmp_path: Path) -> None:
    """The second bench finds it by its key; a new compiler argument makes a new one."""
    store = str(tmp_path / "store")
    for number, args in enumerate(["-O1", "-O1", "-O2"]):
        spec = suite.Spec(
            device="neuron", model="router-nano", cases=(encode(1, 16, "float32"),), effort=EFFORT,
            artifact_store=store, compiler_args=args,
        )  # fmt: skip
        bench = load_bench(suite.run(spec, tmp_path / f"bench-{number}", dev=neuron))
        assert ("compile" in set(bench.cases.phase)) == (number != 1)
    assert len(list(Path(store).iterdir())) == 2


@needs_torch
@pytest.mark.slow
def test_the_checks_for_a_chip_run_to_their_end(neuron: Path) -> None:
    """Compile and tokens pass on the fake; what needs real tools says that it could not be run, and why."""
    found = {check.name: check for check in verify("neuron", chip="inferentia2", model="nano", dev=neuron)}
    assert found["device is ready"].passed
    assert found["the decode step compiles and loads"].passed
    assert found["64 greedy tokens equal the CPU's"].passed
    for name in ("neuron-ls counts the cores that facts say", "telemetry's core ids are the runtime's"):
        assert found[name].passed is None
        assert found[name].detail


@no_chip
def test_without_a_chip_no_check_is_run() -> None:
    """One failed, the others not run: nothing passes by being skipped."""
    first, *others = verify("neuron")
    assert first.passed is False
    assert others
    assert all(check.passed is None for check in others)


@needs_torch
def test_graphs_are_compiled_ahead_for_a_chip_that_is_not_here(neuron: Path, tmp_path: Path) -> None:
    """With the compiler alone: traced on the CPU with a target, under the key that the bench asks for later."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join((str(FAKE), str(FAKE / "compiler"))))
        spec = suite.Spec(
            device="neuron", model="router-nano", cases=(encode(1, 16, "float32"),), chip="trainium1",
            artifact_store=str(tmp_path / "store"), compiler_args="-O1",
        )  # fmt: skip
        (tmp_path / "dev").mkdir()
        (first,) = prebuild(spec, dev=tmp_path / "dev")
        (again,) = prebuild(spec, dev=tmp_path / "dev")
    assert first.compile_s is not None
    assert again.compile_s is None
    assert first.artifact_key == again.artifact_key
    assert calls(neuron)[-1]["compiler_args"] == "--target trn1 -O1"
    assert calls(neuron)[-1]["cpu_backend"]


@no_chip
def test_prebuild_needs_a_compiler_and_a_store(tmp_path: Path) -> None:
    """Exit 5 without a compiler, 2 without a place to put the graphs."""
    with pytest.raises(DeviceError):
        prebuild(suite.Spec(device="neuron", artifact_store=str(tmp_path)))
    with pytest.raises(BenchUsageError, match="artifact store"):
        prebuild(suite.Spec(device="neuron"))


def test_cores_are_told_apart_by_environment() -> None:
    """The child of core 3 sees core 3 and nothing else; a CPU child sees no Neuron setting."""
    base = {"NEURON_RT_NUM_CORES": "8", "PATH": "/bin"}
    assert environment("neuron", core=3, threads=1, base=base)["NEURON_RT_VISIBLE_CORES"] == "3"
    assert "NEURON_RT_NUM_CORES" not in environment("neuron", core=3, threads=1, base=base)
    assert "NEURON_RT_VISIBLE_CORES" not in environment("cpu", core=0, threads=2, base=base)
    assert environment("cpu", core=0, threads=2, base=base)["OMP_NUM_THREADS"] == "2"
