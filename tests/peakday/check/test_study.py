"""The study of the real gate is run by hand; that it would still do what it says is held here."""

from types import SimpleNamespace

import pytest

from peakday.check.regression import order
from tests.peakday.check import perf, study
from tests.peakday.check.study import CASES, ROOT, caught, inject, slower_gaps, tables


@pytest.mark.checkout
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_injected_regression_still_finds_its_place(case, tmp_path):
    """A text that the code no longer holds would inject nothing, and the study would check equal builds."""
    copy = tmp_path / case.file
    copy.parent.mkdir(parents=True)
    copy.write_text((ROOT / case.file).read_text())
    inject(tmp_path, case)
    assert copy.read_text() != (ROOT / case.file).read_text()


def test_an_injection_that_finds_nothing_stops_the_study(tmp_path):
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "scenarios/switches.py").write_text("nothing of the kind")
    with pytest.raises(SystemExit, match="mend the case"):
        inject(tmp_path, next(case for case in CASES if case.file == "scenarios/switches.py"))


def test_a_token_gap_grows_by_a_quarter_in_both_kinds_of_physics():
    text = "gap: {gap_s: 0.010, sigma: 0.15}\nstep: {a: 0.0220, b: 1.17e-4}"
    assert slower_gaps(text) == "gap: {gap_s: 0.0125, sigma: 0.15}\nstep: {a: 0.0275, b: 1.17e-4}"


def row(name, verdict, *failed):
    """A result of the study."""
    lines = [{"metric": metric, "gate": "exact", "verdict": "fail", "change": 0.5} for metric in failed]
    return {"name": name, "verdict": verdict, "took_s": 60.0, "lines": lines}


def test_what_is_caught_under_another_name_is_said_to_be():
    case = next(case for case in CASES if case.name == "lost keep-alive")
    assert caught(case, row(case.name, "fail", "model_connections")) == "exact"
    assert "not by its name" in caught(case, row(case.name, "fail", "cost_usd"))
    assert "MISSED" in caught(case, row(case.name, "pass"))


def test_failures_of_equal_builds_are_printed_with_their_binomial_interval():
    done = [row(f"A/A {i}", "pass") for i in range(19)] + [row("A/A 19", "fail", "ttft_s_p50")]
    text = tables(done, SimpleNamespace(pairs=4, rate="6/s", for_="5s"))
    assert "| 20 | 1 | 0.1% to 24.9% | 19 | 0 | 1.0 |" in text


def test_an_invalid_check_is_run_again(tmp_path):
    import json

    rows = [row("A/A 1", "pass"), row("A/A 2", "invalid")]
    (tmp_path / "results.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
    assert set(study.results(tmp_path)) == {"A/A 1"}


def test_peakday_s_own_gate_runs_both_commits_side_by_side(monkeypatch, tmp_path):
    """ABBA, and a workload that got slower fails under its own name."""
    asked = []

    def cpu_loops(code, folder):
        asked.append("A" if folder == tmp_path else "B")
        slow = "SseParser" in code and folder != tmp_path
        return (1.3 if slow else 1.0) + len(asked) % 3 / 1e3

    monkeypatch.setattr(perf, "cpu_loops", cpu_loops)
    lines = perf.gate(tmp_path / "here", tmp_path, SimpleNamespace(pairs=12, margin=0.1))
    assert "".join(asked[:: len(perf.WORKLOADS)]) == "".join(order(4))
    assert {line.metric for line in lines if line.verdict == "fail"} == {"parse_sse"}
