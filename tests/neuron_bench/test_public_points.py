"""Load points that others published, in their own columns: recognised, with the chip they name, flagged if wrong."""

from pathlib import Path

import pytest

from capacity.calibration.clients import LoadPoint
from capacity.calibration.known import known_engine
from capacity.calibration.points import fit_points
from neuron_bench.errors import BenchUsageError
from neuron_bench.importers.files import Known, import_file
from neuron_bench.record import load_bench
from tests.capacity.models import step_model

PUBLIC = Path(__file__).parent / "data" / "public"
FILES = {
    "dstack-h200-trtllm.csv": (6, 0, "h200-141gb sxm"),
    "dstack-mi300x-sglang.csv": (6, 0, "mi300x"),
    "dstack-mi300x-vllm.csv": (6, 0, "mi300x"),
    "fmbench-trn1-8b.csv": (7, 0, "trainium1"),
    "iog-4090-qwen-7b.json": (5, 0, "rtx 4090"),
    "nim-h100-70b.csv": (8, 0, None),
    "rtx4090-mistral-7b.csv": (5, 5, None),
    "sequrity-a6000-8b.json": (5, 0, "rtx a6000"),
    "tt-llama-8b-qb2.md": (6, 0, None),
    "tt-qwen3-8b-n300.md": (4, 0, None),
    "vultr-b200-nemotron-nano.csv": (9, 1, None),
}
"""Rows, those that are flagged and fitted by nobody, and the chip that the file itself names."""


NOTHING = Known()


def rows_of(name, folder, known=NOTHING):
    return load_bench(import_file(PUBLIC / name, folder / "bench", known)).rows


@pytest.mark.parametrize("name", FILES)
def test_a_published_file_is_recognised_by_what_it_holds(name, tmp_path):
    rows = rows_of(name, tmp_path)
    assert (len(rows), sum(row.barred for row in rows), rows[0].chip) == FILES[name]
    assert all(row.input_tokens and row.output_tokens for row in rows)
    assert all(row.concurrency or row.arrival_rate_per_s for row in rows)


def test_every_file_says_where_it_comes_from():
    assert {path.name for path in PUBLIC.iterdir()} == {*FILES, "README.md"}
    sources = (PUBLIC / "README.md").read_text()
    assert all(name in sources for name in FILES)


def test_times_without_a_unit_are_in_the_unit_of_their_source(tmp_path):
    """FMBench writes seconds."""
    assert rows_of("fmbench-trn1-8b.csv", tmp_path)[0].wall_s_p50 == 1.56


def test_answers_shorter_than_stated_are_flagged(tmp_path):
    """128 tokens are stated, and 210 tokens/s over 2.09 answers/s are 100."""
    assert rows_of("rtx4090-mistral-7b.csv", tmp_path)[0].flag_names == {"tokens_disagree_with_requests"}


def test_a_chip_that_contradicts_the_file_is_refused(tmp_path):
    with pytest.raises(BenchUsageError, match="mi300x; --chip h200-141gb sxm contradicts it"):
        rows_of("dstack-mi300x-vllm.csv", tmp_path, Known(chip="h200"))


def test_points_of_an_mi300x_predict_twice_their_load_within_their_ranges(tmp_path):
    """DeepSeek-R1 by vLLM on eight: up to 64 clients fitted, TPOT at 128 within a tenth, TTFT within a quarter."""
    rows = rows_of("dstack-mi300x-vllm.csv", tmp_path)
    points = [
        LoadPoint(
            row.record_id, int(row.concurrency), row.input_tokens, row.output_tokens, row.ttft_s_mean, row.tpot_s_mean
        )
        for row in rows
    ]
    known = known_engine("deepseek-ai/DeepSeek-R1", "mi300x", 8.0, 8, "fp8", "vllm")
    assert known.kv_tokens
    base = step_model(a=1e-3, max_num_seqs=1024, max_batched_tokens=8192)
    fit = fit_points([point for point in points if point.concurrency <= 64], base, known)
    (far,) = [point for point in points if point.concurrency == 128]
    assert fit.report(far).tpot_s == pytest.approx(far.tpot_s, rel=0.1)
    assert fit.report(far).ttft_s == pytest.approx(far.ttft_s, rel=0.25)


def test_one_client_says_little_of_many(tmp_path):
    """Points of one client alone: the error of 32 is that of sixteen times twice the load."""
    row = rows_of("tt-llama-8b-qb2.md", tmp_path)
    alone = [
        LoadPoint(each.record_id, 1, each.input_tokens, each.output_tokens, each.ttft_s_mean, each.tpot_s_mean)
        for each in row
        if each.concurrency == 1
    ]
    fit = fit_points(alone, step_model(a=1e-3, max_num_seqs=1024, max_batched_tokens=8192))
    many = LoadPoint("32", 32, row[1].input_tokens, row[1].output_tokens, row[1].ttft_s_mean, row[1].tpot_s_mean)
    assert fit.tpot_sigma_of(many) > 1.3 > 0.3 > fit.tpot_sigma_of(alone[0])
