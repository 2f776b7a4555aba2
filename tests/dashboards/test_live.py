"""The page of a running load: one of our templates, its own figures, and no request to elsewhere."""

from __future__ import annotations

import re

from flask import Flask
from flask_cors import CORS

from dashboards.html.live import live_page
from loadgen.coordinator.page import add_page

LIVE = {"elapsed_s": 12.0, "state": "running", "sent": 60}


def client(page):
    app = Flask(__name__)
    add_page(app, lambda: {"elapsed_s": 0.0}, 30.0, page)
    return app.test_client()


def test_the_page_is_served_as_it_was_made_with_its_figures_beside_it():
    served = client(live_page("20261129-smoke"))
    assert served.get("/peak").text == live_page("20261129-smoke")
    assert served.get("/peak/live").json == {"line": "waiting for the workers", "live": {"elapsed_s": 0.0}}


def test_a_job_without_a_page_serves_its_figures_alone():
    assert client("").get("/peak").status_code == 404
    assert client("").get("/peak/live").status_code == 200


def test_the_page_runs_one_script_of_ours_and_asks_only_the_server_it_came_from():
    page = live_page("<script>alert(1)</script>")
    assert page.count("<script>") == 1
    assert "&lt;script&gt;alert(1)" in page
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)[1]
    assert "default-src &#39;none&#39;" in policy
    assert policy.endswith("connect-src &#39;self&#39;")
    assert not re.findall(r'(?:src|href)="', page)


def guarded_page():
    """Locust's own kind of page: open to every origin, with ways to change the run."""
    app = Flask(__name__)
    CORS(app)
    changed = []
    for path in ("/swarm", "/stop", "/stats/reset"):
        app.add_url_rule(path, path, lambda: changed.append(1) or "done", methods=["GET", "POST"])
    app.add_url_rule("/stats/requests", "stats", lambda: {"turns": 5})
    add_page(app, lambda: {"elapsed_s": 0.0}, 30.0, "")
    return app.test_client(), changed


def test_the_engine_s_own_page_cannot_change_a_run():
    """A run belongs to the command that began it: no start, no stop, no reset, by any method."""
    served, changed = guarded_page()
    for path in ("/swarm", "/stop", "/stats/reset", "//stop/"):
        for answer in (served.get(path), served.post(path)):
            assert answer.status_code == 403
    assert "Ctrl-C" in served.get("/stop").text
    assert changed == []


def test_the_engine_s_own_page_is_read_by_its_own_pages_alone():
    """Neither another site's script nor a name that was made to lead here gets a word; nor does CORS invite them."""
    served, _ = guarded_page()
    own = served.get("/stats/requests")
    assert own.json == {"turns": 5}
    assert not any(name.lower().startswith("access-control-") for name, _ in own.headers)
    for headers in ({"Origin": "https://example.com"}, {"Host": "rebound.example.com"}):
        assert served.get("/stats/requests", headers=headers).status_code == 403
