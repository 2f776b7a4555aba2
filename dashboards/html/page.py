"""What a page is made of, as values; `render` turns one into a file.

A page is a head (what it is and whether to believe it) and parts; a part has panels; a panel is one sentence that
says what to see, one chart and the table of the same numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from dashboards.html.charts import Chart
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

    @property
    def long(self) -> bool:
        """True when it scrolls in a box of its own."""
        return len(self.rows) > ROWS_OPEN

    @property
    def breadth(self) -> int:
        """Columns, those that print an interval or a mark under the number counted twice."""
        cells = [(i, cell) for row in self.rows for i, cell in enumerate(row) if isinstance(cell, Number)]
        marked_columns = {i for i, cell in cells if cell.interval or cell.simulated}
        return len(self.columns) + (len(marked_columns) if len(marked_columns) > 1 else 0)


@dataclass(frozen=True)
class Panel:
    """What to see, in one sentence; the chart; the table. A panel without a chart is a table."""

    title: str
    sentence: str
    table: Table | None = None
    chart: Chart | None = None
    anchor: str = ""

    @property
    def arrangement(self) -> str:
        """A narrow table stands beside its chart, a wide one under it."""
        if self.table is None:
            return ""
        if self.table.breadth > BESIDE_BREADTH_MAX:
            return "wide"
        return "pair" if self.chart is not None else "solo"


@dataclass(frozen=True)
class Paragraph:
    """One paragraph; `lead` stands before it in bold, `quiet` is the tone of a panel's sentence."""

    kind: ClassVar[str] = "paragraph"
    text: str
    lead: str = ""
    quiet: bool = False


@dataclass(frozen=True)
class Bullets:
    """A list, numbered where the order says something."""

    kind: ClassVar[str] = "bullets"
    items: Sequence[str]
    numbered: bool = False


@dataclass(frozen=True)
class Preformatted:
    """Text whose lines stay as they are."""

    kind: ClassVar[str] = "preformatted"
    text: str


Prose = Paragraph | Bullets | Preformatted


@dataclass(frozen=True)
class Part:
    """A chapter of the page: an anchor, a title and its panels; `lead` is shown before them."""

    anchor: str
    title: str
    panels: Sequence[Panel] = ()
    lead: Sequence[Prose] = ()


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
    subtitle: str
    banners: Sequence[Banner]
    headline: Sequence[Number]
    parts: Sequence[Part]
    facts: Sequence[tuple[str, str]] = field(default=())
    links: Mapping[str, str] = field(default_factory=dict)
    """Key of a number -> anchor of the panel that says where it comes from."""
    command: str = ""
    """What made the page, or makes it again."""


def marked(part: Part, mark: str = "SIMULATED") -> Part:
    """The part with a mark in the caption of every table: its numbers come from rows, which carry none."""
    panels = [
        replace(panel, table=replace(panel.table, caption=f"{panel.table.caption} · {mark}")) if panel.table else panel
        for panel in part.panels
    ]
    return replace(part, panels=panels)
