"""A small web of our own: cited pages for `web_search` where no model can ground."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from assistant.shop.ranking import WordIndex


class WebIndex:
    """Pages by words of their title and body."""

    def __init__(self, documents: Sequence[dict[str, Any]]) -> None:
        self._documents = documents
        self._index = WordIndex([((page["title"], 2.0), (page["body"], 1.0)) for page in documents])

    def search(self, query: str, limit: int) -> list[dict[str, Any]]:
        """Best matching pages with their URL, best first."""
        return [
            {"url": page["url"], "title": page["title"], "text": page["body"][:600]}
            for page in (self._documents[row] for row in self._index.search(query, limit))
        ]
