"""A page as Markdown, for a pull request or a wiki: the same parts, sentences and tables as its HTML."""

from __future__ import annotations

from collections.abc import Iterator

from dashboards.html.page import Bullets, Cell, Page, Panel, Paragraph, Prose, Table
from dashboards.numbers.run import Number
from wire.text import Untrusted


def page_markdown(page: Page) -> str:
    """The whole page; every text from outside is text alone."""
    lines = [f"# {_text(page.title)}", "", _text(page.subtitle), ""]
    for banner in page.banners:
        lines += [f"> **{_text(banner.word)}** {_text(banner.text)}", *[f"> - {_text(r)}" for r in banner.reasons], ""]
    lines += [f"- **{_text(name)}**: {_text(value)}" for name, value in page.facts]
    for part in page.parts:
        lines += ["", f"## {_text(part.title)}", ""]
        lines += [line for item in part.lead for line in _prose(item)]
        lines += [line for panel in part.panels for line in _panel(panel)]
    return "\n".join(lines) + "\n"


def _panel(panel: Panel) -> Iterator[str]:
    yield from (f"### {_text(panel.title)}", "", _text(panel.sentence), "")
    if panel.table is not None:
        yield from _table(panel.table)


def _table(table: Table) -> Iterator[str]:
    yield "| " + " | ".join(_text(name) for name in table.columns) + " |"
    yield "|" + "---|" * len(table.columns)
    for row in table.rows:
        yield "| " + " | ".join(_text(cell_text(cell)) for cell in row) + " |"
    yield ""


def _prose(item: Prose) -> list[str]:
    if isinstance(item, Bullets):
        return [*[f"{'1.' if item.numbered else '-'} {_text(text)}" for text in item.items], ""]
    if isinstance(item, Paragraph):
        lead = f"**{_text(item.lead)}** " if item.lead else ""
        return [f"{lead}{_text(item.text)}", ""]
    return [*[f"    {Untrusted(line).terminal}" for line in item.text.splitlines()], ""]


def cell_text(cell: Cell) -> str:
    """A cell as it is printed: a number with its interval and its mark."""
    if not isinstance(cell, Number):
        return cell or ""
    marks = [cell.text, *([f"({cell.interval})"] if cell.interval else []), *(["SIMULATED"] if cell.simulated else [])]
    return " ".join(marks)


def _text(text: str) -> str:
    return Untrusted(text).markdown
