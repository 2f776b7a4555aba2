"""Charts as plain Plotly figures: dicts of data and layout, drawn by the page's own script.

Colours are tokens (`@c1`, `@ink`) that the page resolves for light or dark. A second series always differs by dash,
symbol or place too, so nothing is told by colour alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict, Unpack

import numpy as np
import pandas as pd

from dashboards.numbers.series import thin

Numbers = Sequence[float] | np.ndarray | pd.Series | pd.Index
Part = dict[str, object]
"""A trace, an axis, a shape or an annotation, in Plotly's own keys."""


class Layout(TypedDict, total=False):
    """What of Plotly's layout a figure of ours sets."""

    height: int
    margin: dict[str, int]
    paper_bgcolor: str
    plot_bgcolor: str
    font: Part
    hovermode: str
    hoverlabel: Part
    legend: Part
    showlegend: bool
    barmode: str
    bargap: float
    xaxis: Part
    yaxis: Part
    shapes: list[Part]
    annotations: list[Part]


class Chart(TypedDict):
    """A figure."""

    data: list[Part]
    layout: Layout


_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
SYMBOLS = ("circle", "diamond", "square", "triangle-up", "x", "cross")
PATTERNS = tuple(
    {"shape": shape, "size": 6, "solidity": 0.15, "fgcolor": "@paper", "fgopacity": 0.45}
    for shape in ("", "/", ".", "x", "-", "+")
)
"""Hatching over a bar's own colour, so that bars differ without colour."""
LOG_FROM = 20.0
"""Multiples above this are drawn on a logarithmic axis."""
COLOURS = ("@c1", "@c2", "@c3", "@c4", "@c5", "@c6")


@dataclass(frozen=True)
class Line:
    """One series: x and y of equal length; `style` picks colour and dash, equal styles mean one kind of thing."""

    name: str
    x: Numbers
    y: Numbers
    style: int = 0
    step: bool = False
    fill_to: str | None = None


@dataclass(frozen=True)
class Limit:
    """A horizontal line with its words: an SLO, a ceiling, a granted quota."""

    value: float
    words: str


@dataclass(frozen=True)
class Span:
    """A stretch of time with its words: a fault, the warm-up."""

    start: float
    end: float
    words: str


def time_scale(span_s: float) -> tuple[float, str]:
    """Divisor and words for a time axis of this length."""
    if span_s <= 300:
        return 1.0, "seconds from the start"
    return (60.0, "minutes from the start") if span_s <= 4 * 3600 else (3600.0, "hours from the start")


def base(**layout: Unpack[Layout]) -> Chart:
    """An empty figure with the house layout: no frame, faint grid, legend above."""
    axis = {"gridcolor": "@grid", "linecolor": "@rule", "zeroline": False, "automargin": True, "title": {"standoff": 8}}
    whole: Layout = {
        "height": 300,
        "margin": {"l": 8, "r": 12, "t": 28, "b": 8},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": "@quiet", "size": 12},
        "hovermode": "x unified",
        "hoverlabel": {"bgcolor": "@card", "bordercolor": "@rule", "font": {"color": "@ink"}},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "xanchor": "left", "yanchor": "bottom"},
        "shapes": [],
        "annotations": [],
        **layout,
        "xaxis": {**axis, "showgrid": False, "showline": True, **layout.get("xaxis", {})},
        "yaxis": {**axis, "rangemode": "tozero", **layout.get("yaxis", {})},
    }
    return {"data": [], "layout": whole}


def lines(
    series: Sequence[Line], unit: str, span_s: float, limits: Sequence[Limit] = (), spans: Sequence[Span] = ()
) -> Chart:
    """Lines over time. x in seconds; each line is thinned to 1,000 points with its peaks kept."""
    divisor, words = time_scale(span_s)
    factor, unit = _readable(unit, series)
    chart = base(xaxis={"title": {"text": words}, "range": [0, span_s / divisor]}, yaxis=unit_axis(unit))
    for line in series:
        x, y = thin(np.asarray(line.x, dtype=float), factor * np.asarray(line.y, dtype=float))
        chart["data"].append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": line.name,
                "x": _plain(x / divisor),
                "y": _plain(y),
                "line": _line_style(line),
                "connectgaps": False,
                **({"fill": line.fill_to, "fillcolor": "@band"} if line.fill_to else {}),
            }
        )
    for limit in limits:
        add_limit(chart, Limit(factor * limit.value, limit.words))
    for span in spans:
        _add_span(chart, span, divisor)
    return chart


def _readable(unit: str, series: Sequence[Line]) -> tuple[float, str]:
    """Milliseconds for lines that stay under 0.1 s, as in the tables."""
    values = np.concatenate([np.zeros(1), *(np.asarray(line.y, dtype=float) for line in series)])
    highest = float(np.nanmax(values))
    return (1_000.0, "ms") if unit == "s" and highest < 0.1 else (1.0, unit)


def _line_style(line: Line) -> Part:
    return {
        "color": COLOURS[line.style % len(COLOURS)],
        "dash": _DASHES[line.style % len(_DASHES)],
        "width": 2 if line.style == 0 else 1.6,
        "shape": "hv" if line.step else "linear",
    }


def ranges(groups: Mapping[str, Sequence[tuple[str, float]]], unit: str, limit: Limit | None = None) -> Chart:
    """One row per group with a mark per quantile and a thin line joining them: how wide a group spreads."""
    names = list(groups)[::-1]
    chart = base(
        height=90 + 30 * max(len(names), 2),
        hovermode="closest",
        yaxis=categories(names),
        xaxis=unit_axis(unit, along_x=True),
    )
    for name in names:
        values = [value for _, value in groups[name]]
        chart["data"].append(
            {
                "type": "scatter",
                "mode": "lines",
                "x": values,
                "y": [name] * len(values),
                "showlegend": False,
                "line": {"color": "@rule", "width": 3},
                "hoverinfo": "skip",
            }
        )
    for index, mark in enumerate(dict.fromkeys(mark for points in groups.values() for mark, _ in points)):
        points_of_mark = [(dict(groups[name])[mark], name) for name in names if mark in dict(groups[name])]
        chart["data"].append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": mark,
                "x": [x for x, _ in points_of_mark],
                "y": [y for _, y in points_of_mark],
                "marker": {"color": COLOURS[index], "symbol": SYMBOLS[index], "size": 10},
            }
        )
    if limit is not None:
        add_limit(chart, limit, upright=True)
    values = [value for points in groups.values() for _, value in points]
    if unit == "times" and min(values) > 0 and max(values) > LOG_FROM:
        _logarithmic(chart, min(1.0, *values), max(1.0, *values))
    return chart


def _logarithmic(chart: Chart, low: float, high: float) -> None:
    """A logarithmic value axis; Plotly places shapes by value there, annotations by its logarithm."""
    span = [math.floor(math.log10(low)), math.ceil(math.log10(high))]
    chart["layout"]["xaxis"] |= {"type": "log", "dtick": 1, "rangemode": "normal", "range": span}
    for note in chart["layout"]["annotations"]:
        if isinstance(x := note.get("x"), int | float):
            note["x"] = math.log10(x)


def bars(
    names: Sequence[str],
    series: Mapping[str, Sequence[float | None]],
    unit: str,
    errors: Mapping[str, tuple[Sequence[float], Sequence[float]]] | None = None,
    stacked: bool = False,
) -> Chart:
    """Horizontal bars, one row per name; several series stand side by side or stacked, told apart by hatching too.

    Args:
        errors: for a series, how far its range reaches below and above each value.
    """
    rows = len(names) * (1 if stacked else len(series))
    chart = base(
        height=84 + 28 * max(rows, 2),
        hovermode="closest",
        barmode="stack" if stacked else "group",
        bargap=0.35,
        showlegend=len(series) > 1,
        yaxis={**categories(list(names)[::-1])},
        xaxis=unit_axis(unit, along_x=True),
    )
    for index, (name, values) in enumerate(series.items()):
        bar: Part = {
            "type": "bar",
            "orientation": "h",
            "name": name,
            "x": list(values),
            "y": list(names),
            "marker": {
                "color": COLOURS[index % 6],
                "line": {"width": 0},
                "pattern": {**PATTERNS[index % 6], "bgcolor": COLOURS[index % 6]},
            },
        }
        if errors and name in errors:
            bar["error_x"] = _reach(*errors[name])
        chart["data"].append(bar)
    return chart


def _reach(below: Sequence[float], above: Sequence[float]) -> Part:
    """Error bars of their own length on either side."""
    sides = {"array": list(above), "arrayminus": list(below)}
    return {"type": "data", "symmetric": False, **sides, "color": "@ink", "thickness": 1.4, "width": 5}


def unit_axis(unit: str, along_x: bool = False) -> Part:
    """How an axis prints its unit; a horizontal value axis carries the grid."""
    axis: Part = {"rangemode": "tozero"}
    if unit in ("s", "ms"):
        axis |= {"ticksuffix": f" {unit}"}
    elif unit == "ratio":
        axis |= {"tickformat": ".0%"}
    elif unit == "times":
        axis |= {"ticksuffix": "×"}
    elif unit in ("per_s", "1/s"):
        axis |= {"ticksuffix": "/s"}
    elif unit.lower().startswith("usd"):
        axis |= {"tickprefix": "$"}
    elif unit != "count":
        axis |= {"title": {"text": unit}}
    return {**axis, "showgrid": True, "showline": False, "nticks": 6} if along_x else {**axis, "nticks": 7}


def categories(names: Sequence[str]) -> Part:
    """An axis of names, the first at the bottom."""
    return {
        "type": "category",
        "categoryorder": "array",
        "categoryarray": list(names),
        "showgrid": False,
        "ticksuffix": " ",
    }


def add_limit(chart: Chart, limit: Limit, *, upright: bool = False) -> None:
    """A dotted line at a value, with its words at its end; upright where values run along x."""
    along, across = ("y", "x") if upright else ("x", "y")
    line = {"color": "@limit", "width": 1.4, "dash": "dot"}
    ends = {f"{along}ref": "paper", f"{along}0": 0, f"{along}1": 1}
    value = {f"{across}0": limit.value, f"{across}1": limit.value}
    chart["layout"]["shapes"].append({"type": "line", "line": line, **ends, **value})
    anchors = {"xanchor": "center" if upright else "right", "yanchor": "bottom"}
    chart["layout"]["annotations"].append(
        {
            f"{along}ref": "paper",
            along: 1,
            across: limit.value,
            "text": limit.words,
            "showarrow": False,
            "font": {"color": "@limit", "size": 11},
            **anchors,
        }
    )


def _add_span(chart: Chart, span: Span, divisor: float) -> None:
    chart["layout"]["shapes"].append(
        {
            "type": "rect",
            "yref": "paper",
            "y0": 0,
            "y1": 1,
            "x0": span.start / divisor,
            "x1": span.end / divisor,
            "fillcolor": "@fault",
            "line": {"width": 0},
            "layer": "below",
        }
    )
    chart["layout"]["annotations"].append(
        {
            "yref": "paper",
            "y": 1,
            "yanchor": "top",
            "x": span.start / divisor,
            "xanchor": "left",
            "text": span.words,
            "showarrow": False,
            "font": {"color": "@quiet", "size": 11},
        }
    )


def _plain(values: np.ndarray) -> list[float | None]:
    """JSON numbers with six significant digits, NaN as null."""
    return [float(f"{value:.6g}") if np.isfinite(value) else None for value in values]
