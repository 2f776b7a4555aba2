"""How long AWS's ramp takes to the peak of each Bedrock model, from where the service first answers without a 503."""

from __future__ import annotations

from capacity.plan import Plan
from capacity.rows.fleet import SupplyPlan
from dashboards.html.page import Cell, Panel, Table
from facts.ramp import HOLD_S, holds

MINUTE_S = 60.0
BELOW = {"half of it": 2.0, "a quarter": 4.0, "a tenth": 10.0}
"""Where the service might first answer, below the peak: no page says how much is on offer, so three are shown."""


def ramp_panels(plan: Plan) -> list[Panel]:
    """One table; nothing where no model is on Bedrock."""
    rows = [_row(supply) for supply in plan.supplies if supply.supply == "bedrock" and supply.calls_per_s.at_level > 0]
    if not rows:
        return []
    columns = ("Model", "Region", "Peak, calls a minute", *(f"From {words}" for words in BELOW), "From what is granted")
    table = Table("Holds of 15 minutes before the peak is served", columns, rows, text_columns=(0, 1, 3, 4, 5, 6))
    words = (
        "On 503 AWS's guide halves until requests succeed, holds 15 minutes, adds half, and repeats; rates are not "
        "adjustable. `peakday ramp` does it. A ramp that ends after the first hour is a shortage."
    )
    return [Panel("The ramp to the peak", words, table)]


def _row(supply: SupplyPlan) -> list[Cell]:
    peak = supply.calls_per_s.at_level * MINUTE_S
    granted = next((quota.granted for quota in supply.quotas if quota.kind == "rpm" and quota.counts), None)
    begun = "no rpm is granted" if granted is None else "within it" if granted >= peak else _words(granted, peak)
    return [
        supply.model,
        supply.region,
        f"{peak:,.0f}",
        *[_words(peak / times, peak) for times in BELOW.values()],
        begun,
    ]


def _words(steady: float, peak: float) -> str:
    """`from 200 to 3,000/min takes 7 holds, 1.75 h`."""
    count = holds(steady, peak)
    return f"from {steady:,.0f} to {peak:,.0f}/min takes {count} holds, {count * HOLD_S / 3600:.2f} h"
