"""Who is answered: requests under a loopback name, from our own pages, and writes with the page's token."""

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
