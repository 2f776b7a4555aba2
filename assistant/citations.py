"""Addresses an answer may cite: only those that a search returned; an invented one is no citation."""

from __future__ import annotations

import re

from assistant.tools.spec import Result

_URL = re.compile(r"https?://[^\s<>\"')\]]+")


def urls_of(result: Result) -> set[str]:
    """Addresses of the pages in a tool's result."""
    return {page["url"] for page in result.get("results", ()) if isinstance(page, dict) and "url" in page}


def urls_in(text: str) -> list[str]:
    """Addresses an answer names, in order."""
    return [url.rstrip(".,;:!?") for url in _URL.findall(text)]
