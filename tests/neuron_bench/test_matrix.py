"""A matrix of benches, and speculative decoding as a measured multiplier."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from neuron_bench.endpoint import EndpointSpec
from neuron_bench.errors import BenchUsageError, DeviceError
from neuron_bench.matrix import read_matrix, run_matrix
from neuron_bench.speculation import speculation
from neuron_bench.suite import Spec

MATRIX = """
schema: peakday.bench_matrix/1
suite: latency
slo: {ttft_s: 0.5}
models: [nano, tiny]
targets:
  - {device: cpu, method: trace}
  - {device: neuron, method: endpoint, url: "http://127.0.0.1:9/v1", chip: trainium2, tp: 4, models: [custom]}
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "bench.yaml"
    path.write_text(text)
    return path


def test_a_matrix_is_models_times_targets(tmp_path: Path) -> None:
    """A target may name models of its own; the SLO is for the headline."""
    matrix = read_matrix(written(tmp_path, MATRIX))
    first, second, third = (entry.spec for entry in matrix.entries)
    assert isinstance(first, Spec)
    assert (first.model, second.model, first.suite) == ("nano", "tiny", "latency")
    assert isinstance(third, EndpointSpec)
    assert (third.model, third.chip, third.tp) == ("custom", "trainium2", 4)
    assert (matrix.slo.ttft_s, matrix.slo.tpot_s) == (0.5, None)
    assert len({entry.name for entry in matrix.entries}) == 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("suite: latency", "suite: fast"), "suite: 'fast': expected one of quick"),
        (("method: trace", "methode: trace"), r"targets\[0\]\.methode: unknown key"),
        (("method: trace", "method: guess"), r"targets\[0\]\.method: 'guess'"),
        (('url: "http://127.0.0.1:9/v1", ', ""), r"targets\[1\]\.url: missing"),
        (("ttft_s", "ttft"), r"slo\.ttft: unknown key"),
        (("models: [nano, tiny]", "models: [nano"), "cannot be read"),
        (("peakday.bench_matrix/1", "x"), "schema: expected"),
    ],
)
def test_a_mistake_is_named_with_file_and_key(change: tuple[str, str], said: str, tmp_path: Path) -> None:
    """One line, exit code 2."""
    with pytest.raises(BenchUsageError, match=said) as caught:
        read_matrix(written(tmp_path, MATRIX.replace(*change)))
    assert "bench.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_when_every_bench_is_refused_the_matrix_is(tmp_path: Path) -> None:
    """Exit code 5, each reason named, no record left."""
    only = MATRIX.replace("  - {device: cpu, method: trace}\n", "")
    with pytest.raises(DeviceError, match="custom-trainium2-endpoint-0: endpoint http://127"):
        run_matrix(read_matrix(written(tmp_path, only)), tmp_path / "benches")
    assert list((tmp_path / "benches").iterdir()) == []


def test_one_refusal_stops_no_other_bench_and_a_finished_one_is_kept(tmp_path: Path) -> None:
    """A matrix that was cut short goes on where it stopped."""
    matrix = read_matrix(written(tmp_path, MATRIX.replace("[nano, tiny]", "[nano]")))
    (tmp_path / "benches" / matrix.entries[0].name).mkdir(parents=True)
    outcome = run_matrix(matrix, tmp_path / "benches")
    assert [path.name for path in outcome.benches] == [matrix.entries[0].name]
    assert list(outcome.refused) == [matrix.entries[1].name]


def row(rate: float, **change: Any) -> dict[str, Any]:
    base = {"model_id": "m", "chip": "trainium2", "phase": "serve", "input_tokens": 512, "output_tokens": 128}
    return base | {"concurrency": 1, "weights_random": False, "output_tokens_per_s": rate} | change


def test_speculation_is_a_measured_multiplier() -> None:
    """As AWS's tutorial prints: 3 drafted tokens, mean length 3.22, 74% accepted."""
    found = speculation(row(100.0), row(157.0), draft_tokens=3, tokens_per_step=3.22)
    assert found.multiplier == pytest.approx(1.57)
    assert found.acceptance_ratio == pytest.approx(0.74)


@pytest.mark.parametrize(
    ("drafted", "length", "said"),
    [
        (row(157.0, weights_random=True), 2.0, "real weights only"),
        (row(157.0, weights_random=None), 2.0, "real weights only"),
        (row(157.0, concurrency=8), 2.0, "concurrency differs"),
        (row(157.0), 5.0, "expected 1 to 4"),
    ],
)
def test_speculation_that_means_nothing_is_refused(drafted: dict[str, Any], length: float, said: str) -> None:
    """Random weights accept at random; two loads are no pair."""
    with pytest.raises(BenchUsageError, match=said):
        speculation(row(100.0), drafted, draft_tokens=3, tokens_per_step=length)
