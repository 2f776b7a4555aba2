"""A run by time slice: counts and quantiles that a hand can check, and memory that does not grow with turns."""

import csv
import dataclasses

import numpy as np
import pytest

from dashboards.exports import export_slices
from dashboards.html.run.slices import slice_panels
from dashboards.numbers.slices import COLUMNS, SliceError, slice_length_s, slices
from dashboards.numbers.stored import StoredRun
from loadgen.chunks import write_chunk
from loadgen.tables import CALLS, TURNS


def chunk(folder, number, starts_s, *, status="ok", ttft_s=0.5, began=False, first=0):
    n = len(starts_s)
    turns = dict.fromkeys(TURNS, [None] * n) | {
        "session_id": [f"s{first + k}" for k in range(n)], "interaction_id": [f"s{first + k}-0" for k in range(n)],
        "turn_index": [0] * n, "intended_start_s": [float(at) for at in starts_s], "status": [status] * n,
        "start_lag_s": [0.001] * n, "ttft_s": [ttft_s if status == "ok" else None] * n, "began_before": [began] * n,
    }  # fmt: skip
    calls = dict.fromkeys(CALLS, [None] * n) | {
        "interaction_id": turns["interaction_id"], "turn_index": [0] * n, "input_tokens": [60] * n,
        "cache_read_tokens": [40] * n, "output_tokens": [7] * n, "cost_usd": [0.5] * n,
    }  # fmt: skip
    write_chunk(folder, f"turns-0-{number:04d}.parquet", "turns", turns)
    write_chunk(folder, f"calls-0-{number:04d}.parquet", "calls", calls)


def test_turns_and_their_calls_are_counted_where_they_were_due(tmp_path):
    """Two slices of 10 s with turns, an empty one between them; a failed turn has no latency, and its calls count."""
    chunk(tmp_path, 0, [0.0, 9.99], ttft_s=0.5, began=True)
    chunk(tmp_path, 1, [25.0], ttft_s=2.0, first=10)
    chunk(tmp_path, 2, [26.0], status="http_error", first=20)
    first, empty, last = slices(StoredRun(tmp_path), 10.0)
    assert (first.start_s, first.offered, first.completed, first.failed, first.began_before) == (0.0, 2, 2, 0, 2)
    assert (empty.offered, empty.ttft_s_p50, empty.calls, empty.cache_hit_token_ratio) == (0, None, 0, None)
    assert (last.offered, last.completed, last.failed, last.calls, last.cost_usd) == (2, 1, 1, 2, 1.0)
    assert first.ttft_s_p50 == pytest.approx(0.5, rel=0.008)
    assert last.ttft_s_p99 == pytest.approx(2.0, rel=0.008)
    assert (first.input_tokens, first.output_tokens, first.cache_hit_token_ratio) == (120, 14, 0.4)
    assert (first.offered_per_s, last.completed_per_s) == (0.2, 0.1)


def test_tokens_that_nothing_told_are_unknown(tmp_path):
    """Neither a call's nulls nor an answer without a call is 0 tokens; a slice without an answer is."""
    chunk(tmp_path, 0, [0.0, 25.0])
    silent = {name: [None] for name in CALLS} | {"interaction_id": ["s0-0"], "turn_index": [0]}
    write_chunk(tmp_path, "calls-0-0000.parquet", "calls", silent)
    first, empty, last = slices(StoredRun(tmp_path), 10.0)
    for name in ("input_tokens", "output_tokens", "cost_usd"):
        assert [getattr(one, name) for one in (first, empty, last)] == [None, 0, None]


def test_slices_add_up_to_the_run(run):
    held = slices(StoredRun(run.path), 10.0)
    assert sum(one.offered for one in held) == len(run.turns)
    assert sum(one.completed for one in held) == int(run.turns["status"].eq("ok").sum())
    assert sum(one.calls for one in held) == len(run.calls)
    assert sum(one.output_tokens for one in held) == int(run.calls["output_tokens"].fillna(0).sum())
    assert sum(one.cost_usd for one in held) == pytest.approx(run.calls["cost_usd"].sum())


def test_the_csv_has_every_metric_of_every_slice(run, tmp_path):
    with export_slices(run.path, 10.0, tmp_path / "slices.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == len(slices(StoredRun(run.path), 10.0))


def test_the_report_has_a_table_by_slice(run):
    (panel,) = slice_panels(StoredRun(run.path), 120.0)
    assert len(panel.table.rows) <= 61
    assert "--slice" in panel.sentence


def test_a_slice_that_is_too_short_names_one_that_is_not(tmp_path):
    chunk(tmp_path, 0, [0.0, 50_000.0])
    with pytest.raises(SliceError, match="use 25s"):
        slices(StoredRun(tmp_path), 1.0)
    with pytest.raises(SliceError, match="above 0"):
        slices(StoredRun(tmp_path), 0.0)


def test_slice_lengths_are_round():
    assert [slice_length_s(span) for span in (15.0, 600.0, 86_400.0)] == [1.0, 10.0, 1800.0]


def test_a_record_of_before_the_column_has_slices_too(tmp_path):
    """Runs of earlier versions have no `began_before`; absent is null, and no session of theirs began before."""
    import pyarrow.parquet as pq

    chunk(tmp_path, 0, [0.0])
    file = tmp_path / "turns-0-0000.parquet"
    pq.write_table(pq.read_table(file).drop_columns(["began_before"]), file)
    assert [one.began_before for one in slices(StoredRun(tmp_path), 10.0)] == [0]


@pytest.mark.slow
def test_ten_times_the_turns_take_the_same_memory(tmp_path):
    """Beside 12 bytes a turn: a million turns against a hundred thousand."""
    import tracemalloc

    def peak(turns):
        folder = tmp_path / str(turns)
        folder.mkdir()
        for number in range(turns // 50_000):
            starts = np.linspace(0, 600, 50_000, endpoint=False)
            chunk(folder, number, starts.tolist(), first=number * 50_000)
        tracemalloc.start()
        try:
            assert sum(one.offered for one in slices(StoredRun(folder), 10.0)) == turns
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(50_000)
    assert peak(1_000_000) - peak(100_000) < 900_000 * 60


def test_the_columns_are_a_slices_fields():
    from dashboards.numbers.slices import Slice

    assert tuple(field.name for field in dataclasses.fields(Slice)) == COLUMNS
