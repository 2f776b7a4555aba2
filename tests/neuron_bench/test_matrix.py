"""A matrix of benches: models times targets, one record each."""

from __future__ import annotations

from pathlib import Path

import pytest

from neuron_bench.endpoint.sweep import EndpointSpec
from neuron_bench.errors import BenchUsageError, DeviceError
from neuron_bench.matrix import read_matrix, run_matrix
from neuron_bench.trace.suite import Spec

MATRIX = """
schema: peakday.bench_matrix/1
suite: latency
slo: {ttft_s: 0.5}
models: [nano, tiny]
targets:
  - {device: cpu, method: trace}
  - {device: neuron, method: endpoint, url: "http://127.0.0.1:9/v1", chip: trn2, tp: 4, server_host: chips,
     models: [custom]}
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
    assert (third.model, third.chip, third.tp) == ("custom", "trn2", 4)
    assert [str(slo) for slo in matrix.slos] == ["ttft_s_p99 <= 0.5"]
    assert len({entry.name for entry in matrix.entries}) == 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("suite: latency", "suite: fast"), "suite: 'fast': expected one of quick"),
        (("method: trace", "methode: trace"), r"targets\[0\]\.methode: unknown key"),
        (("method: trace", "method: guess"), r"targets\[0\]\.method: 'guess'"),
        (('url: "http://127.0.0.1:9/v1", ', ""), r"targets\[1\]\.url: missing"),
        (("ttft_s", "ttft"), "slo: .*'ttft_p99' is no metric"),
        (("models: [nano, tiny]", "models: [nano"), "line 6: .*fix the YAML"),
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
    with pytest.raises(DeviceError, match="custom-trn2-endpoint-0: endpoint http://127"):
        run_matrix(read_matrix(written(tmp_path, only)), tmp_path / "benches")
    assert list((tmp_path / "benches").iterdir()) == []


def test_one_refusal_stops_no_other_bench_and_a_finished_one_is_kept(tmp_path: Path) -> None:
    """A matrix that was cut short goes on where it stopped."""
    matrix = read_matrix(written(tmp_path, MATRIX.replace("[nano, tiny]", "[nano]")))
    (tmp_path / "benches" / matrix.entries[0].name).mkdir(parents=True)
    outcome = run_matrix(matrix, tmp_path / "benches")
    assert [path.name for path in outcome.benches] == [matrix.entries[0].name]
    assert list(outcome.refused) == [matrix.entries[1].name]


SERVED = """
schema: peakday.bench_matrix/1
suite: quick
models: [custom]
targets:
  - method: endpoint
    url: http://127.0.0.1:9/v1
    device: cpu
    serve: [vllm, serve, m]
    options: {neuron_config.num_seqs_buckets: [[1], [1, 4]], enable_prefix_caching: [true, false]}
"""


def test_options_of_a_server_are_axes(tmp_path: Path) -> None:
    """Each combination is a bench, started as the plug-in takes its options, and its record says so."""
    entries = read_matrix(written(tmp_path, SERVED)).entries
    assert len({entry.name for entry in entries}) == 4
    assert entries[0].command == (
        "vllm", "serve", "m", "--enable-prefix-caching",
        "--additional-config", '{"neuron_config": {"num_seqs_buckets": [1]}}',
    )  # fmt: skip
    assert "--no-enable-prefix-caching" in entries[1].command
    assert isinstance(entries[3].spec, EndpointSpec)
    assert entries[3].spec.served == entries[3].command


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("    serve: [vllm, serve, m]\n", ""), r"targets\[0\]\.options: needs serve"),
        (("127.0.0.1:9", "198.51.100.7:9"), r"targets\[0\]\.serve: starts a server on this machine"),
        (("[vllm, serve, m]", "vllm"), r"targets\[0\]\.serve"),
        (("method: endpoint\n    url: http://127.0.0.1:9/v1", "method: trace"), "only an endpoint has a server"),
    ],
)
def test_a_server_that_cannot_be_started_is_named(change: tuple[str, str], said: str, tmp_path: Path) -> None:
    """Before anything runs."""
    with pytest.raises(BenchUsageError, match=said):
        read_matrix(written(tmp_path, SERVED.replace(*change)))


def test_a_server_that_ends_at_start_is_refused_with_its_last_line(tmp_path: Path) -> None:
    """Each combination by itself; all of them refused is a matrix refused."""
    text = SERVED.replace("[vllm, serve, m]", "[python3, -c, \"import sys; sys.exit('no chip here')\"]")
    with pytest.raises(DeviceError, match=r"exit code 1 at .*: no chip here"):
        run_matrix(read_matrix(written(tmp_path, text)), tmp_path / "benches")
