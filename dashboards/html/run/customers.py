"""Panels on conversations: how long they are, who comes back, who gives up, and which model answers what."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from dashboards.html import charts
from dashboards.html.page import Cell, Panel, Table
from dashboards.numbers.run import Number, find
from dashboards.numbers.stored import StoredRun, StoredTable, text_numbers
from dashboards.numbers.units import show

LENGTHS_MAX = 12
"""Interactions of this many turns or more share one bar."""


def conversation_panels(stored: StoredRun, numbers: Sequence[Number]) -> list[Panel]:
    """Totals of conversations, their lengths, abandonment by turn, and the route of each intent."""
    totals = Table("Conversations", ("Figure", "Value"), [[n.label, n] for n in numbers if n.group == "conversation"])
    panels = [Panel("Totals", _people_sentence(list(numbers)), totals)]
    if not len(stored.turns):
        return panels
    panels.append(_length_panel(stored.turns))
    if stored.turns["route"].notna().any() and stored.turns["intent"].notna().any():
        panels.append(_route_panel(stored.turns))
    return panels


def _people_sentence(numbers: list[Number]) -> str:
    mean, repeat = find(numbers, "turns_per_interaction_mean"), find(numbers, "repeat_customer_ratio")
    if mean is None or repeat is None:
        return "The record holds no totals of conversations."
    return f"An interaction took {mean.text} turns on average; {repeat.text} of customers came more than once."


def _length_panel(held: StoredTable) -> Panel:
    ids = [text_numbers(batch["interaction_id"]) for batch in held.batches(["interaction_id"])]
    lengths = np.minimum(np.unique(np.concatenate(ids), return_counts=True)[1], LENGTHS_MAX)
    counts = np.bincount(lengths, minlength=2)[1:]
    turns = held[["turn_index", "status"]]
    position = np.minimum(turns["turn_index"].to_numpy(dtype=float, na_value=0).astype(int), LENGTHS_MAX - 1)
    gone = (turns["status"] == "abandoned").to_numpy(dtype=bool)
    offered = np.bincount(position, minlength=len(counts))
    left = np.bincount(position[gone], minlength=len(offered))
    names = [f"{i + 1} or more" if i + 1 == LENGTHS_MAX else str(i + 1) for i in range(len(counts))]
    rows: list[list[Cell]] = [
        [
            name,
            show(float(count), "count"),
            show(left[i] / offered[i] if i < len(offered) and offered[i] else None, "ratio"),
        ]
        for i, (name, count) in enumerate(zip(names, counts, strict=True))
    ]
    most = int(np.argmax(counts))
    sentence = f"Most interactions took {names[most]} turns; the table adds who gave up at each turn."
    table = Table("Interactions by turns", ("Turns", "Interactions", "Abandoned at this turn"), rows)
    chart = charts.bars(names, {"interactions": [int(count) for count in counts]}, "count")
    return Panel("Turns per interaction", sentence, table, chart)


def _route_panel(turns: StoredTable) -> Panel:
    pieces = [_routed(piece) for piece in turns.pieces(["intent", "route", "escalated"])]
    counted = pd.concat(pieces).groupby(level=["intent", "route"], observed=True).sum()
    mix = counted["turns"].unstack(fill_value=0)
    sizes = mix.sum(axis=1).sort_values(ascending=False, kind="stable")
    mix = mix.div(sizes, axis=0).loc[sizes.index]
    by_route = counted["turns"].groupby(level="route", observed=True).sum()
    escalated = counted["escalated"].groupby(level="intent", observed=True).sum() / sizes
    intents, routes = [str(name) for name in mix.index], [str(name) for name in mix.columns]
    cells = mix.to_numpy(dtype=float)
    rows: list[list[Cell]] = [
        [
            intent,
            *[show(float(share), "ratio") for share in cells[i]],
            show(float(escalated[intent]), "ratio"),
            show(float(sizes[intent]), "count"),
        ]
        for i, intent in enumerate(intents)
    ]
    first = str(by_route.idxmax())
    sentence = f"{first} answers most turns; a bar of one pattern means the router never chose another model."
    shares: dict[str, list[float | None]] = {route: [float(value) for value in mix[route]] for route in routes}
    table = Table("Share of turns by route", ("Intent", *routes, "Escalated", "Turns"), rows)
    return Panel("Which model answers what", sentence, table, charts.bars(intents, shares, "ratio", stacked=True))


def _routed(piece: pd.DataFrame) -> pd.DataFrame:
    """Turns by intent and route, and how many of them were escalated."""
    known = piece.dropna(subset=["intent", "route"])
    known = known.assign(turns=1, escalated=known["escalated"].fillna(False).astype(bool).astype(int))
    return known.groupby(["intent", "route"], observed=True)[["turns", "escalated"]].sum()
