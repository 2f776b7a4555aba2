"""Who is answered: requests under a loopback name, from our own pages, and writes with the page's token."""

import os
import shutil

import pytest

from tests.peakday.serve.client import Client

END = "/runs/20260708-093015-smoke/end"


@pytest.mark.parametrize(
    "headers",
    [{"host": "evil.example"}, {"host": "127.0.0.1.evil.example:8787"}, {"origin": "http://evil.example"}],
)
def test_a_page_of_another_site_is_answered_nothing(client, headers):
    """A name that leads to 127.0.0.1 (DNS rebinding) and another site's page get 403, and nothing of the folder."""
    answer = client.get("/", **headers)
    assert answer.status == 403
    assert "smoke" not in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Peakday-Csrf": "guess"},
        {"X-Peakday-Csrf": ""},
        {"content_type": "text/plain"},
        {"origin": "http://evil.example"},
    ],
)
def test_a_write_without_the_pages_token_is_refused(client, headers):
    """A form of another site sends no JSON and knows no token."""
    assert client.post(END, {"wish": "stop"}, **headers).status == 403


def test_a_write_of_our_own_page_is_heard(client):
    """It reaches the handler, which says that this run is over."""
    assert client.post(END, {"wish": "stop"}).status == 409


@pytest.mark.parametrize("path", [END, "/what-if/plan", "/what-if/scenario", "/event/save", "/chat/start"])
@pytest.mark.parametrize("content", [[1], "stop", None, 7])
def test_a_write_that_is_no_mapping_is_refused_in_a_line(client, path, content):
    answer = client.post(path, content)
    assert (answer.status, answer.json) == (400, {"error": "the body is no JSON mapping"})


def test_read_only_shows_everything_and_changes_nothing(records, monkeypatch):
    monkeypatch.chdir(records)
    shared = Client(records, read_only=True, names=("plans.example",))
    assert "read-only" in shared.get("/").text
    assert shared.get("/", host="plans.example", origin="https://plans.example").status == 200
    assert shared.rules.token not in shared.get("/").text
    assert shared.post(END, {"wish": "stop"}).status == 403
    assert shared.get("/", host="other.example").status == 403


def test_every_page_allows_only_our_own_scripts(client):
    """The policy names no origin but ours, and no inline script or style; a report is an origin of its own."""
    policy = client.get("/").headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    drawn = client.get("/records/plans/20260708-093020-smoke/report")
    assert drawn.headers["content-security-policy"].startswith("sandbox allow-scripts;")
    assert "allow-same-origin" not in drawn.headers["content-security-policy"]


@pytest.mark.parametrize("name", ["..", "%2e%2e", "../plans/20260708-093020-smoke", "/etc"])
def test_a_name_never_leads_out_of_the_folder(client, name):
    assert client.get(f"/records/runs/{name}").status == 404
    assert client.get(f"/records/runs/20260708-093015-smoke/files/{name}").status == 404


@pytest.mark.parametrize(
    ("site", "mode", "status"),
    [("cross-site", "no-cors", 403), ("same-site", "cors", 403), ("cross-site", "navigate", 200),
     ("same-origin", "cors", 200), ("none", "navigate", 200)],
)  # fmt: skip
def test_a_picture_on_another_sites_page_starts_nothing(client, site, mode, status):
    """Browsers say where a request comes from, also where it has no Origin; a link that is followed is answered."""
    assert client.get("/", **{"sec-fetch-site": site, "sec-fetch-mode": mode}).status == status


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, '{"wish": NaN}', '{"wish": 1e999', "\ud800"])
def test_a_body_that_is_no_json_is_refused_in_a_line(client, text):
    """However deep."""
    headers = {"content-type": "application/json", "X-Peakday-Csrf": client.rules.token}
    answer = client.ask("POST", END, text.encode("utf-8", "surrogatepass"), headers)
    assert (answer.status, answer.json) == (400, {"error": "the body is no JSON mapping"})


@pytest.mark.parametrize("wish", [{}, [], None, 5, "sto", {"a": "stop"}])
def test_a_wish_that_is_none_is_refused(client, wish):
    assert client.post(END, {"wish": wish}).status == 404


def test_a_records_files_lie_in_its_folder(tmp_path, monkeypatch, records):
    """A record from elsewhere may hold links: what they lead to is neither shown nor sent."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "private").write_text("a key of mine")
    shutil.copytree(records / "runs", tmp_path / "runs")
    run = tmp_path / "runs" / "20260708-093015-smoke"
    (run / "report.html").unlink(missing_ok=True)
    (run / "report.html").symlink_to(tmp_path / "private")
    other = tmp_path / "runs" / "20260708-093010-smoke"
    (other / "run.json").unlink()
    (other / "run.json").symlink_to(tmp_path / "private")
    ready = tmp_path / "ready" / "one"
    ready.mkdir(parents=True)
    (ready / "ready.md").symlink_to(tmp_path / "private")
    shown = Client(tmp_path)
    assert "a key of mine" not in shown.get(f"/records/runs/{run.name}/report").text
    assert shown.get(f"/records/runs/{other.name}/files/run.json").status == 404
    assert shown.get(f"/records/runs/{run.name}/files/run.json").status == 200
    assert shown.get("/day/ready/one/ready.md").status == 404


def test_a_pipe_or_a_device_named_as_a_scenario_is_passed_over(tmp_path, monkeypatch):
    """The pages would wait for it, each."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "zero.yaml").symlink_to("/dev/zero")
    (tmp_path / "loop.yaml").symlink_to(tmp_path / "loop.yaml")
    (tmp_path / "folder.yaml").mkdir()
    shown = Client(tmp_path)
    assert [shown.get(path).status for path in ("/", "/day", "/what-if?scenario=smoke")] == [200, 200, 200]


def test_a_name_longer_than_a_file_may_have_is_refused_in_a_line(client):
    answer = client.post("/chat/start", {"scenario": "x" * 5_000})
    assert answer.status == 400
    assert len(answer.json["error"]) < 6_000
