"""A run's SLO table: limit, measured with its interval, met, missed or not enough tail, by the rule of the gate."""

from __future__ import annotations

import html
from dataclasses import replace

import pytest

from dashboards.html.run.latency import errors_panel
from dashboards.numbers.errors import error_kinds, sentence_of
from dashboards.numbers.run import run_numbers
from dashboards.numbers.slo import MET, MISSED, UNDECIDED, slo_results
from dashboards.report import write_report
from dashboards.terminal import run_answer, run_summary
from peakday.gate import slo as gate
from peakday.gate.verdicts import Verdict
from tests.dashboards.records import WINDOW_S, make_run

VERDICTS = {MET: Verdict.PASS, MISSED: Verdict.FAIL, UNDECIDED: Verdict.INCONCLUSIVE}


def with_slo(run, **limits):
    """The run under other SLOs."""
    scenario = replace(run.info.scenario, resolved={**run.info.scenario.resolved, "slo": limits})
    return replace(run, info=replace(run.info, scenario=scenario))


def results(run, **limits):
    changed = with_slo(run, **limits)
    return slo_results(changed, run_numbers(changed))


def test_a_generous_limit_is_met_and_a_tight_one_missed(run):
    generous, tight = results(run, ttft_s_p95=60.0, e2e_s_p95=0.001)
    assert (generous.result, tight.result) == (MET, MISSED)


def test_few_turns_have_not_enough_tail_and_say_how_many_it_takes(tmp_path):
    """With no miss a p99 needs 299 turns: ln 0.05 / ln 0.99."""
    small = make_run(tmp_path / "small", 30)
    small = replace(small, turns=small.turns[small.turns["status"] == "ok"])
    (item,) = results(small, ttft_s_p99=60.0)
    assert item.result == UNDECIDED
    assert item.evidence.endswith("without a miss it takes 299")


def test_a_failed_turn_is_a_miss_however_fast_it_failed(run):
    """Half of the turns are 500 at once: a generous latency SLO is missed all the same."""
    turns = run.turns.copy()
    turns.loc[turns.index[::2], ["status", "error_code", "ttft_s", "e2e_s"]] = ["http_error", "500", None, None]
    (item,) = results(replace(run, turns=turns), ttft_s_p95=60.0)
    assert item.result == MISSED
    assert item.bounds.missed >= len(turns) // 2


@pytest.mark.parametrize(
    "limits", [{"ttft_s_p50": 0.6}, {"ttft_s_p95": 1.5}, {"e2e_s_p99": 4.0}, {"error_ratio": 0.05}]
)
def test_table_and_gate_agree_on_one_run(run, limits):
    (item,) = results(run, **limits)
    line = gate.judge(item.slo, [run], WINDOW_S)
    assert line.verdict == VERDICTS[item.result]


def test_terminal_and_page_hold_the_same_rows(run, out):
    page = html.unescape(write_report(out, run=run).read_text())
    text = run_summary(run)
    found = slo_results(run, run_numbers(run))
    assert len(found) == 3
    for item in found:
        assert f"{item.slo.name} {item.limit}: {item.result}, {item.value}" in text
        assert item.evidence in text
        assert f"<td>{item.evidence}</td>" in page


def test_errors_are_named_with_their_counts(run):
    throttled = int((run.turns["status"] == "throttled").sum())
    assert f"throttled, 429_quota x {throttled:,}" in run_summary(run)


def test_a_rate_of_turns_and_one_of_interactions_have_their_own_words(run):
    """Three turns an interaction: the two differ by that, and neither is called a rate alone."""
    totals, text = run.info.totals, run_summary(run)
    rates = {n.name: n.value for n in run_numbers(run)}
    assert rates["interactions_per_s"] == pytest.approx(totals.interactions / WINDOW_S)
    line = next(line for line in text.splitlines() if line.strip().startswith("rate"))
    assert " turns  " in line
    assert " interactions  " in line


@pytest.mark.parametrize(
    ("sample", "sentence"),
    [
        ('{"error": {"message": "Rate limit\\n reached", "code": 1}}', "Rate limit reached"),
        ('{"detail": "Not authenticated"}', "Not authenticated"),
        ('{"error": "no form"}', "no form"),
        ('{"detail": [{"loc": ["body"]}]}', '{"detail": [{"loc": ["body"]}]}'),
        (
            "<html><head><title>x</title></head>\n<body><h1>503 Unavailable</h1><hr>nginx</body>",
            "503 Unavailable nginx",
        ),
        ('{"error": {"mess', '{"error": {"mess'),
        ("w " * 200, "w " * 79 + "w…"),
        ("", ""),
    ],
)
def test_what_a_target_said_is_one_sentence(sample, sentence):
    assert sentence_of(sample) == sentence


def test_a_sample_stands_beside_its_code_on_terminal_and_page(run):
    (kind, *_) = error_kinds(run)
    code = kind.words.partition(", ")[2]
    totals = replace(run.info.totals, error_samples={code: "<p>come back <b>later</b></p>"})
    told = replace(run, info=replace(run.info, totals=totals))
    assert f"{kind.words} x {kind.count:,}: come back later" in run_answer(told)
    assert errors_panel(told).table.rows[0][-1] == "come back later"
