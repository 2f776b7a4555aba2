"""The home page and the pages of records."""

import json

from capacity.plan import write_plan
from dashboards.numbers.why import why
from peakday.serve import catalogue as catalogues
from peakday.serve.catalogue import Catalogue
from tests.dashboards.plans import make_plan
from tests.peakday.serve.conftest import CHECK, OLDER, PLAN, RUN


def test_home_lists_everything_newest_first_with_what_it_says(client):
    text = client.get("/").text
    places = [text.index(name) for name in (f"checks/{CHECK}", f"plans/{PLAN}", f"runs/{RUN}", f"runs/{OLDER}")]
    assert places == sorted(places)
    for words in ("VALID", "FAIL", "for the event", "prime_day", "ttft_s_p99"):
        assert words in text


def test_home_leaves_out_what_the_filter_does_not_name(client):
    text = client.get("/?kind=plans&q=event").text
    assert f"plans/{PLAN}" in text
    assert f"runs/{RUN}" not in text
    assert f"plans/{PLAN}" not in client.get("/?kind=plans&q=nowhere").text


def test_a_record_is_shown_with_its_files_and_its_report(client):
    assert f"/records/plans/{PLAN}/files/plan.json" in client.get(f"/records/plans/{PLAN}").text
    report = client.get(f"/records/plans/{PLAN}/report")
    assert "Capacity plan".lower() in report.text.lower()
    assert client.get(f"/records/plans/{PLAN}/files/plan.json").json["plan_id"]
    assert client.get("/records/plans/nothing").status == 404
    assert "Check of smoke" in client.get(f"/records/checks/{CHECK}/report").text
    assert client.get(f"/records/checks/{CHECK}/files/check.json").json["took_s"] is None


def test_a_report_is_never_written_beside_its_record(client, records):
    client.get(f"/records/runs/{RUN}/report")
    assert not (records / "runs" / RUN / "report.html").exists()


def test_two_records_of_a_kind_are_compared_the_older_first(client):
    both = f"id=plans/{PLAN}&id=plans/{OLDER}"
    assert f"{OLDER} against {PLAN}" in client.get(f"/compare?{both}").text
    assert "Cost of the event" in client.get(f"/compare/drawn?{both}").text
    assert client.get(f"/compare?id=plans/{PLAN}&id=runs/{RUN}").status == 400


def test_a_record_is_read_again_only_when_its_file_changes(tmp_path, monkeypatch):
    """By time and size of the file; across starts too, so that a killed serve reads nothing twice."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    read = []
    real = catalogues.entry_of
    monkeypatch.setattr(catalogues, "entry_of", lambda *a, **k: read.append(a[1]) or real(*a, **k))
    file = write_plan(make_plan(), tmp_path / "plans" / PLAN)
    assert [entry.id for entry in Catalogue(tmp_path).entries("plans")] == [PLAN]
    assert Catalogue(tmp_path).entries("plans")[0].name == make_plan().scenario.name
    assert read == [PLAN]
    file.write_text("{")
    assert Catalogue(tmp_path).entries("plans")[0].verdict == "DAMAGED"
    assert read == [PLAN, PLAN]


def test_a_text_of_a_record_is_shown_and_never_obeyed(client, records):
    """A check of a scenario that is named like markup stays text."""
    folder = records / "checks" / "20260708-093000-odd"
    folder.mkdir(parents=True, exist_ok=True)
    odd = {"scenario": "<script>alert(1)</script>\u202e", "verdict": "pass", "lines": []}
    (folder / "check.json").write_text(json.dumps(odd))
    text = client.get("/?kind=checks").text
    assert "<script>alert(1)" not in text
    assert "&lt;script&gt;" in text
    assert "\u202e" not in text


def test_a_number_of_a_plan_is_explained_as_why_does(client):
    """The same links, and the command that prints them."""
    page = client.get(f"/records/plans/{PLAN}").text
    assert f"/records/plans/{PLAN}/why?number=event_cost_usd" in page
    data = client.get(f"/records/plans/{PLAN}/why?number=event_cost_usd").json
    assert [link["name"] for link in data["links"]] == [link.name for link in why(make_plan(), "event_cost_usd").links]
    assert data["command"] == f"peakday why {PLAN} event_cost_usd"
    assert client.get(f"/records/plans/{PLAN}/why?number=nothing").status == 400
