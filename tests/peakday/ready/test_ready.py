"""The document that is signed: its results, its exit code, its blanks, and its four forms."""

import csv
import shutil
from io import BytesIO

import pytest
from docx import Document

from peakday.ready.event import TEMPLATE
from tests.peakday.ready.conftest import RUN_ID


def results(data):
    return {row["criterion"]["id"]: row["result"] for row in data["criteria"]}


def test_without_a_record_everything_is_not_measured_and_each_line_says_what_measures_it(ready):
    code, data = ready()
    assert code == 4
    assert set(results(data).values()) == {"not measured"}
    assert all(row["command"] for row in data["criteria"])


def test_one_fail_ends_with_1(ready, with_plan):
    """The plan costs more than a dollar."""
    with_plan()
    code, data = ready("budget_usd: 1")
    assert (code, results(data)["budget_holds"]) == (1, "fail")


def test_a_plan_of_an_older_scenario_fails(ready, with_plan):
    from capacity.plan import ScenarioRef

    plan = with_plan()
    assert results(ready()[1])["plan_current"] == "pass"
    shutil.rmtree("out")
    shutil.rmtree(f"plans/{plan.plan_id}")
    from dataclasses import replace
    from pathlib import Path

    from capacity.plan import write_plan

    folder = Path("plans") / plan.plan_id
    folder.mkdir()
    write_plan(replace(plan, scenario=ScenarioRef("smoke", "another", 1)), folder)
    assert results(ready()[1])["plan_current"] == "fail"


def test_a_quota_that_is_short_fails_and_a_published_default_is_no_grant(ready, with_plan):
    """Claude needs more than 200 requests a minute; what a person writes of the grant counts."""
    with_plan()
    text = "quotas: [{model: claude-sonnet, region: us-east-1, kind: rpm, granted: 300, granted_on: 2026-11-01}]"
    data = ready(text)[1]
    row = next(row for row in data["criteria"] if row["criterion"]["id"] == "quotas_granted")
    assert row["result"] == "fail"
    assert "claude-sonnet rpm in us-east-1" in row["words"]
    assert "300 granted" in row["words"]


def test_what_a_person_says_counts_for_what_no_record_shows(ready):
    code, data = ready("checks: {rollback_tried: {result: pass, evidence: by hand in staging, by: Ana}}")
    row = next(row for row in data["criteria"] if row["criterion"]["id"] == "rollback_tried")
    assert (row["result"], row["words"], row["evidence"]) == ("pass", "by hand in staging", "Ana")
    assert code == 4


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("checks: {rollbak_tried: {result: pass}}", "rollbak_tried"),
        ("no_such_key: 1", "no_such_key"),
        ("runs: [20260101-000000-smoke]", "20260101-000000-smoke"),
        ("checks: {rollback_tried: {result: maybe}}", "expected 'pass', 'fail' or ''"),
    ],
)
def test_a_mistake_in_the_event_file_is_one_line_and_nothing_is_written(ready, tmp_path, text, words):
    code, data = ready(text)
    assert code == 2
    assert words in data["error"]
    assert len(data["error"].splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_simulated_evidence_neither_passes_nor_fails_but_in_a_dress_rehearsal(ready, with_plan, tmp_path, fault_run):
    from tests.dashboards.plans import make_plan

    with_plan(inputs=make_plan(simulated=True).inputs)
    data = ready()[1]
    row = next(row for row in data["criteria"] if row["criterion"]["id"] == "order_buyable")
    assert row["result"] == "not measured"
    assert "SIMULATED" in row["words"]
    shutil.rmtree(tmp_path / "out")
    data = ready("evidence: simulated")[1]
    assert results(data)["order_buyable"] == ("pass" if row["words"].startswith("would pass") else "fail")
    assert "DRESS REHEARSAL, SIMULATED" in (tmp_path / "out" / "ready.md").read_text()


def test_the_matrix_names_the_run_of_a_fault_and_its_recovery(ready, tmp_path, fault_run):
    shutil.copytree(fault_run, tmp_path / "runs" / RUN_ID)
    data = ready()[1]
    row = next(row for row in data["faults"] if row["kind"] == "throttle")
    assert (row["run_id"], row["where"], row["owner"]) == (RUN_ID, "claude-sonnet", "")
    assert row["recovery_s"] >= 0
    untried = {row["kind"] for row in data["faults"] if not row["run_id"]}
    assert untried == {"region_down", "unavailable", "slow_first_token", "cut_stream", "cold_cache"}


def test_html_markdown_and_docx_say_the_same_and_the_tickets_are_what_is_open(ready, with_plan, tmp_path):
    with_plan()
    data = ready("budget_usd: 1")[1]
    out = tmp_path / "out"
    page, text = (out / "ready.html").read_text(), (out / "ready.md").read_text()
    document = Document(BytesIO((out / "ready.docx").read_bytes()))
    cells = {cell.text for table in document.tables for row in table.rows for cell in row.cells}
    for row in data["criteria"]:
        title = row["criterion"]["title"]
        assert title in cells
        assert title.replace("<", r"\<").replace("'", "'") in text
        assert title.replace("<", "&lt;").replace("'", "&#39;") in page
    with (out / "actions.csv").open() as file:
        tickets = [row for row in csv.DictReader(file) if row["kind"] == "criterion"]
    assert [row["id"] for row in tickets][:1] == [key for key, value in results(data).items() if value == "fail"][:1]
    assert len(tickets) == sum(value != "pass" for value in results(data).values())
    assert {(row["owner"], row["due"]) for row in tickets} == {("", "")}


def test_no_date_no_name_and_no_owner_is_invented(ready, with_plan, tmp_path):
    with_plan()
    ready()
    text = (tmp_path / "out" / "ready.md").read_text()
    contacts = text.split("## Contacts")[1].split("## Open risks")[0]
    assert "| finance |  |  |" in contacts
    calendar = text.split("## Calendar")[1].split("## Where")[0]
    assert "| D |  | the event |" in calendar


def test_the_calendar_has_dates_where_the_first_hour_is_written_down_and_the_ramp_its_hours(ready, with_plan, tmp_path):
    """672 calls/min of Claude in the east from 100/min: ln 6.72 / ln 1.5 is 4.7, so 5 holds, an hour and a quarter."""
    plan = with_plan()
    peak = max(s.calls_per_s.at_level * 60 for s in plan.supplies if s.model == "claude-sonnet")
    ready(f"starts: 2026-11-27T00:00:00-08:00\nramp_from_per_min: {{claude-sonnet: {peak / 6.72}, nova-pro: 1e6}}")
    text = (tmp_path / "out" / "ready.md").read_text()
    assert "2026-10-16" in text  # 42 days before
    assert "which begins 1.2 h before the peak or earlier" in text


def test_text_of_an_event_file_acts_in_no_form(ready, tmp_path):
    ready('title: "<script>x</script>"\nrisks: [{what: "=cmd()", owner: "[a](http://b)"}]')
    assert "<script>x" not in (tmp_path / "out" / "ready.html").read_text()
    assert "[a](http" not in (tmp_path / "out" / "ready.md").read_text()


def test_the_template_is_an_event_file(ready, refused, tmp_path):
    assert refused("ready", "smoke", "--new", "new.yaml").returncode == 0
    assert refused("ready", "smoke", "--new", "new.yaml").returncode == 2
    assert (tmp_path / "new.yaml").read_text() == TEMPLATE.format(scenario="smoke")
    assert refused("ready", "new.yaml", "--out", "out").returncode == 4
