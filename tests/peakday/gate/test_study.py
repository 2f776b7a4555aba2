"""The study injects changes into the sources as they are today, and counts what it is told to count."""

import json

import pytest

from study.gate import CASES, ROOT, ended, results, tables

EDITS = [edit for case in CASES for edit in (case.edit, *case.ground)]
HERE = {"commit": "c0ffee", "rate": "7/s", "for": "4s", "pairs": 4}


def row(name, verdict, **changes):
    """A check that ended so, in both gates."""
    lines = [
        {"gate": gate, "metric": "m", "verdict": verdict, "change": None} for gate in ("exact", "regression")
    ]  # fmt: skip
    known = {"name": name, "took_s": 150.0, "verdict": verdict, "lines": lines, "runs_repeated": 1}
    return {**HERE, **known, "n_tail": {"ttft_s_p95": [12, 9]}, **changes}


@pytest.mark.checkout
@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.file)
def test_what_is_to_be_changed_is_there_once(edit):
    text = (ROOT / edit.file).read_text()
    assert not edit.old or text.count(edit.old) == 1


def test_checks_of_another_commit_or_load_are_not_taken_for_these(tmp_path):
    rows = [row("A/A 1", "pass"), row("A/A 2", "pass", commit="other"), row("A/A 3", "pass", rate="4/s")]
    file = tmp_path / "results.jsonl"
    file.write_text("".join(json.dumps(one) + "\n" for one in rows))
    assert [one["name"] for one in results(file, HERE)] == ["A/A 1"]


def test_an_invalid_check_is_run_again_and_counted():
    rows = [row("A/A 1", "invalid"), row("A/A 1", "pass"), row("A/A 2", "invalid")]
    assert set(ended(rows)) == {"A/A 1"}
    text = tables(rows, HERE)
    assert "2 checks were INVALID and run again" in text
    assert "| 1 | regression | 0 | 0.0% to 97.5% | 1 | 0 |" in text


def test_each_gate_has_its_own_row_and_the_fewest_turns_of_a_tail_are_told():
    text = tables([row("A/A 1", "pass"), row("A/A 2", "fail"), row("lost keep-alive", "pass")], HERE)
    assert "| 2 | exact | 1 |" in text
    assert "ttft_s_p95 9." in text
    assert "| lost keep-alive | MISSED (pass) |" in text
