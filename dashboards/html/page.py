"""The page: one HTML file with its style, its script and Plotly inside, and no request to anywhere.

A page is a head (what it is and whether to believe it) and parts; a part has panels; a panel is one sentence that
says what to see, one chart and the table of the same numbers.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from pathlib import Path

from dashboards.html.charts import Chart
from dashboards.html.markup import Html, escape, join, tag
from dashboards.numbers.run import Number

ROWS_OPEN = 14
"""A table longer than this scrolls in its own box."""
BESIDE_BREADTH_MAX = 5
"""A table wider than this stands under its chart."""

Cell = str | Number | None


@dataclass(frozen=True)
class Table:
    """Rows under column names; the first column names the row. A Number prints with its interval and marks."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    text_columns: Sequence[int] = (0,)


@dataclass(frozen=True)
class Panel:
    """What to see, in one sentence; the chart; the table. A panel without a chart is a table."""

    title: str
    sentence: str | Html
    table: Table | None = None
    chart: Chart | None = None


@dataclass(frozen=True)
class Part:
    """A chapter of the page: an anchor, a title and its panels; `lead` is shown before them."""

    anchor: str
    title: str
    panels: Sequence[Panel]
    lead: Html | None = None


@dataclass(frozen=True)
class Banner:
    """Whether to believe what follows. kind: good, bad, warn. Symbol and words say it, colour repeats it."""

    kind: str
    word: str
    text: str
    reasons: Sequence[str] = ()


@dataclass(frozen=True)
class Page:
    """One report."""

    title: str
    kicker: str
    banners: Sequence[Banner]
    headline: Sequence[Number]
    parts: Sequence[Part]
    facts: Sequence[tuple[str, str]] = field(default=())


def marked(part: Part, mark: str = "SIMULATED") -> Part:
    """The part with a mark in the caption of every table: its numbers come from rows, which carry none."""
    panels = [
        replace(panel, table=replace(panel.table, caption=f"{panel.table.caption} · {mark}")) if panel.table else panel
        for panel in part.panels
    ]
    return replace(part, panels=panels)


def write_page(page: Page, out: Path) -> Path:
    """Write one self-contained file, aside and renamed."""
    out.parent.mkdir(parents=True, exist_ok=True)
    aside = out.with_name(f".{out.name}.part")
    aside.write_text(render(page), encoding="utf-8")
    os.replace(aside, out)
    return out


def render(page: Page) -> str:
    """The whole document."""
    charts: list[Chart] = []
    parts = [_part(part, charts) for part in page.parts]
    body = [
        tag("a", "Skip to the numbers", href="#main", class_="skip"),
        _header(page),
        _navigation(page),
        tag("main", _headline(page.headline), *parts, id="main"),
        tag("footer", "Made by peakday. This file holds everything it shows and asks nothing of any network."),
        tag("script", Html(_json(charts)), type="application/json", id="charts"),
        tag("script", Html(plotly_js() if charts else "")),
        tag("script", Html(_asset("report.js"))),
    ]
    head = [
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", http_equiv="Content-Security-Policy", content=_CSP),
        tag("title", page.title),
        tag("style", Html(_asset("report.css"))),
    ]
    return "<!doctype html>\n" + tag("html", tag("head", *head), tag("body", *body), lang="en") + "\n"


_CSP = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: blob:; font-src data:"
_SYMBOL = {"good": "✓", "bad": "✕", "warn": "!"}


def _header(page: Page) -> Html:
    facts = [tag("div", tag("dt", name), tag("dd", value)) for name, value in page.facts]
    return tag(
        "header",
        tag("div", tag("p", page.kicker, class_="kicker"), _THEME_BUTTON, class_="bar"),
        tag("h1", page.title),
        *[_banner(banner) for banner in page.banners],
        tag("dl", *facts, class_="facts") if facts else None,
    )


_THEME_BUTTON = tag("button", "Light / dark", type="button", id="theme", aria_label="Switch between light and dark")


def _banner(banner: Banner) -> Html:
    return tag(
        "div",
        tag("span", _SYMBOL[banner.kind], class_="symbol", aria_hidden="true"),
        tag(
            "div",
            tag("p", tag("strong", banner.word), " ", banner.text),
            tag("ul", *[tag("li", reason) for reason in banner.reasons]) if banner.reasons else None,
        ),
        class_=f"banner {banner.kind}",
        role="status",
    )


def _navigation(page: Page) -> Html:
    links = [tag("li", tag("a", part.title, href=f"#{part.anchor}")) for part in page.parts]
    return tag("nav", tag("ul", *links), aria_label="Parts of this report")


def _headline(numbers: Sequence[Number]) -> Html | None:
    if not numbers:
        return None
    cards = [
        tag("div", tag("dt", number.label), tag("dd", _value(number), tag("small", _under(number))), **_data(number))
        for number in numbers
    ]
    return tag("dl", *cards, class_="headline")


def _under(number: Number) -> Html:
    marks = [number.interval, "SIMULATED" if number.simulated else number.provenance]
    return join([tag("span", mark, class_="sim" if mark == "SIMULATED" else None) for mark in marks if mark], " ")


def _part(part: Part, charts: list[Chart]) -> Html:
    panels = [_panel(panel, charts) for panel in part.panels]
    return tag("section", tag("h2", part.title), part.lead, *panels, id=part.anchor, aria_label=part.title)


def _panel(panel: Panel, charts: list[Chart]) -> Html:
    chart = None
    if panel.chart is not None:
        label = f"Chart: {panel.title}. {panel.sentence} The table beside it holds the numbers."
        height = panel.chart["layout"]["height"]
        chart = tag(
            "div", class_="chart", data_chart=len(charts), role="img", aria_label=label, style=f"height:{height}px"
        )
        charts.append(panel.chart)
    return tag(
        "article",
        tag("h3", panel.title),
        tag("p", panel.sentence, class_="say"),
        tag("div", chart, table(panel.table) if panel.table else None, class_=_arrangement(panel)),
        class_="panel",
    )


def _arrangement(panel: Panel) -> str | None:
    """A narrow table stands beside its chart, a wide one under it."""
    if panel.table is None:
        return None
    if _breadth(panel.table) > BESIDE_BREADTH_MAX:
        return "wide"
    return "pair" if panel.chart is not None else "solo"


def _breadth(content: Table) -> int:
    """Columns, those that print an interval or a mark under the number counted twice."""
    marked = {
        i for row in content.rows for i, cell in enumerate(row)
        if isinstance(cell, Number) and (cell.interval or cell.simulated)
    }  # fmt: skip
    return len(content.columns) + (len(marked) if len(marked) > 1 else 0)


def table(content: Table) -> Html:
    """A table with caption and row headings; long ones scroll in a box that the keyboard can reach."""
    texts = set(content.text_columns)
    head = [tag("th", name, scope="col", class_=None if i in texts else "n") for i, name in enumerate(content.columns)]
    rows = [
        tag("tr", *[_cell(cell, heading=i == 0, text=i in texts) for i, cell in enumerate(row)]) for row in content.rows
    ]
    element = tag("table", tag("caption", content.caption), tag("thead", tag("tr", *head)), tag("tbody", *rows))
    long = len(content.rows) > ROWS_OPEN
    return tag(
        "div",
        element,
        class_="scroll long" if long else "scroll",
        tabindex="0",
        role="region",
        aria_label=content.caption,
    )


def _cell(cell: Cell, heading: bool, text: bool) -> Html:
    if isinstance(cell, Number):
        inner = join([_value(cell), tag("small", _under(cell)) if cell.interval or cell.simulated else None])
        return tag("td", inner, class_="n", **_data(cell))
    content = "–" if cell is None else cell
    if heading:
        return tag("th", content, scope="row")
    return tag("td", content, class_=None if text else "n")


def _value(number: Number) -> Html:
    why = f"only {number.n_tail} of {number.n} samples at or above it" if number.hidden else None
    return tag("span", number.text, class_="v", title=why)


def _data(number: Number) -> dict[str, object]:
    """The full value beside the printed one, for readers that are programs."""
    return {"data_name": number.key, "data_value": None if number.value is None else repr(number.value)}


def _json(value: object) -> str:
    """JSON that cannot end the script element it stands in."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def plotly_js() -> str:
    """The library, from the installed plotly package."""
    return _plotly_js()


@cache
def _plotly_js() -> str:
    text = files("plotly").joinpath("package_data", "plotly.min.js").read_text(encoding="utf-8")
    return text.replace("</script", "<\\/script")


@cache
def _asset(name: str) -> str:
    return files("dashboards").joinpath("assets", name).read_text(encoding="utf-8")


__all__ = ["Banner", "Page", "Panel", "Part", "Table", "escape", "render", "table", "write_page"]
