"""A workbook of our house style: sheets written row by row, every formula with its cached value, made to be printed."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.utility import xl_rowcol_to_cell

from dashboards.workbook.formula import Expr
from wire.text import Untrusted

Cell = Expr | str | float | int | bool | None

_INK, _QUIET, _RULE = "#17191C", "#565C64", "#C9CCD1"
_BASE = {"font_name": "Calibri", "font_size": 10, "font_color": _INK, "valign": "top"}
STYLES: dict[str, dict[str, object]] = {
    "text": {"text_wrap": True, "indent": 1},
    "title": {"font_size": 16, "bold": True},
    "note": {"font_color": _QUIET, "italic": True},
    "head": {"bold": True, "font_color": _QUIET, "bottom": 1, "bottom_color": _RULE, "text_wrap": True},
    "section": {"bold": True, "font_size": 11, "top": 2},
    "number": {"num_format": "#,##0.####"},
    "whole": {"num_format": "#,##0"},
    "usd": {"num_format": '"$"#,##0.00####'},
    "ratio": {"num_format": "0.0%"},
    "check": {"bold": True, "align": "center"},
    "input": {"num_format": "#,##0.######", "bg_color": "#EAF1FB", "border": 1, "border_color": "#9DBBE3"},
}
"""`input` cells are the only ones to type into."""
_OPTIONS = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
"""Text is text: no string becomes a formula or a link, whatever it begins with."""
_LINE_POINTS = 13.5
"""Height of one line of our font."""
_SIMULATED = {"font_color": "#7A4B00", "bg_color": "#FDF1DC"}


class Book:
    """An open workbook; close it by leaving its `with` block."""

    def __init__(self, out: Path, title: str) -> None:
        self.file = xlsxwriter.Workbook(str(out), _OPTIONS)
        self.file.set_properties(
            {"title": title, "author": "peakday", "comments": "Recalculates when an input changes"}
        )
        self.file.set_calc_mode("auto")
        self._formats: dict[tuple[str, bool], Format] = {}
        self.names: set[str] = set()

    def __enter__(self) -> Book:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def style(self, name: str, *, simulated: bool = False) -> Format:
        """A cell format by its name; simulated cells keep it on an amber ground."""
        key = (name, simulated)
        if key not in self._formats:
            self._formats[key] = self.file.add_format({**_BASE, **STYLES[name], **(_SIMULATED if simulated else {})})
        return self._formats[key]

    def sheet(self, name: str, note: str, widths: Sequence[int]) -> Sheet:
        """A new sheet with its title, a line that says what it holds, and column widths in characters."""
        return Sheet(self, name, note, widths)

    def define(self, name: str, reference: str) -> None:
        """Give a cell its defined name."""
        self.file.define_name(name, f"={reference}")
        self.names.add(name)


class Sheet:
    """One sheet, filled from the top."""

    def __init__(self, book: Book, name: str, note: str, widths: Sequence[int]) -> None:
        self.book, self.name, self._widths = book, name, tuple(widths)
        self.page = book.file.add_worksheet(name)
        self.row = 0
        for column, width in enumerate(widths):
            self.page.set_column(column, column, width)
        self.line(name, style="title")
        self.line(note, style="note")
        self.row += 1
        self.page.hide_gridlines(2)
        self.page.set_landscape()
        self.page.set_paper(9)
        self.page.fit_to_pages(1, 0)
        self.page.set_footer("&L&8peakday&C&8&A&R&8page &P of &N")

    def line(self, text: str, style: str = "text") -> None:
        """A line of text over the columns."""
        self.page.write_string(self.row, 0, Untrusted(text).sheet, self.book.style(style))
        self.row += 1

    def paragraph(self, text: str) -> None:
        """A text that may be long, over all columns, in as many lines as it takes."""
        form, text = self.book.style("text"), Untrusted(text).sheet
        self.page.merge_range(self.row, 0, self.row, len(self._widths) - 1, "", form)
        self.page.write_string(self.row, 0, text, form)
        self._make_room(self.row, _lines(text, sum(self._widths)))
        self.row += 1

    def _make_room(self, row: int, lines: int) -> None:
        """Not every program finds the height of wrapped text by itself."""
        if lines > 1:
            self.page.set_row(row, _LINE_POINTS * lines)

    def head(self, columns: Sequence[str | None]) -> None:
        """Column names, repeated on every printed page."""
        for column, text in enumerate(columns):
            if text is None:
                self.page.write_blank(self.row, column, None, self.book.style("head"))
            else:
                self.page.write_string(self.row, column, Untrusted(text).sheet, self.book.style("head"))
        self.page.repeat_rows(self.row)
        self.row += 1

    def write(
        self, cells: Sequence[Cell], styles: Sequence[str], simulated: Sequence[bool] | bool = False
    ) -> list[Expr]:
        """One row. Returns a reference to each cell, carrying its value, for other formulas."""
        marks = [simulated] * len(cells) if isinstance(simulated, bool) else simulated
        references = [self._put(i, cell, styles[i], marks[i]) for i, cell in enumerate(cells)]
        texts = zip(cells, self._widths, strict=False)
        self._make_room(
            self.row, max((_lines(cell, width) for cell, width in texts if isinstance(cell, str)), default=1)
        )
        self.row += 1
        return references

    def _put(self, column: int, cell: Cell, style: str, simulated: bool) -> Expr:
        form = self.book.style(style, simulated=simulated)
        value = cell.value if isinstance(cell, Expr) else cell
        if isinstance(cell, Expr):
            self.page.write_formula(self.row, column, f"={cell.text}", form, value)
        elif cell is None:
            self.page.write_blank(self.row, column, None, form)
        elif isinstance(cell, bool):
            self.page.write_boolean(self.row, column, cell, form)
        elif isinstance(cell, str):
            self.page.write_string(self.row, column, Untrusted(cell).sheet, form)
        else:
            self.page.write_number(self.row, column, cell, form)
        return Expr(
            f"{self.name}!{xl_rowcol_to_cell(self.row, column, True, True)}", value if value is not None else ""
        )


def _lines(text: str, width: int) -> int:
    """Lines that a text takes in a column so many digits wide: letters are narrower, but words do not fill a line."""
    return max(1, math.ceil(len(text) / (1.05 * width)))


def name_of(*parts: str) -> str:
    """A defined name from parts: `rate__custom_8b__us_east_1`."""
    return "__".join(re.sub(r"[^A-Za-z0-9]+", "_", part).strip("_") for part in parts)
