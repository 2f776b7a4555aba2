"""One number, four places: twenty figures of a plan are equal in terminal, page, workbook and CSV or metrics."""

from __future__ import annotations

import csv
import html
import re

import openpyxl
import pytest
import yaml

from capacity.plan import load_plan, write_plan
from dashboards.exports import export_csv
from dashboards.numbers.plan import plan_numbers
from dashboards.prometheus.exposition import plan_rules
from dashboards.report import write_report
from dashboards.terminal import plan_summary
from dashboards.workbook.book import write_xlsx
from tests.dashboards.plans import make_plan

PLAN = make_plan(simulated=False)
NUMBERS = {number.key: number for number in plan_numbers(PLAN)}
HEADLINES = [
    number.key
    for number in NUMBERS.values()
    if number.name in ("chips", "event_cost_usd")
    or (number.name == "cost_usd_per_interaction" and ("intent", "all") in number.labels)
    or (number.name == "cache_hit_token_ratio" and ("level", "all") in number.labels)
    or (number.name == "peak_interactions_per_s" and dict(number.labels)["level"] in ("p50", "p90", "p95"))
]
SHORT = {
    *(
        ("quota_ask", s.region, s.model, q.kind)
        for s in PLAN.supplies
        for q in s.quotas
        if q.binds_at_offset_s is not None
    ),
    *(("account_ask", need.region, None, need.kind) for need in PLAN.account_needs if need.ask > need.granted),
}
HEADLINES += [
    number.key
    for number in NUMBERS.values()
    if (number.name, *(dict(number.labels).get(name) for name in ("region", "model", "kind"))) in SHORT
]
MORE = [key for key, n in NUMBERS.items() if n.name in ("replicas", "instances", "quota_granted", "usd_per_hour")]
FIGURES = [*HEADLINES, *MORE][:40]


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Every view of one plan, read back as a reader would."""
    folder = tmp_path_factory.mktemp("views")
    page = write_report(folder / "plan.html", plan=PLAN).read_text()
    shown = re.findall(r'data-name="([^"]+)" data-value="([^"]+)"', page)
    with export_csv(PLAN, folder / "csv")[0].open() as file:
        rows = {_key(row): float(row["value"]) for row in csv.DictReader(file)}
    rules = yaml.safe_load(plan_rules(PLAN))["groups"][0]["rules"]
    book = openpyxl.load_workbook(write_xlsx(PLAN, folder / "plan.xlsx"), data_only=True)
    cells = {cell.value for sheet in book for row in sheet.iter_rows() for cell in row}
    return {
        "terminal": plan_summary(PLAN),
        "page": {html.unescape(key): float(value) for key, value in shown},
        "csv": rows,
        "metrics": {_rule_key(rule): float(rule["expr"][7:-1]) for rule in rules},
        "workbook": {float(value) for value in cells if isinstance(value, int | float)},
    }


def _key(row):
    inner = row["labels"].replace(";", ",")
    return f"{row['name']}{{{inner}}}" if inner else row["name"]


def _rule_key(rule):
    own = {k: v for k, v in rule["labels"].items() if k not in ("plan_id", "scenario", "simulated")}
    inner = ",".join(f"{key}={value}" for key, value in own.items())
    name = rule["record"].removeprefix("peakday_plan_")
    return f"{name}{{{inner}}}" if inner else name


def test_there_are_twenty_figures_at_least():
    """Quota asks and the account's own limits among them."""
    assert len(FIGURES) >= 20
    assert {NUMBERS[key].name for key in HEADLINES} >= {"quota_ask", "account_ask"}


@pytest.mark.parametrize("key", FIGURES)
def test_a_figure_is_the_same_in_csv_and_metrics_and_wherever_else_it_stands(places, key):
    number = NUMBERS[key]
    assert places["csv"][key] == number.value
    assert places["metrics"][key] == number.value
    assert places["page"].get(key, number.value) == number.value


@pytest.mark.parametrize("key", HEADLINES)
def test_a_headline_stands_in_terminal_page_and_workbook_too(places, key):
    """The terminal prints its text; the page carries its full value; the workbook's cells hold it to 1e-9."""
    number = NUMBERS[key]
    assert number.text in places["terminal"]
    if number.name != "peak_interactions_per_s":  # the page prints these in its demand table, as text
        assert places["page"][key] == number.value
    assert any(value == pytest.approx(number.value, rel=1e-9) for value in places["workbook"])


def test_the_page_prints_the_peaks_as_the_terminal_does(tmp_path):
    page = write_report(tmp_path / "p.html", plan=PLAN).read_text()
    for key in HEADLINES:
        if NUMBERS[key].name == "peak_interactions_per_s":
            assert f">{NUMBERS[key].text}<" in page, key


def test_a_plan_read_back_gives_the_same_numbers(tmp_path):
    assert plan_numbers(load_plan(write_plan(PLAN, tmp_path))) == plan_numbers(PLAN)
