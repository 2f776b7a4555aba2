"""A page as a DOCX, for signature: the same parts, sentences and tables as its HTML."""

from __future__ import annotations

import io

from docx import Document
from docx.document import Document as WordDocument
from docx.enum.section import WD_ORIENT
from docx.shared import Pt

from dashboards.html.page import Bullets, Page, Panel, Paragraph, Prose, Table
from peakday.ready.markdown import cell_text
from wire.text import Untrusted

FONT_PT = 9
TABLE_PT = 7.5


def page_docx(page: Page) -> bytes:
    """The file's bytes; every text from outside is text alone, without characters that XML cannot hold."""
    document = Document()
    _landscape(document)
    document.styles["Normal"].font.size = Pt(FONT_PT)
    document.add_heading(_text(page.title), 0)
    document.add_paragraph(_text(page.subtitle))
    for banner in page.banners:
        document.add_paragraph().add_run(f"{_text(banner.word)}: {_text(banner.text)}").bold = True
        for reason in banner.reasons:
            document.add_paragraph(_text(reason), style="List Bullet")
    for name, value in page.facts:
        document.add_paragraph(f"{_text(name)}: {_text(value)}")
    for part in page.parts:
        document.add_heading(_text(part.title), 1)
        for item in part.lead:
            _prose(document, item)
        for panel in part.panels:
            _panel(document, panel)
    stream = io.BytesIO()
    document.save(stream)
    return stream.getvalue()


def _landscape(document: WordDocument) -> None:
    section = document.sections[0]
    section.orientation = WD_ORIENT.LANDSCAPE
    section.page_width, section.page_height = section.page_height, section.page_width


def _panel(document: WordDocument, panel: Panel) -> None:
    document.add_heading(_text(panel.title), 2)
    document.add_paragraph(_text(panel.sentence))
    if panel.table is not None:
        _table(document, panel.table)


def _table(document: WordDocument, table: Table) -> None:
    made = document.add_table(rows=1, cols=len(table.columns), style="Table Grid")
    for cell, name in zip(made.rows[0].cells, table.columns, strict=True):
        cell.paragraphs[0].add_run(_text(name)).bold = True
    for row in table.rows:
        for cell, value in zip(made.add_row().cells, row, strict=True):
            cell.text = _text(cell_text(value))
    for line in made.rows:
        for cell in line.cells:
            for run in cell.paragraphs[0].runs:
                run.font.size = Pt(TABLE_PT)


def _prose(document: WordDocument, item: Prose) -> None:
    if isinstance(item, Bullets):
        for text in item.items:
            document.add_paragraph(_text(text), style="List Number" if item.numbered else "List Bullet")
    elif isinstance(item, Paragraph):
        paragraph = document.add_paragraph()
        if item.lead:
            paragraph.add_run(f"{_text(item.lead)} ").bold = True
        paragraph.add_run(_text(item.text))
    else:
        document.add_paragraph(_text(item.text))


def _text(text: str) -> str:
    return Untrusted(text).xml
