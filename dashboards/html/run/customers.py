"""Panels on conversations: how long they are, who comes back, who gives up, and which model answers what."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from dashboards.html import charts
from dashboards.html.page import Cell, Panel, Table
from dashboards.numbers.run import Number, find
from dashboards.numbers.units import show
from loadgen.record import Run

LENGTHS_MAX = 12
"""Interactions of this many turns or more share one bar."""


def conversation_panels(run: Run, numbers: Sequence[Number]) -> list[Panel]:
    """Totals of conversations, their lengths, abandonment by turn, and the route of each intent."""
    totals = Table("Conversations", ("Figure", "Value"), [[n.label, n] for n in numbers if n.group == "conversation"])
    panels = [Panel("Totals", _people_sentence(list(numbers)), totals)]
    if not len(run.turns):
        return panels
    panels.append(_length_panel(run.turns))
    if run.turns["route"].notna().any() and run.turns["intent"].notna().any():
        panels.append(_route_panel(run.turns))
    return panels


def _people_sentence(numbers: list[Number]) -> str:
    mean, repeat = find(numbers, "turns_per_interaction_mean"), find(numbers, "repeat_customer_ratio")
    if mean is None or repeat is None:
        return "The record holds no totals of conversations."
    return f"An interaction took {mean.text} turns on average; {repeat.text} of customers came more than once."


def _length_panel(turns: pd.DataFrame) -> Panel:
    lengths = turns.groupby("interaction_id").size().clip(upper=LENGTHS_MAX)
    counts = np.bincount(lengths.to_numpy(), minlength=2)[1:]
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


def _route_panel(turns: pd.DataFrame) -> Panel:
    known = turns[["intent", "route", "escalated"]].dropna(subset=["intent", "route"])
    mix = pd.crosstab(known["intent"], known["route"], normalize="index")
    sizes = known["intent"].value_counts()
    mix = mix.loc[sizes.index]
    intents, routes = [str(name) for name in mix.index], [str(name) for name in mix.columns]
    escalated = known.groupby("intent")["escalated"].agg(lambda column: column.fillna(False).astype(bool).mean())
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
    first = str(known["route"].value_counts().index[0])
    sentence = f"{first} answers most turns; a bar of one pattern means the router never chose another model."
    shares: dict[str, list[float | None]] = {route: [float(value) for value in mix[route]] for route in routes}
    table = Table("Share of turns by route", ("Intent", *routes, "Escalated", "Turns"), rows)
    return Panel("Which model answers what", sentence, table, charts.bars(intents, shares, "ratio", stacked=True))
