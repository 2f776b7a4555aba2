"""A bench run: real children, real timings, one record."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pandas as pd
import pytest

from neuron_bench.errors import BenchUsageError, DeviceError
from neuron_bench.models.presets import PRESETS
from neuron_bench.record import Bench, load_bench
from neuron_bench.trace import suite
from neuron_bench.trace.cases import EFFORTS, SUITES, Effort, prefill, suite_cases

needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="torch is not installed: pip install 'peakday[bench]'"
)
no_chip = pytest.mark.skipif(any(Path("/dev").glob("neuron[0-9]*")), reason="this machine has a Neuron chip")


def test_a_bench_measures_every_case(small_bench: Bench) -> None:
    """Each case has its row with enough samples, an interval around the median, and rows for compile and load."""
    cases = small_bench.cases.set_index("record_id")
    assert set(small_bench.cases.phase) == {"prefill", "decode", "compile", "load"}
    for name in ("prefill-b1-t32-float32", "decode-b2-t64-float32"):
        row = cases.loc[name]
        assert row.n_samples >= 9
        assert row.wall_s_p50_lo <= row.wall_s_p50 <= row.wall_s_p50_hi
        assert row.wall_s_min <= row.wall_s_p50 <= row.wall_s_p99
        assert cases.loc[f"{name}-compile"].compile_s > 0
        assert cases.loc[f"{name}-load"].load_s > 0


def test_a_bench_says_what_made_it(small_bench: Bench) -> None:
    """Provenance measured, random weights, versions, host, and no roofline for a CPU we have no peaks of."""
    rows = small_bench.cases
    assert set(rows.provenance) == {"measured"}
    assert rows.weights_random.all()
    assert "torch" in json.loads(rows.versions[0])
    assert rows.mfu_ratio.isna().all()
    assert small_bench.info["state"] == "finished"


def test_raw_samples_are_kept(small_bench: Bench) -> None:
    """The medians of the record are the medians of its samples."""
    samples = pd.read_parquet(small_bench.path / "samples.parquet")
    medians = samples.groupby("record_id").wall_s.median()
    rows = small_bench.cases.set_index("record_id")
    for name, median in medians.items():
        assert rows.loc[name].wall_s_p50 == pytest.approx(median)


def test_resume_runs_only_what_is_missing(small_bench: Bench, tmp_path: Path) -> None:
    """A record that holds every case leaves nothing to do, and says so."""
    spec = suite.Spec(cases=(prefill(1, 32, "float32"),))
    with pytest.raises(BenchUsageError, match="nothing left to run"):
        suite.run(spec, tmp_path / "more", resume=small_bench.path)


def test_ctrl_c_keeps_what_is_finished_and_resume_adds_the_rest(
    small_bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in the second group: the first is a record that says so, and resuming measures only the other case."""
    monkeypatch.setattr(suite, "ALIVE_MAX", 1)
    effort = Effort(samples_min=9, seconds_min=0.1, turn_s=0.05, warm_windows_max=4)
    spec = suite.Spec(cases=(prefill(1, 16, "float32"), prefill(1, 32, "float32")), effort=effort)
    builds: list[str] = []

    def stop_at_the_second_build(done: int, total: int, left: float | None, label: str) -> None:
        builds.extend([label] if label.startswith("build") else [])
        if len(builds) == 2:
            raise KeyboardInterrupt

    cut = load_bench(suite.run(spec, tmp_path / "cut", progress=stop_at_the_second_build))
    assert cut.info["state"] == "interrupted"
    assert list(cut.cases.phase).count("prefill") == 1
    assert len(cut.info["unfinished"]) == 1
    whole = load_bench(suite.run(spec, tmp_path / "whole", resume=cut.path))
    assert whole.info["state"] == "finished"
    assert set(whole.cases[whole.cases.phase == "prefill"].label) == {case.label for case in spec.cases}
    assert whole.info["carried_over"] == len(cut.cases)


def test_a_record_of_another_model_is_not_gone_on_with(small_bench: Bench, tmp_path: Path) -> None:
    """Its cases have the same names and other times."""
    with pytest.raises(BenchUsageError, match="tiny on cpu cannot go on with it"):
        suite.run(suite.Spec(model="tiny"), tmp_path / "more", resume=small_bench.path)


@no_chip
def test_neuron_here_is_refused_and_leaves_no_record(tmp_path: Path) -> None:
    """Exit code 5, no folder, no fall-back to the CPU."""
    with pytest.raises(DeviceError):
        suite.run(suite.Spec(device="neuron"), tmp_path / "bench")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("grid", SUITES)
def test_no_case_is_longer_than_the_model_allows(name: str, grid: str) -> None:
    """And labels are unique, since resume goes by them."""
    shape = PRESETS[name]
    cases = suite_cases(shape, grid, "float32")
    assert cases
    assert all(case.bucket_tokens <= shape.context_tokens for case in cases)
    assert len({case.label for case in cases}) == len(cases)


@needs_torch
def test_what_cannot_be_on_one_core_is_refused(tmp_path: Path) -> None:
    """Before any child is started; the remedy names the other route."""
    spec = suite.Spec(model="llama-3.1-70b", dtype="bfloat16")
    with pytest.raises(BenchUsageError, match=r"GiB of weights and caches, 70% of this machine has.*--method endpoint"):
        suite.run(spec, tmp_path / "bench")


def test_suites_grow_with_the_model() -> None:
    """A model for chips gets prompts of thousands of tokens, one for this CPU does not."""
    longest = {
        name: max(case.bucket_tokens for case in suite_cases(PRESETS[name], "full", "bfloat16"))
        for name in ("nano", "planner-1b")
    }
    assert longest == {"nano": 1024, "planner-1b": 4096}


def test_the_quick_suite_is_small() -> None:
    """At most four cases; at least 30 samples and 1.5 s each: a suite of 20 s on two cores."""
    assert len(suite_cases(PRESETS["nano"], "quick", "float32")) <= 4
    assert EFFORTS["quick"].samples_min >= 30
    assert EFFORTS["quick"].seconds_min >= 1.5


def test_plans_need_long_measurements() -> None:
    """Every suite but quick takes 100 samples and 10 s a case."""
    assert all(e.samples_min >= 100 and e.seconds_min >= 10 for name, e in EFFORTS.items() if name != "quick")
