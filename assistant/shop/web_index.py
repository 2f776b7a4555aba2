"""A small web of our own: cited pages for `web_search` where no model can ground."""

from __future__ import annotations

from collections.abc import Sequence

from assistant.shop.ranking import WordIndex
from assistant.shop.rows import Page


class WebIndex:
    """Pages by words of their title and body."""

    def __init__(self, documents: Sequence[Page]) -> None:
        self._documents = documents
        self._index = WordIndex([((page["title"], 2.0), (page["body"], 1.0)) for page in documents])

    def search(self, query: str, limit: int) -> list[dict[str, str]]:
        """Best matching pages with their URL, best first."""
        return [
            {"url": page["url"], "title": page["title"], "text": page["body"][:600]}
            for page in (self._documents[row] for row in self._index.search(query, limit))
        ]
