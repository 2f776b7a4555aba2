import html
import re
from dataclasses import replace

import numpy as np
import pytest

from bench.dashboards import measure
from capacity.rows.doubt import ServiceLevel, VarianceShare
from capacity.rows.figures import Probability
from dashboards.html.run.page import run_parts
from dashboards.html.run.turn import nearest_turn, turn_steps
from dashboards.numbers.plan import plan_numbers
from dashboards.numbers.run import run_numbers
from dashboards.numbers.stored import StoredRun, StoredTable
from dashboards.numbers.units import show
from dashboards.order.page import write_order
from dashboards.report import ReportError, load_for_report, write_report
from loadgen.record import load_run
from loadgen.run_info import AutobuyTotals, ChatAroundStorm, Crossing
from tests.dashboards.plans import make_plan
from tests.dashboards.records import make_run

SIZE_MAX = 6_500_000


def cells(text):
    """The numbers that a page carries: {key: set of full values}."""
    found = {}
    for key, value in re.findall(r'data-name="([^"]+)" data-value="([^"]+)"', text):
        found.setdefault(html.unescape(key), set()).add(float(value))
    return found


def test_a_report_is_one_file_without_any_outside_address_to_load(run, plan, out):
    text = write_report(out, run=run, plan=plan).read_text()
    assert out.stat().st_size < SIZE_MAX
    own = re.sub(r"<script>.*?</script>", "", text, flags=re.S)
    assert not re.findall(r'(?:src|href)="(?!#)', own)
    assert "default-src 'none'" in html.unescape(own)


def test_a_page_names_the_command_that_made_it(run, plan, out):
    """A run's own, and what makes the page of a plan again; text of a record is text here too."""
    own = replace(run, info=replace(run.info, command=("peakday", "run", "smoke", "--model", "<b>x")))
    assert "Made by <code>peakday run smoke --model &lt;b&gt;x</code>" in write_report(out, run=own).read_text()
    assert f"Made by <code>peakday report {plan.plan_id}</code>" in write_report(out, plan=plan).read_text()


def test_plotly_stands_in_the_file_once(run, plan, out):
    assert write_report(out, run=run, plan=plan).read_text().count("plotly.js v") == 1


def test_verdict_and_provenance_stand_above_the_first_number(run, out):
    text = write_report(out, run=run).read_text()
    assert text.index("<strong>VALID</strong>") < text.index("<strong>SIMULATED</strong>") < text.index("data-name=")


def test_every_number_on_a_runs_page_equals_the_record(run, out):
    shown, record = cells(write_report(out, run=run).read_text()), {n.key: n.value for n in run_numbers(run)}
    assert set(shown) == set(record)
    assert all(values == {record[key]} for key, values in shown.items())


def test_every_number_on_a_plans_page_equals_the_plan(plan, out):
    shown, record = cells(write_report(out, plan=plan).read_text()), {n.key: n.value for n in plan_numbers(plan)}
    assert shown
    assert all(values == {record[key]} for key, values in shown.items())


def test_simulated_stands_beside_every_number_it_touched(run, out):
    text = write_report(out, run=run).read_text()
    for n in run_numbers(run):
        cell = re.search(rf'data-name="{re.escape(html.escape(n.key))}".*?</(?:td|div)>', text, flags=re.S)
        assert ("SIMULATED" in cell[0]) == n.simulated, n.key


def test_an_invalid_run_says_so_on_top_with_its_reasons(tmp_path, out):
    text = write_report(out, run=make_run(tmp_path / "r", 60, valid=False)).read_text()
    assert "<strong>INVALID</strong>" in text
    assert text.index("the generator fell behind") < text.index('id="main"')


def test_a_run_that_was_cut_off_makes_a_page_that_says_so(tmp_path, out):
    text = write_report(out, run=make_run(tmp_path / "r", 60, finished=False)).read_text()
    assert "<strong>UNFINISHED</strong>" in text


def test_a_run_without_a_row_makes_a_page_without_charts_of_nothing(tmp_path, out):
    folder = make_run(tmp_path / "r", 60).path
    for file in folder.glob("*.parquet"):
        file.unlink()
    text = write_report(out, run=load_run(folder)).read_text()
    assert "The record holds no turns." in text
    assert 'class="chart"' not in text


def test_text_from_a_record_cannot_become_markup(run, out):
    crossing = Crossing("quota", 1.0, 1.0, 0.0, "<script>alert(1)</script>")
    changed = replace(run, info=replace(run.info, what_broke_first=(crossing,)))
    text = write_report(out, run=changed).read_text()
    assert "alert(1)" in text
    assert "<script>alert" not in text


def test_every_chart_has_a_description_and_a_table_in_its_panel(run, plan, out):
    text = write_report(out, run=run, plan=plan).read_text()
    panels = [panel for panel in text.split('<article class="panel">')[1:] if 'class="chart"' in panel]
    assert len(panels) >= 20
    for panel in panels:
        words = re.search(r'aria-label="([^"]+)"', panel)[1]
        assert len(words) > 40
        assert "<table>" in panel.split("</article>")[0], words


def test_the_table_of_a_timeline_keeps_its_peak(plan, out):
    page = write_report(out, plan=plan).read_text()
    panel = page.split("<h3>us-east-1 over the event")[1].split("</article>")[0]
    assert f">{show(plan.demand[0].peak_interactions_per_s.p50, 'per_s')}<" in panel


def test_nothing_to_report_is_an_error(out):
    with pytest.raises(ReportError, match="nothing to report"):
        write_report(out)


def test_a_plan_shows_what_moves_it_and_what_is_bought(plan, out):
    text = write_report(out, plan=plan).read_text()
    assert "What moves chips" in text
    assert "What moves event cost" in text
    assert f"{plan.purchase[0].instances}" in text


def test_the_waterfall_of_a_turn_never_begins_before_it_nor_ends_after_it(run):
    answered = run.turns[run.turns["status"] == "ok"]
    turn = nearest_turn(StoredTable(run.path, "turns"), 0.99)
    steps = turn_steps(StoredRun(run.path), turn)
    assert steps[0].kind == "start lag"
    assert all(step.start_s >= 0 and step.length_s >= 0 for step in steps)
    assert [step.kind for step in steps].count("model: to first token") == 2, "two calls of this turn"
    assert max(step.start_s + step.length_s for step in steps) <= turn["e2e_s"] + 1e-9
    assert abs(turn["e2e_s"] - np.quantile(answered["e2e_s"], 0.99)) < 0.1


def test_an_order_of_a_simulated_plan_says_it_is_none(tmp_path):
    text = write_order(make_plan(simulated=True), tmp_path / "order.html").read_text()
    assert text.index("NOT AN ORDER") < text.index("<h2>")
    assert "plotly.js" not in text
    assert "NOT AN ORDER" not in write_order(make_plan(simulated=False), tmp_path / "order.html").read_text()


def test_the_benchmark_of_reports_runs_at_a_tiny_size(tmp_path):
    found = measure(60, tmp_path)
    assert 0 < found["wall_s"] < 60
    assert 0 < found["peak_gib"] < 2


def time_charts(run):
    """Every chart over the run's own time, by the title of its panel."""
    panels = [panel for part in run_parts(run) for panel in part.panels]
    return {
        panel.title: panel.chart
        for panel in panels
        if panel.chart and "from the start" in str(panel.chart["layout"]["xaxis"]["title"].get("text"))
    }


def test_a_fault_is_marked_in_every_chart_over_time(run):
    charts = time_charts(run)
    assert len(charts) >= 7
    for title, chart in charts.items():
        marks = [shape for shape in chart["layout"]["shapes"] if shape.get("fillcolor") == "@fault"]
        assert [(mark["x0"], mark["x1"]) for mark in marks] == [(70.0, 85.0)], title
        assert "throttle claude-sonnet 40.0% of calls" in [note["text"] for note in chart["layout"]["annotations"]], (
            title
        )


def test_a_storm_of_rules_is_marked_as_a_fault_is(run):
    stormy = AutobuyTotals(purchases=3, double_purchases=0, chat_ttft_s=ChatAroundStorm(30.0, {}, {}, {}))
    changed = replace(run, info=replace(run.info, totals=replace(run.info.totals, autobuy=stormy)))
    for title, chart in time_charts(changed).items():
        assert "rule storm" in [note["text"] for note in chart["layout"]["annotations"]], title


def test_self_checks_and_batch_means_are_shown(run, out):
    text = html.unescape(write_report(out, run=run).read_text())
    assert "no steady state: TTFT p50 moved by +31%" in text
    assert "4.02 turns in flight counted" in text
    assert "0.390 s to 0.450 s" in text


def test_a_record_read_to_save_memory_gives_the_same_page(run, out):
    plain = write_report(out, run=load_run(run.path)).read_text()
    compact = load_for_report(run.path)
    assert str(compact.calls["model"].dtype) == "category"
    assert write_report(out, run=compact).read_text() == plain


def test_the_one_probability_and_its_causes_stand_on_the_page(plan, out):
    """The level that is bought, how often it falls short with its interval, and which cause makes the range."""
    odds = {
        name: Probability(0.084, 0.07, 0.1, 1000) for name in ("fleet_short", "quota_short", "short", "budget_short")
    }
    service = ServiceLevel(level=0.9, basis="stated", region_short={}, budget_usd=8e6, **odds)
    full = replace(plan, service=service, variance=(VarianceShare("demand", 0.67), VarianceShare("step times", 0.13)))
    text = html.unescape(write_report(out, plan=full).read_text())
    assert "90% of 1,000 joint draws (stated) in fleets, quota asks and a budget of" in text
    assert "P(short) 8.4% (7.0% to 10.0%)" in text
    assert "demand makes 67.0% of the variance of cost" in text
