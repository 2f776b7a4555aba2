"""Text that somebody else wrote, in the form that each medium shows it without obeying it.

A target names its models, its error codes and its labels; a record may come from another machine. Whoever writes a
view passes every such text through `Untrusted` and takes the property of the medium: a terminal runs no escape, a
spreadsheet no formula, a page, a chart and a table of markdown no markup, and no reader is misled by reversed writing.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

LENGTH_MAX = 2_000
"""Characters of one text in a view; the record keeps what it holds. A choice of ours: twenty lines of a terminal."""
LABEL_LENGTH_MAX = 200
"""Characters of one metric label: a label is a series of its own. A choice of ours."""
_FORMULA_STARTS = "=+-@|%\t\r\n＝＋－＠"
"""A spreadsheet reads a cell that begins so as a formula or a command (OWASP, CSV Injection, read 2026-11-28)."""
_MARKDOWN = re.compile(
    r"[\\`*\[\]<>|~&:@#!]|(?<![^\W_])_|_(?![^\W_])|(?<=[wW]{3})\.|^[-+=]|(?<=^\d)[.)]|(?<=^\d\d)[.)]"
)
"""ASCII punctuation that GitHub's markdown acts on, within a line, in a link it finds by itself, or at a line's start
(CommonMark 0.31.2, section 2.4: a backslash before it makes it text)."""
_JOINERS = "\u200c\u200d"
"""Letters of Hindi and Persian join by them; they turn no text around."""
_PLOTLY_MARKUP = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


@dataclass(frozen=True, slots=True)
class Untrusted:
    """One text of unknown origin. Take the property of the medium; `raw` is for records and comparisons alone."""

    raw: str

    @property
    def line(self) -> str:
        """One line: no control or format character acts, each is spelled out; long texts are cut and say so."""
        return _visible(_cut(self.raw, LENGTH_MAX), keep="")

    @property
    def terminal(self) -> str:
        """For a terminal: no escape sequence, no line break, no reversed writing."""
        return self.line

    @property
    def html(self) -> str:
        """For an HTML text or a quoted attribute, escaped."""
        return html.escape(self.html_text)

    @property
    def html_text(self) -> str:
        """For a template that escapes by itself; lines stay lines."""
        return _visible(_cut(self.raw, 10 * LENGTH_MAX), keep="\n\t")

    @property
    def cell(self) -> str:
        """For a CSV cell: a text that a spreadsheet would calculate begins with an apostrophe."""
        text = self.line
        risky = self.raw.lstrip(" \ufeff").startswith(tuple(_FORMULA_STARTS)) and not _is_number(text)
        return f"'{text}" if risky else text

    @property
    def sheet(self) -> str:
        """For an XLSX cell written as a string: it is never calculated, and holds no character XML cannot."""
        return self.line

    @property
    def markdown(self) -> str:
        """For a line or a table cell of GitHub's markdown: no markup, no link, no mention, no HTML."""
        return _MARKDOWN.sub(r"\\\g<0>", self.line)

    @property
    def xml(self) -> str:
        """For a writer of XML that escapes by itself: without what XML 1.0 cannot hold; lines stay lines."""
        return _visible(_cut(self.raw, 10 * LENGTH_MAX), keep="\n\t")

    @property
    def plotly(self) -> str:
        """For a name, tick or note of a chart: Plotly reads links and markup in them."""
        return self.line.translate(_PLOTLY_MARKUP)

    @property
    def label(self) -> str:
        """For a label of a metric; the exposition escapes quotes by itself."""
        return _visible(_cut(self.raw, LABEL_LENGTH_MAX), keep="")

    @property
    def header(self) -> str:
        """For the value of an HTTP header: visible ASCII, nothing that ends a line."""
        return "".join(c if " " <= c <= "~" else "?" for c in _cut(self.raw, LENGTH_MAX))


def plotly_chart(chart: Mapping[str, object]) -> dict[str, object]:
    """A figure whose every text is safe to draw; templates of hover texts are ours and stay."""
    return {key: value if key == "hovertemplate" else _plotly_value(value) for key, value in chart.items()}


def _plotly_value(value: object) -> object:
    if isinstance(value, str):
        return Untrusted(value).plotly
    if isinstance(value, Mapping):
        return plotly_chart(value)
    if isinstance(value, list | tuple):
        return value if value and isinstance(value[0], float | int) else [_plotly_value(item) for item in value]
    return value


def _cut(text: str, length: int) -> str:
    if len(text) <= length:
        return text
    return f"{text[:length]}… ({len(text):,} characters)"


def _visible(text: str, keep: str) -> str:
    """Characters that act in place of being seen (controls, formats, halves of pairs, no characters) spelled out."""
    if text.isprintable():  # none of the categories of `_acts`
        return text
    return "".join(c if c in keep or not _acts(c) else _spelled(c) for c in text)


def _acts(character: str) -> bool:
    category = unicodedata.category(character)
    if character in _JOINERS:
        return False
    return category in ("Cc", "Cf", "Cs", "Zl", "Zp") or (category == "Cn" and (ord(character) & 0xFFFE) == 0xFFFE)


def _spelled(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
