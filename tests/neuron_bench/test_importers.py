"""Files of others become records: whole, checked, with their provenance."""

from __future__ import annotations

import json
import tempfile
from importlib.resources import as_file
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facts.reader import data_path
from neuron_bench.errors import BenchUsageError
from neuron_bench.importers.files import Known, import_file
from neuron_bench.importers.tables import usd_per_million
from neuron_bench.record import Bench, load_bench


def imported(name: str, tmp_path: Path) -> Bench:
    with as_file(data_path(name)) as path:
        return load_bench(import_file(path, tmp_path / "bench"))


def test_load_curves_import_whole(tmp_path: Path) -> None:
    """Every row of the table is in the record, as published, with seconds inside."""
    bench = imported("neuron_load_curves.csv", tmp_path)
    assert len(bench.cases) == 50
    assert set(bench.cases.provenance) == {"published"}
    row = bench.cases.iloc[0]
    assert (row.chip, row.tp, row.ttft_s_mean, row.chips_used) == ("trainium2", 4, 0.19725, 1)


def test_unknown_is_null_never_zero(tmp_path: Path) -> None:
    """A load curve prints means: its quantiles are null; and a row without a configuration has no chip."""
    cases = imported("neuron_load_curves.csv", tmp_path).cases
    assert cases.ttft_s_p50.isna().all()
    assert cases[cases["flags"].str.contains("configuration_unknown")].chip.isna().all()


def test_flags_are_counted(tmp_path: Path) -> None:
    """Four host-sampling rows, six without configuration and the warm-up TTFTs are flagged, in the record too."""
    bench = imported("neuron_load_curves.csv", tmp_path)
    flags = bench.cases["flags"]
    assert flags.str.contains("host_sampling").sum() == 4
    assert flags.str.contains("configuration_unknown").sum() == 6
    assert bench.info["flagged"] == (flags != "").sum()


@pytest.mark.parametrize("content", ["", "a,b\n1,2\n"])
def test_an_unknown_file_is_refused_in_one_line(content: str, tmp_path: Path) -> None:
    """It says what is known, and writes nothing."""
    path = tmp_path / "x.csv"
    path.write_text(content)
    with pytest.raises(BenchUsageError, match="not a format we import; known: "):
        import_file(path, tmp_path / "bench")
    assert not (tmp_path / "bench").exists()


def test_published_performance_imports_whole(tmp_path: Path) -> None:
    """1,389 rows; what is flagged and why is counted, and the rest agree with themselves."""
    bench = imported("neuron_published_perf.csv", tmp_path)
    reasons = bench.cases["flags"].str.split(";").explode().value_counts().to_dict()
    assert len(bench.cases) == 1389
    assert reasons["history"] == 1149
    assert reasons["throughput_missing"] == 8
    assert reasons["p50_above_p99"] == 4
    assert (bench.cases["flags"] == "").sum() == 223


def test_encoder_decoder_throughput_counts_output_only(tmp_path: Path) -> None:
    """flan-t5-xl prints 117.6 tokens/s of both sides at 128 in and 84 out: 46.6 of output."""
    cases = imported("neuron_published_perf.csv", tmp_path).cases
    row = cases[(cases.model_id == "google/flan-t5-xl") & (cases.batch == 1)].iloc[0]
    assert row.output_tokens_per_s == pytest.approx(117.6 * 84 / 212, rel=1e-3)
    assert pd.isna(row.tpot_s_p50)


def test_the_cost_formula_reproduces_a_published_figure() -> None:
    """859.09 tokens/s at 5.608 USD an hour, a reserved rate without a term, is 1.8133 USD per million."""
    assert usd_per_million(859.09, 5.608) == pytest.approx(1.8133, abs=5e-5)


def test_third_party_sweeps_import_whole(tmp_path: Path) -> None:
    """Closed loop: Little's law gives the mean time of an answer, and it exceeds the median TTFT everywhere."""
    bench = imported("third_party_sweeps.csv", tmp_path)
    assert len(bench.cases) == 26
    assert (bench.cases["flags"] == "").all()
    row = bench.cases.iloc[0]
    assert row.wall_s_mean == pytest.approx(8 * 256 / 126.2)


VLLM = {
    "date": "20260101-000000", "model_id": "m", "completed": 50, "failed": 0, "duration": 44.4, "max_concurrency": 2,
    "total_input_tokens": 25600, "total_output_tokens": 6400, "request_throughput": 1.126,
    "output_throughput": 144.14, "mean_ttft_ms": 81.6, "median_ttft_ms": 80.0, "p99_ttft_ms": 104.0,
    "mean_tpot_ms": 11.22, "median_tpot_ms": 11.0, "p99_tpot_ms": 14.3,
}  # fmt: skip


def imported_json(content: object, tmp_path: Path, **known: Any) -> Bench:
    path = tmp_path / "report.json"
    path.write_text(json.dumps(content))
    folder = tmp_path / f"bench-{len(list(tmp_path.iterdir()))}"
    return load_bench(import_file(path, folder, Known(**known)))


def test_a_vllm_report_becomes_one_serve_row(tmp_path: Path) -> None:
    """Seconds inside, lengths per request, and the chip is what the user says."""
    row = imported_json(VLLM, tmp_path, chip="trainium2").cases.iloc[0]
    assert (row.phase, row.chip, row.input_tokens, row.output_tokens) == ("serve", "trainium2", 512, 128)
    assert (row.ttft_s_p50, row.tpot_s_p99) == (0.08, 0.0143)
    assert (row.provenance, row["flags"]) == ("measured", "")


@pytest.mark.parametrize(
    ("change", "flag"),
    [
        ({"median_ttft_ms": 200.0}, "ttft_p50_above_p99"),
        ({"request_throughput": 2.3}, "requests_disagree_with_duration"),
        ({"mean_tpot_ms": 22.4}, "in_flight_above_limit"),
        ({"failed": 3}, "some_failed"),
    ],
)
def test_a_vllm_report_that_contradicts_itself_is_flagged(change: dict[str, float], flag: str, tmp_path: Path) -> None:
    """Kept, not repaired."""
    assert flag in imported_json(VLLM | change, tmp_path, chip="trainium2").cases["flags"][0]


def test_a_measurement_without_a_chip_is_flagged(tmp_path: Path) -> None:
    """vLLM's file does not say what it ran on."""
    assert imported_json(VLLM, tmp_path).cases["flags"][0] == "model_or_chip_not_stated"


def test_nxdi_throughput_is_recomputed_without_the_prompt(tmp_path: Path) -> None:
    """Its 405 tokens/s count 1,024 prompt tokens; 1,024 answers tokens in 5.05 s are 203."""

    def part(ms: float, tokens: int) -> dict[str, float]:
        names = ("p50", "p90", "p95", "p99", "p100", "avg")
        return {f"latency_ms_{name}": ms for name in names} | {"throughput": tokens / ms * 1e3}

    report = {
        "e2e_model": part(5050, 2048),
        "context_encoding_model": part(101, 1024),
        "token_generation_model": part(4.84, 1),
        "vision_encoder_model": None,
    }
    rows = imported_json(report, tmp_path, chip="trainium1", model_id="m").cases.set_index("phase")
    assert rows.loc["serve"].output_tokens == 1024
    assert rows.loc["serve"].output_tokens_per_s == pytest.approx(1024 / 5.05)
    assert rows.loc["prefill"].input_tokens == 1024
    assert (rows["flags"] == "").all()


@pytest.mark.parametrize(
    "name",
    ["vllm_bench_serve.example.json", "nxdi_benchmark_report.example.json", "neuronperf_report.example.csv"],
)
def test_schema_examples_import_as_schema_examples(name: str, examples: Path, tmp_path: Path) -> None:
    """Every shared example of a report parses, and its invented values can never pass for measured ones."""
    bench = load_bench(import_file(examples / name, tmp_path / "bench", Known(model_id="m")))
    assert set(bench.cases.provenance) == {"schema_example"}


JUNK = st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.floats(), st.text(max_size=3), st.just([]))


NAMES = st.sampled_from(sorted(VLLM))


@given(changes=st.dictionaries(NAMES, JUNK, max_size=4), lost=st.sets(NAMES))
def test_a_damaged_report_is_refused_in_one_line_or_read(changes: dict[str, object], lost: set[str]) -> None:
    """Missing keys, nulls, text and NaN: never a traceback, and never half a record."""
    content = {name: value for name, value in (VLLM | changes).items() if name not in lost}
    with tempfile.TemporaryDirectory() as folder:
        path, record, said = Path(folder) / "report.json", Path(folder) / "bench", ""
        path.write_text(json.dumps(content))
        try:
            import_file(path, record)
        except BenchUsageError as error:
            said = str(error)
        assert "\n" not in said
        assert record.exists() == (said == "")
        assert not list(Path(folder).glob(".*.part"))


def test_what_the_user_knows_fills_what_the_file_cannot_say(tmp_path: Path) -> None:
    """Chip by any of its names, degree and chips: a rate per chip follows, and the device that drives it."""
    row = imported_json(VLLM, tmp_path, chip="Trn2", tp=8, chips_used=2.0).rows[0]
    assert (row.chip, row.device_kind, row.tp, row.chips_used) == ("trainium2", "neuron", 8, 2.0)


def test_an_instance_type_names_its_chip(tmp_path: Path) -> None:
    """And contradicts another one."""
    assert imported_json(VLLM, tmp_path, instance_type="p5.48xlarge").rows[0].chip == "h100-80gb sxm"
    with pytest.raises(BenchUsageError, match="contradict each other"):
        imported_json(VLLM, tmp_path, chip="trn2", instance_type="inf2.xlarge")


@pytest.mark.parametrize(("chip", "message"), [("trn9", "not known; known: "), ("l4", "--chip l4 contradicts it")])
def test_a_chip_that_cannot_be_is_refused(chip: str, message: str, tmp_path: Path) -> None:
    """Unknown, or another than the file's own."""
    with as_file(data_path("neuron_load_curves.csv")) as path, pytest.raises(BenchUsageError, match=message):
        import_file(path, tmp_path / "bench", Known(chip=chip))
    assert not (tmp_path / "bench").exists()


def test_a_neuron_report_is_never_of_a_gpu(tmp_path: Path) -> None:
    """NxD Inference runs on Neuron devices only."""
    part = {f"latency_ms_{name}": 5.0 for name in ("p50", "p90", "p95", "p99", "p100", "avg")} | {"throughput": 200.0}
    report = {"e2e_model": part, "context_encoding_model": part, "token_generation_model": part}
    with pytest.raises(BenchUsageError, match="measured on neuron; it is not recorded as l4"):
        imported_json(report, tmp_path, chip="l4", model_id="m")
