"""One number, every place: terminal JSON, HTML, spreadsheet, CSV and Prometheus hold the same value."""

import csv
import html
import math
import re
from dataclasses import replace

import openpyxl
import pytest
from prometheus_client.parser import text_string_to_metric_families

from capacity.plan import write_plan
from dashboards.exports import export_csv, export_xlsx
from dashboards.html.compare import CompareError, Pair, write_compare
from dashboards.numbers.run import Number, run_numbers
from dashboards.prometheus.exposition import run_exposition
from dashboards.report import write_report
from dashboards.terminal import run_summary
from loadgen.record import load_run
from loadgen.run_info import RecordError, write_json
from tests.dashboards.plans import make_plan
from tests.dashboards.records import make_run

TEN = (
    "ttft_s_p50", "ttft_s_p95", "e2e_s_p50", "e2e_s_p95", "tpot_s_p50", "start_lag_s_p95",
    "achieved_rate_per_s", "goodput_per_s", "error_ratio", "cost_usd_per_interaction",
)  # fmt: skip


def test_ten_numbers_of_a_run_are_equal_in_five_places(run, tmp_path):
    record = {n.name: n for n in run_numbers(run) if n.name in TEN}
    page = write_report(tmp_path / "r.html", run=run).read_text()
    sheet = openpyxl.load_workbook(export_xlsx(run, tmp_path / "r.xlsx"))["Numbers"]
    in_sheet = {row[0]: row[3] for row in sheet.iter_rows(min_row=5, values_only=True)}
    with export_csv(run, tmp_path / "csv")[0].open() as file:
        in_csv = {row["name"]: float(row["value"]) for row in csv.DictReader(file) if not row["labels"]}
    families = text_string_to_metric_families(run_exposition(run))
    in_prometheus = {sample.name: sample.value for family in families for sample in family.samples}
    printed = run_summary(run)
    assert set(record) == set(TEN)
    for name, number in record.items():
        in_page = re.search(rf'data-name="{name}" data-value="([^"]+)"[^>]*>.*?class="v">([^<]+)<', page, flags=re.S)
        assert float(in_page[1]) == in_csv[name] == in_prometheus[f"peakday_run_{name}"] == number.value
        assert math.isclose(in_sheet[name], number.value, rel_tol=1e-15), "xlsx keeps 16 digits"
        assert html.unescape(in_page[2]) == number.text
        assert number.text in printed, name


def test_a_csv_export_holds_the_tables_of_the_run(run, tmp_path):
    names = {path.name for path in export_csv(run, tmp_path)}
    assert {"numbers.csv", "turns.csv", "calls.csv", "generator.csv"} <= names
    with (tmp_path / "turns.csv").open() as file:
        assert sum(1 for _ in file) == len(run.turns) + 1


def test_a_bench_report_shows_curves_and_sets_flagged_rows_aside(bench, out):
    text = write_report(out, bench=bench).read_text()
    assert "p50 above p99" in text
    assert "Throughput against concurrency" in text
    assert text.count('class="chart"') == 3


def test_comparing_a_run_with_itself_finds_nothing_moved(run, tmp_path):
    text = write_compare(tmp_path / "c.html", run, run).read_text()
    assert "No number moved beyond its interval." in text
    assert "intervals apart" not in text


def test_comparing_says_what_was_not_alike_and_who_is_invalid(run, tmp_path):
    other = make_run(tmp_path / "other", 2_400, seed=7, valid=False)
    text = write_compare(tmp_path / "c.html", run, other).read_text()
    assert "<strong>A VALID</strong>" in text
    assert "<strong>B INVALID</strong>" in text
    assert "seed: A 1, B 7" in text


def test_two_plans_and_two_benches_compare_but_not_across_kinds(bench, run, tmp_path):
    plan = make_plan()
    dearer = replace(plan, event_cost_usd=replace(plan.event_cost_usd, mid=2 * plan.event_cost_usd.mid))
    assert "+100%" in write_compare(tmp_path / "p.html", plan, dearer).read_text()
    write_compare(tmp_path / "b.html", bench, bench)
    with pytest.raises(CompareError, match="compare two of one kind"):
        write_compare(tmp_path / "x.html", plan, run)


@pytest.mark.parametrize(
    ("b", "verdict"),
    [((1.0, 0.9, 1.1), "equal"), ((1.2, 1.05, 1.3), "intervals overlap"), ((1.5, 1.4, 1.6), "intervals apart")],
)
def test_a_pair_says_whether_its_intervals_touch(b, verdict):
    one = Number("ttft_s_p95", "TTFT p95", 1.0, "s", "latency", lo=0.9, hi=1.1)
    assert Pair(one, replace(one, value=b[0], lo=b[1], hi=b[2])).verdict == verdict


@pytest.mark.parametrize(("name", "n_tail"), [("ttft_s_p99", 9), ("ttft_s_p95", 1)])
def test_an_interval_that_few_samples_leave_open_above_sets_no_pair_apart(name, n_tail):
    """Of 17 turns the p99 is the longest, and its interval ends there because none was longer."""
    one = Number(name, "TTFT", 1.0, "s", "latency", lo=1.0, hi=1.0, n_tail=n_tail)
    assert Pair(one, replace(one, value=1.5, lo=1.5, hi=1.5)).verdict == "too few samples"


# --- records that cannot be trusted ------------------------------------------------------------------------------


def test_a_damaged_chunk_is_one_line_that_names_the_file(tmp_path):
    folder = make_run(tmp_path / "r", 60).path
    (folder / "turns-0-0000.parquet").write_bytes(b"not parquet")
    with pytest.raises(RecordError, match=r"turns-0-0000\.parquet: damaged"):
        load_run(folder)


def test_a_record_of_another_version_is_refused_by_its_name(tmp_path):
    folder = make_run(tmp_path / "r", 60).path
    write_json(folder / "run.json", {"schema": "peakday.run/99"})
    with pytest.raises(RecordError, match=r"peakday\.run/99"):
        load_run(folder)


def test_a_run_json_of_odd_content_makes_a_page_that_vouches_for_nothing(tmp_path, out):
    folder = make_run(tmp_path / "r", 60).path
    odd = {
        "totals": None,
        "quantiles": None,
        "what_broke_first": None,
        "verdict": None,
        "provenance": None,
        "scenario": None,
    }
    write_json(folder / "run.json", {"schema": "peakday.run/1", "state": "finished", **odd})
    text = write_report(out, run=load_run(folder)).read_text()
    assert "<strong>NO VERDICT</strong>" in text


def test_a_plan_survives_its_own_file_and_shows_the_same_numbers(tmp_path, out):
    from capacity.plan import load_plan

    again = load_plan(write_plan(make_plan(), tmp_path / "p"))
    assert write_report(out, plan=again).read_text() == write_report(tmp_path / "b.html", plan=make_plan()).read_text()
