"""The day's pages: an event against its plan as `watch` says it, and the documents of `ready`."""

import json
from urllib.parse import quote

import pytest

from peakday.serve.day import PROMETHEUS
from tests.peakday.serve.client import Client
from tests.peakday.serve.conftest import PLAN
from tests.peakday.watch.test_watch import usage


@pytest.fixture(scope="module")
def folder(records, tmp_path_factory):
    """The folder's plans, what happened, and a document."""
    base = tmp_path_factory.mktemp("day")
    (base / "plans").symlink_to(records / "plans")
    usage(base / "usage.csv", enumerate([100, 110, 120, 130, 140, 150]))
    (base / "notes.csv").write_text("a,b\n1,2\n")
    (base / "event.yaml").write_text("schema: peakday.event/1\nscenario: smoke\n")
    document = base / "ready" / "20260708-093030-smoke"
    document.mkdir(parents=True)
    (document / "ready.html").write_text("<!doctype html><title>Ready</title>")
    (document / "actions.csv").write_text("action\n")
    return base


@pytest.fixture
def client(folder, monkeypatch, tmp_path):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Client(folder)


def test_the_day_lists_plans_sources_and_documents_and_home_leads_to_it(client):
    text = client.get("/day").text
    assert PLAN in text
    assert "<option>usage.csv</option>" in text
    assert "notes.csv" not in text
    assert 'href="/day/ready/20260708-093030-smoke/ready.html"' in text
    assert "peakday ready event.yaml" in text
    assert '<a href="/day">The day</a>' in client.get("/").text


def test_a_watched_event_says_what_the_command_says(client, refused, folder, monkeypatch):
    """The rpm quota of 200 is full in five minutes at this trend; the same figures are in the command's answer."""
    page = client.get(f"/day/watch?plan={PLAN}&source=usage.csv").text
    assert "in range; 1 of 1 fill a limit at this trend" in page
    assert "75%, full in 5 min" in page
    assert f"peakday watch {PLAN} --usage usage.csv" in page
    monkeypatch.chdir(folder)
    said = json.loads(refused("watch", PLAN, "--usage", "usage.csv", "--once", "--json").stdout)
    (series,) = said["series"]
    assert f"{series['calls_per_min']:,.0f} calls/min" in page
    assert f"planned {series['planned_calls_per_min']['p50']:,.0f}" in page


def test_with_its_first_moment_the_band_is_that_of_the_minute(client):
    starts = quote("2026-11-27T18:00:00+00:00")
    assert "+0.1 h into the event" in client.get(f"/day/watch?plan={PLAN}&source=usage.csv&starts={starts}").text
    assert client.get(f"/day/watch?plan={PLAN}&source=usage.csv&starts=tomorrow").status == 400


@pytest.mark.parametrize(
    "source", ["../secret.csv", "/etc/passwd", "http://127.0.0.1:9090", PROMETHEUS, "event.yaml", "notes.csv"]
)
def test_an_address_names_no_file_and_no_server_of_its_own(client, source):
    answer = client.get(f"/day/watch?plan={PLAN}&source={quote(source)}", accept="text/html")
    assert answer.status == 400
    assert "no usage file of this folder" in answer.text


def test_a_document_is_shown_in_an_origin_of_its_own_and_no_other_file_is(client):
    shown = client.get("/day/ready/20260708-093030-smoke/ready.html")
    assert shown.status == 200
    assert "sandbox" in shown.headers["content-security-policy"]
    for path in ("ready.docx", "..%2F..%2Fusage.csv", "event.yaml"):
        assert client.get(f"/day/ready/20260708-093030-smoke/{path}").status == 404
