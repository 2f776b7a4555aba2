"""The snapshot checks under a fake drive: what it is held against, what stands, and what is no pass by absence."""

import pytest

from host.errors import Exit
from peakday.errors import CommandError
from peakday.gate.baselines import baseline as baselines
from peakday.gate.builds.builds import Build
from peakday.gate.gate import save_baseline
from peakday.gate.snapshot.comparison import check_exact
from peakday.gate.verdicts import Verdict
from tests.peakday.gate.making import THERE, check_with, keep, row, scripts


def test_where_versions_are_left_but_none_is_current_nothing_is_saved_and_the_fix_is_named(check, monkeypatch):
    scripts(monkeypatch, [[row()]])
    check.store.write("smoke/20261122-100000.json", b"{}")
    check_exact(check, None)
    assert check.outcome().exit_code == Exit.INCONCLUSIVE
    assert check.lines[0].fix == "peakday check smoke --only exact --accept"
    assert check.store.keys("smoke/") == ["smoke/20261122-100000.json"]


def test_a_damaged_baseline_is_inconclusive(check, monkeypatch):
    scripts(monkeypatch, [[row()]])
    keep(check, [row()])
    check.store.write("smoke/exact.json", b"{")
    check_exact(check, None)
    assert check.outcome().exit_code == Exit.INCONCLUSIVE
    assert "damaged" in check.lines[0].why


def test_a_baseline_of_another_scenario_is_not_compared(check, monkeypatch):
    """Equal figures of two different questions are no pass."""
    scripts(monkeypatch, [[row()]])
    keep(check, [row()], workload="another")
    check_exact(check, None)
    assert check.outcome().exit_code == Exit.INCONCLUSIVE
    assert "another script or scenario" in check.lines[0].why


def test_a_difference_that_a_second_drive_repeats_fails(check, monkeypatch):
    keep(check, [row()])
    scripts(monkeypatch, [[row(cached=5)]])
    check_exact(check, None)
    assert check.outcome().exit_code == Exit.GATE_FAILED
    assert check.moments[0]["turn"] == "a/0"


def test_a_difference_that_a_second_drive_does_not_repeat_is_inconclusive(check, monkeypatch):
    keep(check, [row()])
    scripts(monkeypatch, [[row(cached=5)], [row()]])
    check_exact(check, None)
    assert check.outcome().exit_code == Exit.INCONCLUSIVE


def test_accepting_saves_what_was_seen_and_the_next_check_passes(check, monkeypatch):
    keep(check, [row()])
    scripts(monkeypatch, [[row(cached=5)]])
    check_exact(check_with(check, accept=True), None)
    check_exact(check, None)
    assert [line.verdict for line in check.lines] == [Verdict.PASS]
    assert baselines.current(check.store, "smoke").figures["cache_read_tokens"] == 5


def test_the_floor_goes_by_the_other_build_where_no_baseline_is_kept(check, monkeypatch):
    scripts(monkeypatch, [[row(cached=5)], [row()], [row(cached=5)], [row()]])
    check_exact(check, THERE)
    assert check.outcome().exit_code == Exit.GATE_FAILED


def test_a_baseline_build_whose_own_drives_disagree_fails_nobody(check, monkeypatch):
    """Both builds are driven twice before either is blamed."""
    driven = scripts(monkeypatch, [[row(cached=5)], [row(cached=9)], [row(cached=5)], [row(cached=5)]])
    check_exact(check, THERE)
    assert driven == ["candidate", "baseline", "candidate", "baseline"]
    assert {line.verdict for line in check.lines} == {Verdict.INCONCLUSIVE}


def test_only_what_two_drives_agree_on_is_accepted(check, monkeypatch):
    scripts(monkeypatch, [[row(cached=5)], [row(cached=6)]])
    accepting = check_with(check, accept=True)
    check_exact(accepting, None)
    assert accepting.outcome().exit_code == Exit.INCONCLUSIVE
    assert not baselines.is_kept(check.store, "smoke")


def test_only_what_two_drives_agree_on_is_saved(check, monkeypatch):
    scripts(monkeypatch, [[row(cached=5)], [row(cached=6)]])
    with pytest.raises(CommandError, match="not reproducible") as caught:
        save_baseline(check, 0, False)
    assert caught.value.exit_code == Exit.INCONCLUSIVE


NOTHING = [[], [row(end="error internal"), row("a/1", end="error internal")]]


@pytest.mark.parametrize("rows", NOTHING, ids=["no turn", "every turn failed"])
def test_a_script_that_nobody_answered_is_no_pass(check, monkeypatch, rows):
    """Even where the baseline is just as empty."""
    keep(check, rows)
    scripts(monkeypatch, [rows])
    check_exact(check, None)
    assert check.outcome().exit_code == Exit.INCONCLUSIVE
    assert "zero traffic" in check.lines[0].why


@pytest.mark.parametrize("rows", NOTHING, ids=["no turn", "every turn failed"])
def test_a_script_that_nobody_answered_becomes_no_baseline(check, monkeypatch, rows):
    scripts(monkeypatch, [rows])
    check_exact(check_with(check, accept=True), None)
    with pytest.raises(CommandError, match="zero traffic"):
        save_baseline(check, 0, False)
    assert not baselines.is_kept(check.store, "smoke")


def test_a_baseline_that_nobody_answered_is_compared_with_nothing(check, monkeypatch):
    keep(check, NOTHING[1])
    scripts(monkeypatch, [[row()]])
    check_exact(check, None)
    assert [line.verdict for line in check.lines] == [Verdict.INCONCLUSIVE]
    assert "of the baseline" in check.lines[0].why


def test_two_changes_that_cancel_in_every_total_fail(check, monkeypatch):
    """One turn reads ten cached tokens more, another ten less: the sums say nothing, the turns do."""
    keep(check, [row("a/0", cached=100), row("a/1", cached=100)])
    scripts(monkeypatch, [[row("a/0", cached=110), row("a/1", cached=90)]])
    check_exact(check, None)
    failed = [line for line in check.lines if line.verdict == Verdict.FAIL]
    assert [line.metric for line in failed] == ["turns"]
    assert "2 scripted turns, a/0 first (call 0 cache_read_tokens)" in failed[0].why


def test_turns_that_change_in_one_drive_of_two_are_inconclusive(check, monkeypatch):
    kept = [row("a/0", cached=100), row("a/1", cached=100)]
    keep(check, kept)
    scripts(monkeypatch, [[row("a/0", cached=110), row("a/1", cached=90)], kept])
    check_exact(check, None)
    assert check.outcome().exit_code == Exit.INCONCLUSIVE


def test_a_baseline_of_another_machine_holds_and_the_report_says_so(check, monkeypatch):
    """No clock is in the floor, so the machine is a note and no verdict."""
    keep(check, [row()], host={"cpu": "another"})
    scripts(monkeypatch, [[row()]])
    check_exact(check, None)
    assert check.outcome().exit_code == Exit.OK
    assert "another machine (cpu: another and" in check.notes[-1]


def test_a_system_of_the_users_own_without_questions_is_not_gated_and_the_line_to_add_is_said(check):
    check.candidate = Build("candidate", "url", targets=("assistant=http://127.0.0.1:1",))
    check_exact(check, None)
    assert check.outcome().exit_code == Exit.INCONCLUSIVE
    assert "add `questions: questions.txt` to checks.yaml" in check.lines[0].why
    assert "add --only slo --only regression" in check.lines[0].why


def test_a_target_whose_answers_are_not_read_here_is_not_gated_and_says_so(check):
    check.candidate = Build("candidate", "url", targets=("module=own.py:Target@http://127.0.0.1:1",))
    check_exact(check, None)
    assert check.outcome().exit_code == Exit.INCONCLUSIVE
    assert "of a module target no answer is read here, only of assistant, http, openai" in check.lines[0].why
