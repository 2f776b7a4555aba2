"""A text of unknown origin is shown in every medium, and obeyed in none."""

import string
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from wire.text import LABEL_LENGTH_MAX, LENGTH_MAX, Untrusted, plotly_chart

ANY = st.text(st.characters(codec=None, categories=None), max_size=60)
"""Every code point, halves of pairs with them."""


def acting(text):
    """Characters of a text that a terminal or a reader's eye would obey."""
    joiners = "\u200c\u200d"
    return [c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") and c not in joiners]


@given(ANY)
def test_no_form_of_one_line_holds_a_character_that_acts(raw):
    text = Untrusted(raw)
    for form in (text.terminal, text.cell, text.sheet, text.markdown, text.plotly, text.label, text.header):
        assert acting(form) == []
        form.encode("utf-8")


@given(st.text(string.ascii_letters + string.digits + " ,;/", max_size=40))
def test_plain_text_stays_as_it_is(raw):
    """Encoding costs an honest name nothing."""
    text = Untrusted(raw)
    assert text.terminal == text.label == text.plotly == text.header == raw
    assert text.html == raw


@pytest.mark.parametrize("raw", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "＝1", "|x", "  =1"])
def test_a_cell_never_begins_as_a_formula(raw):
    assert Untrusted(raw).cell.startswith(("'", "\\t", "\\r"))


@pytest.mark.parametrize("raw", ["-5", "+1e3", "12.5", "us-east-1"])
def test_a_number_written_as_text_stays_a_number(raw):
    assert Untrusted(raw).cell == raw


@given(st.text(string.punctuation + string.ascii_letters + string.digits + " ", min_size=1, max_size=40))
@example("__0__")
@example("a_b__c_")
def test_markdown_shows_the_text_itself(raw):
    """Neither emphasis, nor code, nor link, nor HTML: the reader sees the very characters."""
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(f"> x {Untrusted(raw).markdown}")
    inline = next(token for token in tokens if token.type == "inline")
    assert {child.type for child in inline.children} <= {"text", "text_special"}
    assert "".join(child.content for child in inline.children) == f"x {raw}".rstrip()


@pytest.mark.parametrize(
    "raw", ["# a", "- a", "1. a", "> a", "```", "<img src=x>", "[a](http://b)", "| a |", "---", "+ a"]
)
def test_markdown_at_the_start_of_a_line_begins_nothing(raw):
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(Untrusted(raw).markdown)
    assert [token.type for token in tokens] == ["paragraph_open", "inline", "paragraph_close"]


def test_a_long_text_is_cut_and_says_so():
    assert len(Untrusted("x" * 3_000_000).terminal) < LENGTH_MAX + 40
    assert Untrusted("x" * 3_000_000).label == "x" * LABEL_LENGTH_MAX + "… (3,000,000 characters)"


def test_a_chart_holds_no_markup_but_its_own_hover_text():
    chart = {"data": [{"name": "<a href='x'>", "y": ["<b>", 1.0], "x": [1.0], "hovertemplate": "%{y}<extra></extra>"}]}
    assert plotly_chart(chart)["data"][0] == {
        "name": "&lt;a href='x'&gt;", "y": ["&lt;b&gt;", 1.0], "x": [1.0], "hovertemplate": "%{y}<extra></extra>",
    }  # fmt: skip


@pytest.mark.parametrize("raw", ["a\r\nx-evil: 1", "a\nb", "é"])
def test_a_header_value_is_one_line_of_ascii(raw):
    assert Untrusted(raw).header.isascii()
    assert Untrusted(raw).header.isprintable()
