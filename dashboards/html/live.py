"""The page of a run that is going on, served beside Locust's own; its figures come from the coordinator alone."""

from __future__ import annotations

from dashboards.html.render import asset, policy, template_text


def live_page(run_id: str) -> str:
    """The page as text; it asks `peak/live` of the server it came from, and nothing of anybody else."""
    own = f"{policy([asset('live.js')])}; connect-src 'self'"
    return template_text("live.html", run_id=run_id, policy=own)
