"""The words of a page of HTML: what a proxy, a login or a firewall answers in place of an application."""

from __future__ import annotations

import html
import re

PAGE_BEGINNINGS = ("<!doctype", "<html", "<head")
"""How a page begins, in small letters; an answer of words may begin with another tag (`<think>`)."""
_HIDDEN = re.compile(r"<(script|style|head)\b.*?(</\1\s*>|\Z)|<!--.*?(-->|\Z)", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<[^>]*(>|\Z)")
_TITLE = re.compile(r"<title\b[^>]*>(.*?)(</title|\Z)", re.IGNORECASE | re.DOTALL)


def is_page(text: str) -> bool:
    """Whether a body begins as a page of HTML does."""
    return text.lstrip("\ufeff \t\r\n")[:9].lower().startswith(PAGE_BEGINNINGS)


def page_words(text: str) -> str:
    """What a person reads on a page, on one line; its title where it has no words."""
    title = _TITLE.search(text)
    parts = (title[1] if title else "", _TAG.sub(" ", _HIDDEN.sub(" ", text)))
    named, said = (" ".join(html.unescape(part).replace("\ufeff", "").split()) for part in parts)
    return said or named
