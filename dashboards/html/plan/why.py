"""The part that says where a plan's numbers come from, link by link; every linked number on the page leads here."""

from __future__ import annotations

from capacity.plan import Plan
from dashboards.html.page import Cell, Panel, Part, Table
from dashboards.numbers.run import Number
from dashboards.numbers.units import show
from dashboards.numbers.why import chain, explained_numbers

SHOWN = ("chips", "cost_usd_per_interaction", "event_cost_usd", "cache_hit_token_ratio")
"""Numbers with a panel of their own; `peakday why` tells the chain of any other."""
COLUMNS = ("Step", "Value", "From", "Provenance", "File or key")


def why_links(plan: Plan) -> dict[str, str]:
    """Key of a number -> anchor of its chain."""
    return {number.key: f"why-{place}" for place, number in enumerate(_shown(plan))}


def why_part(plan: Plan) -> list[Part]:
    """A panel for each number: its chain from the scenario on."""
    panels = [_panel(plan, number, f"why-{place}") for place, number in enumerate(_shown(plan))]
    return [Part("why", "Why these numbers", panels)] if panels else []


def _shown(plan: Plan) -> list[Number]:
    explained = [number for number in explained_numbers(plan) if number.name in SHOWN]
    if plan.rules is None:  # an older plan kept no rules for its chips
        return [number for number in explained if number.name != "chips"]
    return explained


def _panel(plan: Plan, number: Number, anchor: str) -> Panel:
    rows: list[list[Cell]] = [
        [link.name, show(link.value, link.unit), link.formula, link.provenance, link.source]
        for link in chain(plan, number).links
    ]
    table = Table(number.label, COLUMNS, rows, text_columns=(0, 2, 3, 4))
    sentence = f"Each step from the steps above it; `peakday why` prints the same: {number.key}"
    return Panel(number.label, sentence, table, anchor=anchor)
