"""A record's tables read from their files: the same columns as whole frames hold, and each call's turn."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from dashboards.numbers.stored import StoredRun, StoredTable, text_numbers
from dashboards.report import load_for_report
from loadgen.run_info import RecordError


def test_columns_of_files_are_those_of_the_frame(run):
    table = StoredTable(run.path, "turns")
    assert len(table) == len(run.turns)
    pd.testing.assert_frame_equal(table[["e2e_s", "turn_index"]], run.turns[["e2e_s", "turn_index"]])
    assert table["intent"].astype(str).tolist() == run.turns["intent"].tolist()
    assert table.row(17)["trace_id"] == run.turns["trace_id"].iloc[17]


def test_each_call_has_the_row_of_its_turn(run):
    """As a join by interaction and turn gives it."""
    stored = StoredRun(run.path)
    key = ["interaction_id", "turn_index"]
    turns = run.turns[key].assign(row=np.arange(len(run.turns)))
    joined = run.calls[key].merge(turns, on=key, how="left")["row"]
    assert stored.turn_of_call.tolist() == joined.tolist()
    own = stored.calls.of_turn(run.turns.iloc[100])
    assert own["start_s"].tolist() == run.calls[joined == 100]["start_s"].tolist()


def test_calls_far_from_their_turns_have_their_row_too(run, monkeypatch):
    """Turns in many small segments: a call that is written long after its turn is looked for in all of them."""
    rows = StoredRun(run.path).turn_of_call
    monkeypatch.setattr("dashboards.numbers.stored.SEGMENT_TURNS", 7)
    assert StoredRun(run.path).turn_of_call.tolist() == rows.tolist()
    assert len(rows) > 100


def test_a_texts_number_is_fnv_of_its_bytes():
    """The 64-bit FNV-1a of `a` is 0xaf63dc4c8601ec8c (its authors' test vectors); null is the empty text."""
    mixed = 0xAF63DC4C8601EC8C
    mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    assert text_numbers(pa.array(["a"])).tolist() == [mixed ^ (mixed >> 31)]
    texts = pa.array([f"s{k}-{k % 3}" for k in range(20_000)] + ["é", "", None])
    numbers = text_numbers(texts)
    assert len(set(numbers.tolist())) == len(texts) - 1
    assert text_numbers(texts[7:9]).tolist() == numbers[7:9].tolist()


def test_a_report_holds_no_large_table(run):
    held = load_for_report(run.path)
    assert len(held.turns) == len(run.turns)
    assert all(isinstance(table, StoredTable) for table in (held.turns, held.calls, held.tools))


def test_a_damaged_file_is_named(run, tmp_path):
    (tmp_path / "turns-0-0000.parquet").write_bytes(b"PAR1 cut")
    with pytest.raises(RecordError, match=r"turns-0-0000\.parquet: damaged"):
        len(StoredTable(tmp_path, "turns"))
    (tmp_path / "calls-0-0000.parquet").write_bytes(b"PAR1 cut")
    with pytest.raises(RecordError, match="damaged"):
        list(StoredTable(tmp_path, "calls").batches(["start_s"]))
