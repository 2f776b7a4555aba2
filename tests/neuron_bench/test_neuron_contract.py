"""The Neuron route against a stand-in that checks the documented API. Nothing here ran on a chip."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from neuron_bench import suite
from neuron_bench.cases import Effort, decode, encode, prefill
from neuron_bench.children import environment
from neuron_bench.errors import BenchUsageError
from neuron_bench.fit import Engine, step_model
from neuron_bench.record import Bench, load_bench

FAKE = Path(__file__).parent / "fake"
EFFORT = Effort(samples_min=3, seconds_min=0.02, turn_s=0.01, warm_windows_max=2)
needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="torch is not installed: pip install 'peakday[bench]'"
)


@pytest.fixture(scope="module")
def neuron(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A machine with one chip's device node and the stand-in on the path; returns its /dev."""
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
    """A record made with the stand-in can never reach a plan."""
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


def test_cores_are_told_apart_by_environment() -> None:
    """The child of core 3 sees core 3 and nothing else; a CPU child sees no Neuron setting."""
    base = {"NEURON_RT_NUM_CORES": "8", "PATH": "/bin"}
    assert environment("neuron", core=3, threads=1, base=base)["NEURON_RT_VISIBLE_CORES"] == "3"
    assert "NEURON_RT_NUM_CORES" not in environment("neuron", core=3, threads=1, base=base)
    assert "NEURON_RT_VISIBLE_CORES" not in environment("cpu", core=0, threads=2, base=base)
    assert environment("cpu", core=0, threads=2, base=base)["OMP_NUM_THREADS"] == "2"
