"""Benches and plans under the gate: what grew fails, and what is absent is no pass."""

from types import SimpleNamespace

import pytest

from capacity.calibration.backtest import Change
from host.errors import Exit
from neuron_bench.report.compare import Change as Timed
from neuron_bench.report.compare import Comparison
from peakday.errors import CommandError
from peakday.gate.records import check_records
from peakday.gate.verdicts import Verdict


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Two plans, two benches and a run in an empty folder; what they hold is each test's own."""
    monkeypatch.chdir(tmp_path)
    for name in ("plans/old/plan", "plans/new/plan", "benches/old/bench", "benches/new/bench", "runs/one/run"):
        file = tmp_path / f"{name}.json"
        file.parent.mkdir(parents=True)
        file.write_text("{}")


def plans(monkeypatch, *changes, hashes=("h", "h")):
    """The verdict on two plans that differ so."""
    left = iter(hashes)
    monkeypatch.setattr(
        "peakday.gate.records.load_plan", lambda path: SimpleNamespace(scenario=SimpleNamespace(hash=next(left)))
    )
    monkeypatch.setattr("peakday.gate.records.compare_plans", lambda old, new: changes)
    return check_records("plans/new", "plans/old", 0.05)


def benches(monkeypatch, exact=(), changes=(), only_in=()):
    """The verdict on two benches that differ so."""
    monkeypatch.setattr("peakday.gate.records.load_bench", lambda path: path)
    found = Comparison(exact, changes, only_in)
    monkeypatch.setattr("peakday.gate.records.compare", lambda old, new, threshold_ratio: found)
    return check_records("benches/new", "benches/old", 0.05)


@pytest.mark.parametrize(
    ("before", "after", "code", "why"),
    [
        (40.0, 41.0, Exit.OK, "no figure grew"),
        (40.0, 50.0, Exit.GATE_FAILED, "grew by more than 5%"),
        (50.0, 40.0, Exit.OK, "no figure grew"),
        (0.0, 40.0, Exit.GATE_FAILED, "grew from nothing"),
        (40.0, "-", Exit.INCONCLUSIVE, "vanished"),
        ("-", 40.0, Exit.INCONCLUSIVE, "new"),
    ],
    ids=["within", "beyond", "fewer", "from nothing", "vanished", "new"],
)
def test_chips_of_a_plan_may_grow_by_the_margin_and_may_not_vanish(monkeypatch, before, after, code, why):
    outcome = plans(monkeypatch, Change("own in us-east-1: chips", "chips", before, after))
    assert outcome.exit_code == code
    assert why in outcome.lines[0].why


def test_words_of_a_plan_that_differ_are_no_figure(monkeypatch):
    told = Change("what breaks first", "", "tokens per minute", "-")
    assert plans(monkeypatch, told).exit_code == Exit.OK


def test_equal_plans_pass(monkeypatch):
    assert plans(monkeypatch).exit_code == Exit.OK


def test_plans_of_two_scenarios_are_not_compared(monkeypatch):
    assert plans(monkeypatch, hashes=("h", "other")).exit_code == Exit.INCONCLUSIVE


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [("slower", Verdict.FAIL), ("unclear", Verdict.INCONCLUSIVE), ("same", Verdict.PASS), ("faster", Verdict.PASS)],
)
def test_a_case_of_a_bench_is_judged_by_its_median(monkeypatch, verdict, expected):
    outcome = benches(monkeypatch, changes=(Timed("decode/8", 0.01, 0.02, verdict),))
    assert [line.verdict for line in outcome.lines] == [expected]


def test_a_graph_that_changed_fails_a_bench(monkeypatch):
    outcome = benches(monkeypatch, exact=("prefill/1: artifact_key a -> b",))
    assert (outcome.exit_code, outcome.lines[0].metric) == (Exit.GATE_FAILED, "prefill/1")


def test_a_case_that_vanished_is_inconclusive(monkeypatch):
    assert benches(monkeypatch, only_in=("decode/8",)).exit_code == Exit.INCONCLUSIVE


def test_benches_without_a_case_are_no_pass(monkeypatch):
    assert benches(monkeypatch).exit_code == Exit.INCONCLUSIVE


def test_records_of_two_kinds_and_runs_are_usage_errors():
    with pytest.raises(CommandError, match="records of one kind"):
        check_records("plans/new", "benches/old", 0.05)
    with pytest.raises(CommandError, match="peakday check SCENARIO --against"):
        check_records("runs/one", "runs/one", 0.05)
