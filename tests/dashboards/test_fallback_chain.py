"""What a plan holds beside its fleets: the fallback chain, tiers and searches, each as a table."""

from __future__ import annotations

from dataclasses import replace

from capacity.rows.money import BackgroundStream, ServiceTier
from capacity.rows.needs import FallbackTier
from dashboards.html.plan.fallback_chain import beyond_panels
from dashboards.report import write_report

SPILL = FallbackTier(
    "us-east-1", "nova-pro", "p90", "smaller model", "nova-2-lite", 2.5, 0.25, 0.002, 3.0, limit="its quota"
)
TIER = ServiceTier("nova-pro", "flex", 12.0, planned=False, why="slower", assumed=("flex write",))
SEARCH = BackgroundStream(
    "planner_queries", "planner", 1e6, 3.0, None, sized=False, usd=None, usd_per_million=None, why="no rate"
)


def test_a_plan_without_them_has_no_such_part(plan, out):
    """Nothing on record, no empty chapter."""
    assert beyond_panels(replace(plan, fallback_chain=(), tiers=(), background=())) == []


def test_each_stands_in_its_table(plan, out):
    """Rates, shares and dollars as units say; what is unknown is a dash, what is not sized says why."""
    full = replace(plan, fallback_chain=(SPILL,), tiers=(TIER,), background=(SEARCH,))
    spill, tiers, searches = (panel.table.rows[0] for panel in beyond_panels(full))
    assert spill[:6] == ["nova-pro, us-east-1", "p90", "smaller model", "nova-2-lite", "2.50/s", "25.0%"]
    assert tiers == ["nova-pro", "flex", "$12.0", "slower", "flex write"]
    assert searches[2:] == ["3.00/s", "–", "not sized: no rate"]
    assert "Beyond the fleets" in write_report(out, plan=full).read_text()
