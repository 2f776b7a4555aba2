"""The gate as a whole, with a fake drive: resuming, invalid runs, and every way in which something can be absent."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from peakday.check import baseline as baselines
from peakday.check import floor
from peakday.check import gate as gates
from peakday.check.baseline import Folder
from peakday.check.checking import Wish, asked, settings
from peakday.check.driving import Scripted
from peakday.check.exact import figures
from peakday.check.fingerprint import workload_hash
from peakday.check.floor import check_exact
from peakday.check.gate import check_regression, run_check
from peakday.check.journal import InvalidRuns, Journal
from peakday.check.session import Check
from peakday.check.settings import Checks, load_checks
from peakday.check.sides import Side
from peakday.check.verdicts import Verdict
from peakday.errors import CommandError, Exit
from peakday.output import Talk
from scenarios.loading import load_scenario
from tests.peakday.check.making import measured, row

QUIET = Talk(quiet=True)
HERE = Side("candidate", "new", folder=Path(), scenario="smoke")
THERE = Side("baseline", "old", folder=Path(), scenario="smoke")


@pytest.fixture
def check(tmp_path, monkeypatch):
    """A check of smoke in an empty folder, which drives nothing real."""
    monkeypatch.chdir(tmp_path)
    scenario = load_scenario("smoke")
    resolved = SimpleNamespace(scenario=scenario, seed=1, scenario_hash="h", world=None)
    wish = Wish("smoke")
    return Check(asked(wish), Checks(), resolved, HERE, Folder(tmp_path / "baselines"), QUIET)


def scripts(monkeypatch, rows):
    """What the next drives of the script show; the last one repeats."""
    left = list(rows)

    def scripted(*_, **__):
        now = left.pop(0) if len(left) > 1 else left[0]
        return Scripted(now, figures(now))

    for module in (floor, gates):
        monkeypatch.setattr(module, "scripted", scripted)


def keep(check, rows, **changes):
    """Save a baseline of these rows."""
    known = {"exact": figures(rows), "moments": rows, "workload": check.workload, "runs": [], "host": {}, **changes}
    return baselines.save(check.store, "smoke", known, "2026-11-23T10:00:00+00:00")


def loads(monkeypatch, answers):
    """What the next load runs measure, by the side that is driven; an exception is raised."""

    def load_once(side, *_, **__):
        answer = answers(side)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    monkeypatch.setattr(gates, "load_once", load_once)


def test_without_a_baseline_the_floor_is_inconclusive_and_says_what_to_do(check, monkeypatch):
    scripts(monkeypatch, [[row()]])
    check_exact(check, None)
    assert check.outcome().exit_code == Exit.INCONCLUSIVE
    assert "peakday baseline save smoke" in check.lines[0].why


def test_a_damaged_baseline_is_inconclusive(check, monkeypatch):
    scripts(monkeypatch, [[row()]])
    version = keep(check, [row()])
    check.store.write(f"smoke/{version}.json", b"{")
    check_exact(check, None)
    assert check.outcome().exit_code == Exit.INCONCLUSIVE
    assert "damaged" in check.lines[0].why


def test_a_baseline_of_another_scenario_is_not_compared(check, monkeypatch):
    """Equal figures of two different questions are no pass."""
    scripts(monkeypatch, [[row()]])
    keep(check, [row()], workload="another")
    check_exact(check, None)
    assert check.outcome().exit_code == Exit.INCONCLUSIVE
    assert "another scenario" in check.lines[0].why


def test_switches_of_the_assistant_are_under_test_and_no_other_scenario():
    """Demand names the workload; the assistant's own switches do not."""
    one, switched = load_scenario("smoke"), load_scenario("smoke", ["assistant.cache.points=false"])
    asked_more = load_scenario("smoke", ["demand.interactions.peak_per_s=9"])
    assert workload_hash(one, 1) == workload_hash(switched, 1)
    assert workload_hash(one, 1) != workload_hash(asked_more, 1)


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
    assert len(baselines.versions(check.store, "smoke")) == 2


def check_with(check, **changes):
    """The same check, asked otherwise."""
    from dataclasses import replace

    return replace(check, asked=replace(check.asked, **changes), lines=[])


def test_the_floor_goes_by_the_other_build_where_no_baseline_is_kept(check, monkeypatch):
    scripts(monkeypatch, [[row(cached=5)], [row()], [row(cached=5)]])
    check_exact(check, THERE)
    assert check.outcome().exit_code == Exit.GATE_FAILED


def test_a_system_of_the_users_own_has_no_floor_and_the_report_says_so(check):
    check.candidate = Side("candidate", "url", targets=("assistant=http://127.0.0.1:1",))
    check_exact(check, None)
    assert check.lines == []
    assert "exact floor not run" in check.notes[0]


def test_an_invalid_run_is_repeated_and_does_not_count(check, monkeypatch):
    answers = iter([measured(valid=False), measured({"ttft_s_p50": 0.5})])
    journal = Journal.opened({"a": 1})
    found = journal.run("A-00", lambda out: next(answers), 3, QUIET)
    assert found.valid
    assert journal.again == 1


def test_too_many_invalid_runs_end_with_exit_code_3(check, monkeypatch):
    loads(monkeypatch, lambda side: measured(valid=False))
    check.asked = asked(Wish("smoke", against=None, only=("slo",)))
    outcome = run_check(check)
    assert outcome.exit_code == Exit.INVALID_RUN
    assert "4 runs were INVALID" in outcome.lines[-1].why


def test_equal_builds_stop_after_four_pairs(check, monkeypatch):
    sides = []
    loads(monkeypatch, lambda side: sides.append(side.label[0]) or measured({"ttft_s_p50": 0.5 + len(sides) / 1e4}))
    check_regression(check, THERE, Journal.opened({"b": 1}))
    assert "".join(sides) == "bccbbccb"
    assert check.outcome().exit_code == Exit.OK


def test_a_slower_build_fails(check, monkeypatch):
    count = iter(range(100))
    slow = {"candidate": 0.65, "baseline": 0.5}
    loads(monkeypatch, lambda side: measured({"ttft_s_p50": slow[side.label] + next(count) % 3 / 1e3}))
    check_regression(check, THERE, Journal.opened({"c": 1}))
    assert check.outcome().exit_code == Exit.GATE_FAILED
    assert [line.metric for line in check.lines if line.verdict == Verdict.FAIL] == ["ttft_s_p50"]


def test_after_ctrl_c_the_same_check_goes_on_with_the_runs_it_had(check, monkeypatch):
    """Interrupted in the fifth run: the next start makes only what is missing."""
    made = []

    def answers(side):
        if len(made) == 4:
            return KeyboardInterrupt()
        made.append(side.label)
        return measured({"ttft_s_p50": 0.5 + len(made) / 1e4})

    loads(monkeypatch, answers)
    with pytest.raises(KeyboardInterrupt):
        check_regression(check, THERE, Journal.opened({"d": 1}))
    made.append("counted")
    check_regression(check, THERE, Journal.opened({"d": 1}))
    assert len(made) == 4 + 1 + 4
    assert check.outcome().exit_code == Exit.OK


def test_a_finished_check_leaves_nothing_for_the_next_to_go_on_with(check):
    journal = Journal.opened({"e": 1})
    journal.run("A-00", lambda out: measured(), 0, QUIET)
    journal.finished()
    assert Journal.opened({"e": 1}).measured == {}


def test_another_check_does_not_go_on_with_these_runs(check):
    Journal.opened({"f": 1}).run("A-00", lambda out: measured(), 0, QUIET)
    assert set(Journal.opened({"f": 1}).measured) == {"A-00"}
    assert Journal.opened({"f": 2}).measured == {}


def test_a_journal_that_cannot_be_read_is_begun_anew(check):
    journal = Journal.opened({"g": 1})
    journal.run("A-00", lambda out: measured(), 0, QUIET)
    (journal.path / "state.json").write_text("{half")
    assert Journal.opened({"g": 1}).measured == {}


def test_invalid_runs_are_bounded_over_the_whole_check(check):
    journal = Journal.opened({"h": 1})
    with pytest.raises(InvalidRuns):
        journal.run("A-00", lambda out: measured(valid=False), 0, QUIET)


def test_a_check_given_up_for_invalid_runs_keeps_the_valid_ones_and_may_repeat_again(check):
    journal = Journal.opened({"i": 1})
    journal.run("A-00", lambda out: measured(), 0, QUIET)
    with pytest.raises(InvalidRuns):
        journal.run("B-00", lambda out: measured(valid=False), 1, QUIET)
    again = Journal.opened({"i": 1})
    assert (set(again.measured), again.again) == ({"A-00"}, 0)


def test_looks_beyond_the_pairs_asked_for_are_dropped():
    assert settings(Wish("smoke", pairs=6)).regression.looks == (4, 6)
    assert settings(Wish("smoke", pairs=3)).regression.looks == (3,)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("slo: [ttft_p95 < 1]", "no metric with an SLO"),
        ("regression: {metrics: {latency: 0.1}}", "'latency' is not measured"),
        ("regression: {looks: [8, 4]}", "must rise"),
        ("runs: {for_s: -1}", "runs.for_s"),
        ("gates: 3", "gates"),
        ("[", "while parsing"),
    ],
)
def test_a_mistake_in_checks_yaml_names_file_and_key(tmp_path, text, complaint):
    path = tmp_path / "checks.yaml"
    path.write_text(text)
    with pytest.raises(CommandError, match=complaint) as caught:
        settings(Wish("smoke", checks=path))
    assert caught.value.code == Exit.USAGE


@pytest.mark.checkout
def test_the_page_s_example_of_checks_yaml_can_be_read(tmp_path):
    """docs/ci.md shows files that work as pasted."""
    import re

    page = (Path(__file__).parents[3] / "docs" / "ci.md").read_text()
    for number, block in enumerate(re.findall(r"```yaml\n(schema: peakday.checks.*?)```", page, flags=re.DOTALL)):
        file = tmp_path / f"{number}.yaml"
        file.write_text(block)
        assert load_checks(file)


def test_an_unknown_gate_is_a_usage_error():
    with pytest.raises(CommandError, match="known: exact, slo, regression"):
        asked(Wish("smoke", only=("latency",)))
