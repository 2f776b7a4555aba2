"""Tokens of a text: its UTF-8 bytes over a ratio per model, rounded up for each content block.

Deterministic, additive over content blocks, never smaller for a longer text (prefix-stable). It is no real tokenizer:
what a real one counts is a measurement (docs/emulator.md).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TokenRule:
    """How one model counts. `bytes_per_token` has at most one decimal, so that answers can be cut to an exact count."""

    bytes_per_token: float
    image_tokens: int

    def __post_init__(self) -> None:
        if self.bytes_per_token < 1 or round(self.bytes_per_token * 10) != self.bytes_per_token * 10:
            raise ValueError(f"bytes_per_token is {self.bytes_per_token}, expected >= 1 with at most one decimal")

    def text(self, data: bytes | str) -> int:
        """Tokens of one content block."""
        size = len(data if isinstance(data, bytes) else data.encode())
        tenths = round(self.bytes_per_token * 10)
        return -(-size * 10 // tenths)

    def cut(self, text: str, tokens: int | None) -> str:
        """The longest beginning of a text that counts as `tokens` at most; all of it for None."""
        data = text.encode()
        if tokens is None or self.text(data) <= tokens:
            return text
        return data[: self.bytes_for(tokens)].decode("utf-8", "ignore")

    def bytes_for(self, tokens: int) -> int:
        """The most bytes that count as `tokens`; for every n >= 1, text(bytes_for(n)) == n."""
        return tokens * round(self.bytes_per_token * 10) // 10
