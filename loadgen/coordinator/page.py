"""`/peak` on Locust's own web page: how the run stands. The page itself is the command's, made before the run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from loadgen.coordinator.status_line import line


def add_page(app: Any, live: Callable[[], dict[str, Any]], length_s: float, page: str) -> None:
    """Add the page, where the job brings one, and its figures to a Flask application."""

    def peak() -> str:
        return page

    def peak_live() -> dict[str, Any]:
        state = live()
        return {"line": line(state, length_s) if state["elapsed_s"] else "waiting for the workers", "live": state}

    if page:
        app.add_url_rule("/peak", "peak", peak)
    app.add_url_rule("/peak/live", "peak_live", peak_live)
