"""Addresses an answer may cite: only those that a search returned; an invented one is no citation."""

from __future__ import annotations

import re

from assistant.tools.spec import Result

_URL = re.compile(r"https?://[^\s<>\"')\]]+")


def urls_of(result: Result) -> set[str]:
    """Addresses of the pages in a tool's result."""
    pages = result.get("results")
    rows = pages if isinstance(pages, (list, tuple)) else ()
    return {str(page["url"]) for page in rows if isinstance(page, dict) and "url" in page}


def urls_in(text: str) -> list[str]:
    """Addresses an answer names, in order."""
    return [url.rstrip(".,;:!?") for url in _URL.findall(text)]
