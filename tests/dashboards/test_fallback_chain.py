"""What a plan holds beside its fleets: the fallback chain, tiers and searches, each as a table."""

from __future__ import annotations

from dataclasses import replace

from dashboards.html.plan.fallback_chain import beyond_panels
from dashboards.report import write_report

SPILL = {
    "region": "us-east-1", "model": "nova-pro", "level": "p90", "rung": "smaller model", "to": "nova-2-lite",
    "calls_per_s": 2.5, "share": 0.25, "usd_per_call": 0.002, "latency_s": 3.0, "limit": "its quota",
}  # fmt: skip
TIER = {"model": "nova-pro", "tier": "flex", "usd": 12.0, "planned": False, "why": "slower", "assumed": ["flex write"]}
SEARCH = {
    "stream": "planner_queries",
    "searches_in_event": 1e6,
    "peak_per_s_p90": None,
    "sized": False,
    "why": "no rate",
}


def test_a_plan_without_them_has_no_such_part(plan, out):
    """Nothing on record, no empty chapter."""
    assert beyond_panels(replace(plan, spill=(), tiers=(), background=())) == []


def test_each_stands_in_its_table(plan, out):
    """Rates, shares and dollars as units say; what is unknown is a dash, what is not sized says why."""
    full = replace(plan, spill=(SPILL,), tiers=(TIER,), background=(SEARCH,))
    spill, tiers, searches = (panel.table.rows[0] for panel in beyond_panels(full))
    assert spill[:6] == ["nova-pro, us-east-1", "p90", "smaller model", "nova-2-lite", "2.50/s", "25.0%"]
    assert tiers == ["nova-pro", "flex", "$12.0", "slower", "flex write"]
    assert searches[2:] == ["–", "–", "not sized: no rate"]
    assert "Beyond the fleets" in write_report(out, plan=full).read_text()
