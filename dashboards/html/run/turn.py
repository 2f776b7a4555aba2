"""Panels that take single turns apart: where the time of a typical and of a slow one went."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from dashboards.html import charts
from dashboards.html.charts import COLOURS, PATTERNS, Chart, Part
from dashboards.html.page import Cell, Panel, Table
from dashboards.numbers.stored import StoredRun, StoredTable
from dashboards.numbers.units import show

KINDS = (
    "start lag",
    "route",
    "prefetch",
    "model: to first token",
    "model: streaming",
    "tool",
    "to first token",
    "after it",
)


@dataclass(frozen=True)
class Step:
    """One step of a turn, in seconds from its intended start."""

    what: str
    kind: str
    start_s: float
    length_s: float


def turn_panels(stored: StoredRun) -> list[Panel]:
    """Waterfalls of the answered turns nearest to the median and to the p99 of E2E latency."""
    turns = [(nearest_turn(stored.turns, share), words) for share, words in ((0.5, "typical"), (0.99, "p99"))]
    return [
        _panel(stored, turn, words)
        if turn is not None
        else Panel(f"A {words} turn, taken apart", "No turn was answered, so none can be taken apart.")
        for turn, words in turns
    ]


def _panel(stored: StoredRun, turn: pd.Series, words: str) -> Panel:
    steps = turn_steps(stored, turn)
    longest = max(steps, key=lambda step: step.length_s)
    total_s = float(turn["e2e_s"])
    route = turn["route"] if isinstance(turn["route"], str) else "unknown route"
    sentence = (
        f"{turn['intent'] if isinstance(turn['intent'], str) else 'A turn'} on {route}, {show(total_s, 's')} from its "
        f"intended start; the longest step is {longest.what} with {show(longest.length_s, 's')}."
    )
    rows: list[list[Cell]] = [[step.what, show(step.start_s, "s"), show(step.length_s, "s")] for step in steps]
    table = Table(f"Turn {turn['trace_id'] or turn['session_id']}", ("Step", "From", "Took"), rows)
    return Panel(f"Where the time of a {words} turn went", sentence, table, waterfall(steps, total_s))


def nearest_turn(table: StoredTable, share: float) -> pd.Series | None:
    """The answered turn whose E2E latency is nearest to the quantile of all answered ones."""
    turns = table[["e2e_s", "status"]]
    latency = turns["e2e_s"].to_numpy(dtype=float, na_value=np.nan)
    answered = (turns["status"] == "ok").to_numpy(dtype=bool) & np.isfinite(latency)
    if not answered.any():
        return None
    away = np.where(answered, np.abs(latency - np.quantile(latency[answered], share)), np.inf)
    return table.row(int(np.argmin(away)))


def turn_steps(stored: StoredRun, turn: pd.Series) -> list[Step]:
    """The steps of one turn, in the order in which they began.

    Calls and tools are placed by the assistant's own clock, which starts when the turn arrives: that is after our
    start lag; the way there is not known and is left out.
    """
    lag_s = _known(turn["start_lag_s"])
    steps = [Step("start lag", "start lag", 0.0, lag_s)]
    route_s, prefetch_s = _known(turn["route_s"]), _known(turn["prefetch_s"])
    if route_s:
        steps.append(Step("route", "route", lag_s, route_s))
    if prefetch_s:
        steps.append(Step("prefetch", "prefetch", lag_s + route_s, prefetch_s))
    inner = [*_calls(stored.calls.of_turn(turn), lag_s), *_tools(stored.tools.of_turn(turn), lag_s)]
    if not inner:
        first_s = _known(turn["ttft_s"])
        inner = [
            Step("to first token", "to first token", lag_s, max(first_s - lag_s, 0.0)),
            Step("after it", "after it", first_s, max(float(turn["e2e_s"]) - first_s, 0.0)),
        ]
    return steps + sorted(inner, key=lambda step: step.start_s)


def _calls(calls: pd.DataFrame, lag_s: float) -> list[Step]:
    steps = []
    for call in calls.to_dict("records"):
        start_s, whole_s, first_s = lag_s + _known(call["start_s"]), _known(call["e2e_s"]), _known(call["ttft_s"])
        name = f"{call['model']}, {call['purpose']}"
        first_s = min(first_s, whole_s) if first_s else whole_s
        steps.append(Step(name, "model: to first token", start_s, first_s))
        if whole_s > first_s:
            steps.append(Step(f"{name}, streaming", "model: streaming", start_s + first_s, whole_s - first_s))
    return steps


def _tools(tools: pd.DataFrame, lag_s: float) -> list[Step]:
    return [
        Step(f"tool {tool['tool']}", "tool", lag_s + _known(tool["start_s"]), _known(tool["duration_s"]))
        for tool in tools.to_dict("records")
    ]


def _known(value: object) -> float:
    """A duration, or zero where it is not known."""
    number = float(str(value)) if value is not None and value == value and value is not pd.NA else 0.0
    return max(number, 0.0)


def waterfall(steps: list[Step], total_s: float) -> Chart:
    """Steps as bars on one clock, the first at the top."""
    names = [f"{index + 1}. {step.what}" for index, step in enumerate(steps)]
    chart = charts.base(
        height=90 + 26 * max(len(steps), 2),
        hovermode="closest",
        bargap=0.25,
        barmode="overlay",
        yaxis=charts.categories(names[::-1]),
        xaxis={**charts.unit_axis("s", along_x=True), "range": [0, total_s * 1.02]},
    )
    for index, kind in enumerate(dict.fromkeys(step.kind for step in steps)):
        own = [(name, step) for name, step in zip(names, steps, strict=True) if step.kind == kind]
        bar: Part = {
            "type": "bar",
            "orientation": "h",
            "name": kind,
            "base": [step.start_s for _, step in own],
            "x": [step.length_s for _, step in own],
            "y": [name for name, _ in own],
            "marker": {"color": COLOURS[index % 6], "pattern": {**PATTERNS[index % 6], "bgcolor": COLOURS[index % 6]}},
        }
        chart["data"].append(bar)
    return chart
