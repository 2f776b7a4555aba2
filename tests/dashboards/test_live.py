"""The page of a running load: one of our templates, its own figures, and no request to elsewhere."""

from __future__ import annotations

import re

from flask import Flask

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
