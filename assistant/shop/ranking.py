"""Word search over a few thousand short texts, in memory: an inverted index with idf weights.

Score of a document = sum over the query's words of idf(word) x its weight in the document, over words that occur at
all; idf = ln(1 + n / df). A title word weighs more than a body word. Ties break by position, so results are stable.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np

_WORD = re.compile(r"[a-z0-9]+")
_STOP = frozenset({
    "a", "an", "and", "are", "as", "at", "be", "by", "can", "do", "does", "for", "from", "get", "give", "have",
    "how", "i", "in", "is", "it", "its", "me", "my", "need", "of", "on", "or", "our", "please", "show", "some",
    "that", "the", "them", "these", "this", "to", "under", "want", "we", "what", "when", "where", "which", "who",
    "with", "would", "you", "your",
})  # fmt: skip


def words(text: str) -> list[str]:
    """Lower-cased words, plural s removed, stop words left out."""
    return [word[:-1] if len(word) > 3 and word.endswith("s") else word for word in _raw(text)]


def _raw(text: str) -> list[str]:
    return [word for word in _WORD.findall(text.lower()) if word not in _STOP]


class WordIndex:
    """Index over documents given as fields with weights."""

    def __init__(self, documents: Sequence[Sequence[tuple[str, float]]]) -> None:
        postings: dict[str, dict[int, float]] = {}
        for row, document in enumerate(documents):
            for text, weight in document:
                for word in words(text):
                    rows = postings.setdefault(word, {})
                    rows[row] = max(weight, rows.get(row, 0.0))
        self._size = len(documents)
        self._postings = {
            word: (np.fromiter(rows, np.int32, len(rows)), np.fromiter(rows.values(), np.float32, len(rows)))
            for word, rows in postings.items()
        }

    def search(self, query: str, limit: int, allowed: np.ndarray | None = None) -> list[int]:
        """Row numbers of the best matches, best first. `allowed`: bool[n], rows that may be returned."""
        scores = np.zeros(self._size, np.float32)
        for word in set(words(query)):
            if word in self._postings:
                rows, weights = self._postings[word]
                scores[rows] += weights * math.log(1 + self._size / len(rows))
        if allowed is not None:
            scores[~allowed] = 0.0
        found = np.flatnonzero(scores)
        return [int(row) for row in found[np.argsort(-scores[found], kind="stable")[:limit]]]
