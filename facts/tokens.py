"""`TokenCounts`: the tokens of model calls by the classes that providers bill. The one list of those classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass, fields


@dataclass(frozen=True)
class TokenCounts:
    """Tokens of one call, or of many together. `input_tokens` are the uncached ones alone."""

    input_tokens: float = 0
    cache_read_tokens: float = 0
    cache_write_tokens_5m: float = 0
    cache_write_tokens_1h: float = 0
    output_tokens: float = 0

    def __add__(self, other: TokenCounts) -> TokenCounts:
        return TokenCounts(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    @property
    def prompt_tokens(self) -> float:
        """Everything that went in: uncached, read from a cache, and written to one."""
        return self.input_tokens + self.cache_read_tokens + self.cache_write_tokens_5m + self.cache_write_tokens_1h

    @property
    def cache_hit_token_ratio(self) -> float | None:
        """Input tokens read from a cache over all input tokens; None without input."""
        return self.cache_read_tokens / self.prompt_tokens if self.prompt_tokens else None

    @classmethod
    def of(cls, row: Mapping[str, float | None]) -> TokenCounts:
        """From a row with these columns; unknown ones count as none."""
        return cls(**{name: row.get(name) or 0 for name in TOKEN_CLASSES})


TOKEN_CLASSES = tuple(field.name for field in fields(TokenCounts))
"""Their names, which are also the columns of every record: uncached input, cache read, writes by TTL, output."""
PROMPT_CLASSES = TOKEN_CLASSES[:-1]
"""Those that together are the prompt."""
