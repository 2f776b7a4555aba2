"""What a check has measured so far: kept for the same check, repeated where invalid, forgotten when it is old."""

import pytest

from peakday.gate.builds.journal import KEPT_S, InvalidRuns, Journal
from tests.peakday.gate.making import QUIET, measured


def at(now_s):
    """A clock that stands still."""
    return lambda: now_s


def test_an_invalid_run_is_repeated_and_does_not_count(check, monkeypatch):
    answers = iter([measured(valid=False), measured({"ttft_s_p50": 0.5})])
    journal = Journal.opened({"a": 1})
    found = journal.run("slo-0", lambda out: next(answers), 3, QUIET)
    assert found.valid
    assert journal.again == 1


def test_a_finished_check_leaves_nothing_for_the_next_to_go_on_with(check):
    journal = Journal.opened({"e": 1})
    journal.run("slo-0", lambda out: measured(), 0, QUIET)
    journal.finished()
    assert Journal.opened({"e": 1}).measured == {}


def test_another_check_does_not_go_on_with_these_runs(check):
    Journal.opened({"f": 1}).run("slo-0", lambda out: measured(), 0, QUIET)
    assert set(Journal.opened({"f": 1}).measured) == {"slo-0"}
    assert Journal.opened({"f": 2}).measured == {}


def test_a_journal_that_cannot_be_read_is_begun_anew(check):
    journal = Journal.opened({"g": 1})
    journal.run("slo-0", lambda out: measured(), 0, QUIET)
    (journal.path / "state.json").write_text("{half")
    assert Journal.opened({"g": 1}).measured == {}


def test_invalid_runs_are_bounded_over_the_whole_check(check):
    journal = Journal.opened({"h": 1})
    with pytest.raises(InvalidRuns):
        journal.run("slo-0", lambda out: measured(valid=False), 0, QUIET)


def test_a_check_given_up_for_invalid_runs_keeps_the_valid_ones_and_may_repeat_again(check):
    journal = Journal.opened({"i": 1})
    journal.run("slo-0", lambda out: measured(), 0, QUIET)
    with pytest.raises(InvalidRuns):
        journal.run("slo-1", lambda out: measured(valid=False), 1, QUIET)
    again = Journal.opened({"i": 1})
    assert (set(again.measured), again.again) == ({"slo-0"}, 0)


def test_runs_of_this_morning_are_forgotten(check):
    """Behind an address another build may be up by now."""
    Journal.opened({"j": 1}, now_s=at(1_000.0)).run("slo-0", lambda out: measured(), 0, QUIET)
    assert set(Journal.opened({"j": 1}, now_s=at(1_000.0 + KEPT_S)).measured) == {"slo-0"}
    assert Journal.opened({"j": 1}, now_s=at(1_001.0 + KEPT_S)).measured == {}


def test_a_pair_that_was_cut_in_half_is_made_anew(check):
    """Its two runs would be no longer side by side."""
    journal = Journal.opened({"k": 1})
    for name in ("A-00", "B-00", "B-01"):
        journal.run(name, lambda out: measured(), 0, QUIET)
    assert set(Journal.opened({"k": 1}).measured) == {"A-00", "B-00"}


def test_when_one_run_of_a_pair_is_too_old_both_are(check):
    early, late = Journal.opened({"l": 1}, now_s=at(0.0)), at(KEPT_S / 2)
    early.run("A-00", lambda out: measured(), 0, QUIET)
    early.now_s = late
    early.run("B-00", lambda out: measured(), 0, QUIET)
    assert Journal.opened({"l": 1}, now_s=at(KEPT_S + 1)).measured == {}
