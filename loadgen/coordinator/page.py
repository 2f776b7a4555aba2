"""`/peak` on Locust's own web page: how the run stands, without a build step and without a request to elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from loadgen.coordinator.status_line import line

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>peakday</title>
<meta name="viewport" content="width=device-width">
<style>body{font:16px/1.5 system-ui;margin:2rem;max-width:60rem}pre{white-space:pre-wrap}
@media(prefers-color-scheme:dark){body{background:#111;color:#eee}}</style>
<h1>peakday</h1><pre id="line">waiting for the first report</pre><pre id="live"></pre>
<script>
async function show(){
  const state = await (await fetch("peak/live")).json();
  document.getElementById("line").textContent = state.line;
  document.getElementById("live").textContent = JSON.stringify(state.live, null, 1);
}
setInterval(show, 1000); show();
</script></html>"""


def add_page(app: Any, live: Callable[[], dict[str, Any]], length_s: float) -> None:
    """Add the panel to a Flask application."""

    def peak() -> str:
        return _PAGE

    def peak_live() -> dict[str, Any]:
        state = live()
        return {"line": line(state, length_s) if state["elapsed_s"] else "waiting for the workers", "live": state}

    app.add_url_rule("/peak", "peak", peak)
    app.add_url_rule("/peak/live", "peak_live", peak_live)
