"""What a record's author wrote is shown in every view, and obeyed by none."""

from __future__ import annotations

import csv
import json
import re
import unicodedata
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import openpyxl
import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from capacity.plan import PlanError, load_plan, write_plan
from dashboards.exports import export_csv, export_xlsx
from dashboards.focus.actuals import beside
from dashboards.focus.sheet import export_focus
from dashboards.html.compare import write_compare
from dashboards.order.page import write_order
from dashboards.order.tickets import export_tickets
from dashboards.prometheus.exposition import plan_rules, run_exposition
from dashboards.report import write_report
from dashboards.terminal import plan_summary, run_summary
from dashboards.workbook.book import write_xlsx
from loadgen.chunks import write_chunk
from loadgen.coordinator.exporter import RunLabels, exposition
from loadgen.record import load_run
from tests.dashboards.plans import make_plan
from tests.dashboards.records import make_run

ATTACKS = (
    "\x1b[2J\x1b]0;owned\x07",
    '=HYPERLINK("http://evil.example","x")',
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "<a href='http://evil.example'>click</a>",
    'a"} 1\npeakday_run_valid{run_id="forged"} 1',
    "{{ 7 * 7 }} {% raw %} ${x} %{y}",
    "\u202etxet desrever",
    "x" * 100_000,
    "@ink",
)
TEXTS = ("error_code", "intent", "route", "region", "model", "purpose", "tool", "labels", "metric")
PLAN_NAMES = ("custom-8b", "nova-pro", "claude-sonnet", "us-east-1", "product_search")
PLAN_TEXTS = (
    "what_breaks_first",
    "warnings",
    "assumptions_with_most_effect",
    "source",
    "value",
    "why",
    "what",
    "input",
)
RUN_TEXTS = ("warnings", "skipped", "reasons", "command", "commit", "sentence", "platform", "what_broke_first")
CHECKED = settings(
    max_examples=5, deadline=None, suppress_health_check=list(HealthCheck), phases=(Phase.explicit, Phase.generate)
)


def replaced(value, attack, names, keys, key=""):
    """JSON with the attack in place of every name, in keys too, and of every text under some keys."""
    if isinstance(value, dict):
        return {attack if k in names else k: replaced(v, attack, names, keys, k) for k, v in value.items()}
    if isinstance(value, list):
        return [replaced(item, attack, names, keys, key) for item in value]
    return attack if isinstance(value, str) and (value in names or key in keys) else value


def hostile_plan(folder, attack):
    """A plan.json from elsewhere."""
    path = write_plan(make_plan(), folder)
    path.write_text(json.dumps(replaced(json.loads(path.read_text()), attack, PLAN_NAMES, PLAN_TEXTS)))
    return load_plan(path)


def hostile_run(folder, attack):
    """A run of a target that answers with the attack wherever it may name something."""
    run = make_run(folder, 60)
    for table in ("turns", "calls", "tools", "server"):
        frame = getattr(run, table)
        columns = {c: [attack] * len(frame) if c in TEXTS else frame[c].tolist() for c in frame.columns}
        columns = {c: [None if v != v else v for v in values] for c, values in columns.items()}
        for file in folder.glob(f"{table}*.parquet"):
            write_chunk(folder, file.name, table, columns)
    path = folder / "run.json"
    names = ("claude-sonnet", "nova-pro", "custom-8b", "smoke")
    path.write_text(json.dumps(replaced(json.loads(path.read_text()), attack, names, RUN_TEXTS)))
    return load_run(folder)


class Elements(HTMLParser):
    """Tags of a page with what they point to, and the charts' own JSON."""

    def __init__(self):
        super().__init__()
        self.tags, self.links, self.handlers, self.charts = [], [], [], ""

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.links += [value for name, value in attrs if name in ("href", "src", "srcset", "action")]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data):
        if self.tags and self.tags[-1] == ("script", {"type": "application/json", "id": "charts"}):
            self.charts += data


def assert_page_is_harmless(path):
    """Our own scripts alone, no link outward, no handler, no markup inside a chart."""
    page = Elements()
    page.feed(path.read_text(encoding="utf-8"))
    scripts = [attrs for tag, attrs in page.tags if tag == "script"]
    assert len(scripts) == 2 + bool(json.loads(page.charts or "[]"))
    assert not page.handlers
    assert all(link.startswith("#") for link in page.links)
    assert {tag for tag, _ in page.tags}.isdisjoint({"img", "iframe", "form", "svg", "object"})
    for text in re.findall(r'"((?:[^"\\]|\\.)*)"', page.charts):
        if "<extra>" not in json.loads(f'"{text}"'):
            assert not re.search(r"<\w", json.loads(f'"{text}"'))


def acting(text):
    """Characters that a terminal or an eye would obey; the joiners of Hindi and Persian are none."""
    return [c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") and c not in "\u200c\u200d"]


def assert_prints_nothing_that_acts(text):
    for line in text.split("\n"):
        assert not acting(line)
        assert len(line) < 2_100


def assert_cells_are_no_formulas(paths):
    for path in paths:
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.reader(file):
                for cell in row:
                    number = re.fullmatch(r"[-+]?[\d.]+(e[-+]?\d+)?", cell)
                    assert number or not cell.lstrip().startswith(tuple("=+-@\t\r")), cell[:80]


def assert_book_calculates_only_ours(path, benign):
    formulas = {
        cell.coordinate + sheet.title: cell.value
        for sheet in openpyxl.load_workbook(path)
        for row in sheet.iter_rows()
        for cell in row
        if cell.data_type == "f"
    }
    assert not [text for text in formulas.values() if "HYPERLINK" in text or "evil" in text]
    assert len(formulas) <= benign


def assert_cells_say_nothing_that_acts(paths):
    for path in paths:
        with path.open(newline="", encoding="utf-8") as file:
            cells = [cell for row in csv.reader(file) for cell in row]
        assert not [cell[:80] for cell in cells if acting(cell)]
        assert max(map(len, cells)) < 12_000


def assert_live_page_is_one_series_a_name(attack):
    """While a run goes on: its error codes and its workers' names are what a target and a machine say."""
    live = {"counters": {"asked": 1}, "errors": {attack: 1, f"{attack}x": 2}, "in_flight": 0,
            "health": {"0": {"cpu_ratio": 0.1, "heartbeat_late_s": 0.0}}}  # fmt: skip
    page = exposition(live, {}, RunLabels("r", "s", True, 1, 60.0)).decode()
    samples = [sample for family in text_string_to_metric_families(page) for sample in family.samples]
    failed = [sample for sample in samples if sample.name == "peakday_turns_failed_total"]
    assert sum(sample.value for sample in failed) == 3
    assert len({(s.name, tuple(sorted(s.labels.items()))) for s in samples}) == len(samples)
    assert all(len(value) < 300 and not acting(value) for s in samples for value in s.labels.values())


def hostile_bill(path, attack):
    """A bill that names its services, models and regions with the attack."""
    names = ["ServiceName", "ChargePeriodStart", "ChargePeriodEnd", "BillingCurrency", "EffectiveCost", "RegionId",
             "ChargeDescription", "x_Model"]  # fmt: skip
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        times = ("2026-11-28T02:00:00Z", "2026-11-28T03:00:00Z", "USD", "5")
        writer.writerow([f"a{attack}", *times, attack, attack, attack])
        writer.writerow(["Amazon Bedrock", *times, attack, attack, attack])
    return path


def check_run(folder: Path, attack: str):
    run = hostile_run(folder / "run", attack)
    assert_prints_nothing_that_acts(run_summary(run))
    assert_page_is_harmless(write_report(folder / "run.html", run=run))
    assert_page_is_harmless(write_compare(folder / "compare.html", run, run))
    assert_cells_are_no_formulas(export_csv(run, folder / "csv"))
    new = [export_focus(run, folder / "focus.csv"), export_tickets(run, folder / "tickets.csv")]
    assert_cells_are_no_formulas(new)
    assert_cells_say_nothing_that_acts(new)
    assert_live_page_is_one_series_a_name(attack)
    assert_book_calculates_only_ours(export_xlsx(run, folder / "run.xlsx"), 0)
    samples = [s for family in text_string_to_metric_families(run_exposition(run)) for s in family.samples]
    assert [s.value for s in samples if s.name == "peakday_run_valid"] == [1.0]
    assert all(len(value) < 300 and not acting(value) for s in samples for value in s.labels.values())


def check_plan(folder: Path, attack: str):
    plan = hostile_plan(folder / "plan", attack)
    assert_prints_nothing_that_acts(plan_summary(plan))
    assert_page_is_harmless(write_report(folder / "plan.html", plan=plan))
    assert_page_is_harmless(write_order(plan, folder / "order.html"))
    assert_cells_are_no_formulas(export_csv(plan, folder / "csv"))
    told = replace(make_plan(), plan_id=attack, first_limit_exceeded=attack, not_served=(attack,), warnings=(attack,))
    new = [export_focus(plan, folder / "focus.csv"), export_tickets(told, folder / "tickets.csv")]
    assert_cells_are_no_formulas(new)
    assert_cells_say_nothing_that_acts(new)
    with pytest.raises(PlanError, match="so what to book or ask for is not known"):
        export_tickets(plan, folder / "none.csv")
    assert_prints_nothing_that_acts("\n".join(beside(plan, hostile_bill(folder / "bill.csv", attack)).lines()))
    rules = yaml.safe_load(plan_rules(plan))["groups"][0]["rules"]
    assert all(re.fullmatch(r"vector\([-+.e\d]+\)", rule["expr"]) for rule in rules)
    assert all(len(value) < 300 and not acting(value) for rule in rules for value in rule["labels"].values())


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_in_a_run_is_text_in_every_view(tmp_path, attack):
    check_run(tmp_path, attack)


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_in_a_plan_is_text_in_every_view(tmp_path, attack):
    check_plan(tmp_path, attack)


@CHECKED
@given(attack=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40))
def test_any_text_in_a_record_is_text_in_every_view(tmp_path_factory, attack):
    check_run(tmp_path_factory.mktemp("run"), attack)
    check_plan(tmp_path_factory.mktemp("plan"), attack)


@pytest.mark.parametrize("attack", ATTACKS[:6])
def test_a_workbook_of_a_plan_from_elsewhere_calculates_our_formulas_alone(tmp_path, attack):
    """Regions, models, parts, warnings and sources are strings; as many formulas as the plan itself has."""
    benign = openpyxl.load_workbook(write_xlsx(make_plan(), tmp_path / "own.xlsx"))
    count = sum(cell.data_type == "f" for sheet in benign for row in sheet.iter_rows() for cell in row)
    plan = make_plan()
    path = write_plan(plan, tmp_path / "plan")
    path.write_text(json.dumps(replaced(json.loads(path.read_text()), attack, ("own silicon",), PLAN_TEXTS)))
    assert_book_calculates_only_ours(write_xlsx(load_plan(path), tmp_path / "plan.xlsx"), count)
