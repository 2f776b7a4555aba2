"""What the emulator says: text about the catalogue's products, cut so that an answer has an exact number of tokens."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

from emulator.language.tokens import TokenRule

_CHUNKS = 2000
_STRIDE = 10  # answers start at multiples of it, where a cut is a whole number of bytes: the ratio has one decimal
_FALLBACK = (
    "This one is rated highly by other customers and is in stock. ",
    "It arrives in two days and can be returned within thirty days. ",
    "Compared with the one you viewed earlier it is lighter and costs less. ",
    "Its price has been lower twice in the last ninety days. ",
)


def sentences(catalogue: Path | None) -> tuple[str, ...]:
    """Sentences about products of the catalogue, ASCII; a few general ones when there is none."""
    if catalogue is None or not catalogue.exists():
        return _FALLBACK
    with sqlite3.connect(f"file:{catalogue}?mode=ro", uri=True) as store:
        rows = store.execute(
            "SELECT title, brand, price, rating, description FROM products ORDER BY product_id LIMIT 300"
        )
        found = tuple(
            f"The {title} by {brand} costs {price:.2f} and is rated {rating:.1f}. {description} "
            for title, brand, price, rating, description in rows
        )
    store.close()
    return tuple(text.encode("ascii", "replace").decode() for text in found) or _FALLBACK


class Corpus:
    """A long text in chunks of `tokens_per_chunk` tokens of one model, each rendered once."""

    def __init__(
        self, source: tuple[str, ...], rule: TokenRule, tokens_per_chunk: int, render: Callable[[str, int], bytes]
    ) -> None:
        self.rule, self.tokens_per_chunk = rule, tokens_per_chunk
        self._render = render
        size = rule.bytes_for(_CHUNKS * tokens_per_chunk)
        once = "".join(source)
        self._text = (once * (size // len(once) + 1))[:size]
        self._units = [render(self._chunk(index), index) for index in range(_CHUNKS)]

    def answer(self, tokens: int, start: int) -> tuple[str, list[bytes]]:
        """Text of exactly `tokens` tokens and its rendered chunks, from a place in the corpus chosen by `start`."""
        first = start * _STRIDE % _CHUNKS
        whole, rest = divmod(tokens, self.tokens_per_chunk)
        units: list[bytes] = []
        at, left = first, whole
        while left > 0:
            units += self._units[at : at + left]
            left = whole - len(units)
            at = 0
        begin = self.rule.bytes_for(first * self.tokens_per_chunk)
        text = self._slice(begin, self.rule.bytes_for(tokens))
        if rest:
            tail = text[self.rule.bytes_for(whole * self.tokens_per_chunk) :]
            units.append(self._render(tail, whole))
        return text, units

    def say(self, text: str) -> list[bytes]:
        """These very words, as one rendered chunk."""
        return [self._render(text, 0)]

    def speak(self, text: str) -> list[bytes]:
        """These very words in chunks of the model's size, each rendered; never none."""
        return [self._render(piece, index) for index, piece in enumerate(self.pieces(text))]

    def pieces(self, text: str) -> list[str]:
        """A text in chunks of the model's size; never none."""
        data, pieces, begin, number = text.encode(), [], 0, 0
        while begin < len(data):
            number += 1
            end = min(max(self.rule.bytes_for(number * self.tokens_per_chunk), begin + 1), len(data))
            while end < len(data) and data[end] & 0xC0 == 0x80:  # within a letter of several bytes
                end += 1
            pieces.append(data[begin:end].decode())
            begin = end
        return pieces or [""]

    def _chunk(self, index: int) -> str:
        cut = self.rule.bytes_for
        return self._text[cut(index * self.tokens_per_chunk) : cut((index + 1) * self.tokens_per_chunk)]

    def _slice(self, begin: int, size: int) -> str:
        text = self._text[begin : begin + size]
        while len(text) < size:
            text += self._text[: size - len(text)]
        return text
