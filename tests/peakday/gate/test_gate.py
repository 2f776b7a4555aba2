"""The gate as a whole, with a fake drive: what is run, what is judged by it, and how it ends in the shell."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from host.errors import Exit, PeakdayError
from peakday.errors import CommandError
from peakday.gate import gate as gates
from peakday.gate.baselines.baseline import add_runs, history
from peakday.gate.builds.builds import Build
from peakday.gate.builds.journal import Journal
from peakday.gate.check import CheckOptions, check_noise, check_scenario, request_of, settings
from peakday.gate.fingerprint import asked_otherwise, workload_hash
from peakday.gate.gate import check_history, check_regression, check_slo, noise_session, run_check, save_baseline
from peakday.gate.settings import Checks, Runs, Sut, load_checks
from peakday.gate.verdicts import Verdict
from scenarios.loading import load_scenario
from tests.peakday.gate.making import HOST, QUIET, THERE, check_with, loads, measured, row, run, scripts


def test_switches_of_the_assistant_are_under_test_and_no_other_scenario():
    """Demand names the workload; the assistant's own switches do not."""
    one, switched = load_scenario("smoke"), load_scenario("smoke", ["assistant.cache.points=false"])
    asked_more = load_scenario("smoke", ["demand.interactions.peak_per_s=9"])
    assert workload_hash(one, 1) == workload_hash(switched, 1)
    assert workload_hash(one, 1) != workload_hash(asked_more, 1)


def test_too_many_invalid_runs_end_with_exit_code_3(check, monkeypatch):
    loads(monkeypatch, lambda build: measured(valid=False))
    check.request = request_of(CheckOptions("smoke", against=None, only=("slo",)))
    outcome = run_check(check)
    assert outcome.exit_code == Exit.INVALID_RUN
    assert "4 runs were INVALID" in outcome.lines[-1].why


def test_equal_builds_stop_after_four_pairs(check, monkeypatch):
    builds = []
    loads(monkeypatch, lambda build: builds.append(build.label[0]) or measured({"ttft_s_p50": 0.5 + len(builds) / 1e4}))
    check_regression(check, THERE, Journal.opened({"b": 1}))
    assert "".join(builds) == "bccbbccb"
    assert check.outcome().exit_code == Exit.OK


def test_a_slower_build_fails(check, monkeypatch):
    count = iter(range(100))
    slow = {"candidate": 0.65, "baseline": 0.5}
    loads(monkeypatch, lambda build: measured({"ttft_s_p50": slow[build.label] + next(count) % 3 / 1e3}))
    check_regression(check, THERE, Journal.opened({"c": 1}))
    assert check.outcome().exit_code == Exit.GATE_FAILED
    assert [line.metric for line in check.lines if line.verdict == Verdict.FAIL] == ["ttft_s_p50"]


def test_after_ctrl_c_the_same_check_goes_on_with_the_runs_it_had(check, monkeypatch):
    """Interrupted in the fifth run: the next start makes only what is missing."""
    made = []

    def answers(build):
        if len(made) == 4:
            return KeyboardInterrupt()
        made.append(build.label)
        return measured({"ttft_s_p50": 0.5 + len(made) / 1e4})

    loads(monkeypatch, answers)
    with pytest.raises(KeyboardInterrupt):
        check_regression(check, THERE, Journal.opened({"d": 1}))
    made.append("counted")
    check_regression(check, THERE, Journal.opened({"d": 1}))
    assert len(made) == 4 + 1 + 4
    assert check.outcome().exit_code == Exit.OK


@pytest.fixture
def records(monkeypatch):
    """Runs of a hundred turns wherever a record is read, each with a little more goodput than the one before."""
    count = iter(range(1000))
    totals = lambda: {"goodput_per_s": 4.0 + 0.01 * (next(count) % 5)}  # noqa: E731
    monkeypatch.setattr("peakday.gate.gate.load_run", lambda path: run([0.5] * 100, totals=totals()))


def test_the_slos_are_judged_over_separate_runs_where_no_gate_makes_any(check, monkeypatch, records):
    """A mean of one run says nothing of its scatter, so an SLO on a mean could never be met."""
    driven = loads(monkeypatch, lambda build: measured())
    check.checks = Checks(slo=("goodput_per_s >= 3.9", "error_ratio < 0.02", "ttft_s_p95 <= 1"), runs=Runs(slo_runs=3))
    check_slo(check, [], Journal.opened({"m": 1}))
    assert driven == ["candidate"] * 3
    assert [line.verdict for line in check.lines] == [Verdict.PASS] * 3


@pytest.mark.parametrize(("turns", "runs"), [(200, 3), (41, 4), (20, 6)])
def test_as_many_runs_are_made_as_show_the_strictest_slo_met_and_at_most_twice_as_many(
    check, monkeypatch, records, turns, runs
):
    """1 - 0.02 to the power of 149 is under 0.05, so 1.1 x 149 turns are wanted: 164 are four runs of 41."""
    driven = loads(monkeypatch, lambda build: measured(turns=turns))
    check.checks = Checks(slo=("error_ratio < 0.02",))
    check_slo(check, [], Journal.opened({"m": turns}))
    assert len(driven) == runs


@pytest.mark.parametrize(("turns", "more"), [(41, 0), (40, 1), (10, 4)])
def test_pairs_of_too_few_turns_get_runs_beside_them(check, monkeypatch, records, turns, more):
    """Four runs of 41 turns are the 164 that show 2% met; of 40 it takes a fifth, and never more than as many again."""
    driven = loads(monkeypatch, lambda build: measured(turns=turns))
    check.checks = Checks(slo=("error_ratio < 0.02",))
    judged = check_slo(check, [measured(turns=turns)] * 4, Journal.opened({"more": turns}))
    assert (driven, len(judged)) == (["candidate"] * more, 4 + more)


def test_history_compares_runs_of_the_same_load_alone(check):
    """Runs at another rate are no earlier runs of this."""
    from peakday.gate.fingerprint import here

    now = replace(measured({"ttft_s_p50": 0.9}), workload='scenario h, {"rate": 4}')
    rows = [{"ttft_s_p50": 0.5 + 0.01 * (i % 3), "load": '{"rate": 4}'} for i in range(8)]
    rows = [{**one, "workload": check.workload, "host": here()} for one in rows]
    add_runs(check.store, "smoke", [{**one, "load": '{"rate": 9}'} for one in rows])
    check_history(check, [now])
    assert check.lines == []
    add_runs(check.store, "smoke", rows)
    check_history(check, [now])
    assert [(line.metric, line.verdict) for line in check.lines] == [("ttft_s_p50", Verdict.WARN)]


def test_a_saved_run_says_what_load_it_was_of(check, monkeypatch, records):
    scripts(monkeypatch, [[row()]])
    values = dict.fromkeys(gates.BLOCK_METRICS, 1.0)
    loads(monkeypatch, lambda build: replace(measured(values), workload='scenario h, {"rate": 4}'))
    save_baseline(check, 2, False)
    assert [one["load"] for one in history(check.store, "smoke")] == ['{"rate": 4}'] * 2


def test_a_noise_session_says_what_was_measured(check, monkeypatch):
    """So that sessions of another machine, scenario or load are not taken for the same noise."""
    loads(monkeypatch, lambda build: measured())
    session = noise_session(check, 3, iter([0.0, 30.0]).__next__)
    assert (session["scenario"], session["target"], session["run_s"]) == (check.workload, "the local stack", 10.0)
    assert {"host", "rate_per_s", "for_s", "processes"} <= set(session)


def test_the_noise_of_this_load_is_printed_and_other_sessions_are_left_out(check, monkeypatch):
    """A session at another rate is kept in the file and is not of the table."""
    luck = iter(math.exp(0.01 * (-1) ** i) for i in range(99))
    loads(monkeypatch, lambda build: measured({"ttft_s_p50": 0.5 * next(luck)}))
    monkeypatch.setattr("peakday.gate.check.prepare", lambda asked, checks, console: replace(check, checks=checks))
    check_noise(CheckOptions("smoke", rate="9/s"), 3, check.console)
    text, noise = check_noise(CheckOptions("smoke", rate="4/s"), 4, check.console)
    assert text.startswith("4 equal runs in 1 session(s)")
    assert text.endswith("1 session(s) of another machine, scenario or load in noise.json left out")
    assert "ttft_s_p50 10%" in text
    assert len(noise["sessions"]) == 1


def test_wall_time_that_is_hopeless_is_said_to_be(check, monkeypatch):
    luck = iter([1.0, 2.0] * 9)
    loads(monkeypatch, lambda build: measured({"ttft_s_p50": next(luck), "cpu_loops_per_turn": 2.0}))
    monkeypatch.setattr("peakday.gate.check.prepare", lambda *_: check)
    text, _ = check_noise(CheckOptions("smoke"), 4, check.console)
    assert "wall time is hopeless here (ttft_s_p50): gate cpu_loops_per_turn" in text


def test_a_machine_that_changed_while_it_was_measured_is_noted(check, monkeypatch):
    hosts = iter([HOST] * 3 + [{**HOST, "cores": 4}] * 99)
    loads(monkeypatch, lambda build: measured({"ttft_s_p50": 0.5}, host=next(hosts)))
    check_regression(check, THERE, Journal.opened({"n": 1}))
    assert "the machine changed while it was measured: cores: 2 and 4" in check.notes


@pytest.fixture
def commit(monkeypatch, check):
    """--against names a commit in a worktree, with the scenario that `shown` holds."""
    shown = check.resolved.scenario.model_dump(mode="json", by_alias=True)
    folder = Path("there")

    def worktree(ref, sut):
        import contextlib

        return contextlib.nullcontext((folder, "c0ffee" * 7))

    monkeypatch.setattr(gates, "worktree", worktree)
    monkeypatch.setattr(Build, "scenario_there", lambda build: shown)
    return shown


def test_a_commit_is_measured_in_its_worktree_beside_the_files_here(check, monkeypatch, commit):
    folders = []
    loads(monkeypatch, lambda build: folders.append((build.label, build.folder)) or measured())
    outcome = run_check(check_with(check, against="HEAD~1", only=("regression",)))
    assert outcome.exit_code == Exit.OK
    assert folders[:2] == [("baseline", Path("there")), ("candidate", Path())]


def test_a_commit_whose_scenario_asks_for_something_else_is_not_compared(check, monkeypatch, commit):
    """Its stand-ins would serve other models, or fail otherwise, under a load that is not theirs."""
    commit["mix"]["image_ratio"] = 0.5
    driven = loads(monkeypatch, lambda build: measured())
    outcome = run_check(check_with(check, against="HEAD~1", only=("regression",)))
    assert outcome.exit_code == Exit.INCONCLUSIVE
    assert "asks for something else (mix)" in outcome.lines[0].why
    assert driven == []


def test_a_commit_that_lacks_the_scenario_is_not_compared(check, monkeypatch, commit):
    monkeypatch.setattr(Build, "scenario_there", lambda build: "study.yaml: no such file")
    outcome = run_check(check_with(check, against="HEAD~1", only=("regression",)))
    assert outcome.exit_code == Exit.INCONCLUSIVE
    assert "study.yaml: no such file" in outcome.lines[0].why


def test_a_key_that_the_other_build_does_not_know_yet_is_no_other_scenario(check):
    shown = check.resolved.scenario.model_dump(mode="json", by_alias=True)
    del shown["faults"]
    assert asked_otherwise(check.resolved.scenario, shown) == []


def test_the_switches_of_the_assistant_may_differ_between_builds(check):
    shown = load_scenario("smoke", ["assistant.cache.points=false"]).model_dump(mode="json", by_alias=True)
    assert asked_otherwise(check.resolved.scenario, shown) == []


def test_an_address_is_driven_as_it_is(check, monkeypatch):
    builds = []
    monkeypatch.setattr("peakday.guard.check_answers", lambda *_: None)
    monkeypatch.setattr("peakday.guard.costs_money", lambda *_: False)
    loads(monkeypatch, lambda build: builds.append(build) or measured())
    outcome = run_check(check_with(check, against="http://127.0.0.1:9", only=("regression",)))
    assert outcome.exit_code == Exit.OK
    assert builds[0].targets == ("assistant=http://127.0.0.1:9",)


def test_stored_runs_are_read_and_the_candidate_is_run_as_often_as_the_slos_ask(check, monkeypatch):
    for name in ("one", "two"):
        (Path("runs") / name).mkdir(parents=True)
        (Path("runs") / name / "run.json").write_text("{}")
    monkeypatch.setattr("peakday.gate.gate.measured", lambda path: measured())
    driven = loads(monkeypatch, lambda build: measured())
    outcome = run_check(check_with(check, against="one,two", only=("regression",)))
    assert outcome.exit_code == Exit.OK
    assert driven == ["candidate"] * 3


def test_a_system_of_ones_own_is_built_here_and_in_the_worktree(check, monkeypatch, commit):
    """Its scenario need not be known there: the load comes from here for both."""
    built, builds = [], []
    sut = Sut(build="make", start="./serve", ready="http://x")
    monkeypatch.setattr(gates, "run_build", lambda command, folder, within_s: built.append((command, folder)))
    monkeypatch.setattr(Build, "scenario_there", lambda build: "nobody asks")
    loads(monkeypatch, lambda build: builds.append(build) or measured())
    asked_so = check_with(check, against="HEAD~1", only=("exact", "regression"))
    asked_so.checks, asked_so.candidate = Checks(sut=sut), replace(check.candidate, sut=sut)
    outcome = run_check(asked_so)
    assert outcome.exit_code == Exit.INCONCLUSIVE
    assert built == [("make", Path())]
    assert [build.sut for build in builds[:2]] == [sut, sut]
    assert any("not run, because there is nothing to ask" in line.why for line in outcome.lines)


def test_looks_beyond_the_pairs_asked_for_are_dropped():
    assert settings(CheckOptions("smoke", pairs=6)).regression.looks == (4, 6)
    assert settings(CheckOptions("smoke", pairs=3)).regression.looks == (3,)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("slo: [ttft_p95 < 1]", "no metric with an SLO"),
        ("regression: {metrics: {latency: 0.1}}", "'latency' is not measured"),
        ("regression: {looks: [8, 4]}", "must rise"),
        ("runs: {for_s: -1}", "runs.for_s"),
        ("gates: 3", "gates"),
        ("[", "fix the YAML"),
    ],
)
def test_a_mistake_in_checks_yaml_names_file_and_key(tmp_path, text, complaint):
    path = tmp_path / "checks.yaml"
    path.write_text(text)
    with pytest.raises(PeakdayError, match=complaint) as caught:
        settings(CheckOptions("smoke", checks=path))
    assert caught.value.exit_code == Exit.USAGE


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
        request_of(CheckOptions("smoke", only=("latency",)))


def test_a_build_that_fails_to_start_writes_every_file_and_exits_5(check, monkeypatch, tmp_path):
    """A CI server shows what it can read: the report is there, and says why."""
    monkeypatch.setattr("peakday.gate.check.prepare", lambda *_: check)

    def broken(_check):
        raise CommandError("sut.start ended with exit code 3: no licence", Exit.ENVIRONMENT)

    monkeypatch.setattr("peakday.gate.check.run_check", broken)
    paths = {name: tmp_path / f"out.{name}" for name in ("junit", "markdown", "html")}
    code, text, data = check_scenario(CheckOptions("smoke"), QUIET, **paths, clock=lambda: 0.0)
    assert (code, data["exit_code"], data["verdict"]) == (Exit.ENVIRONMENT, 5, "broken")
    assert "no licence" in text
    assert all("no licence" in path.read_text() for path in paths.values())
    assert "<error " in paths["junit"].read_text()
