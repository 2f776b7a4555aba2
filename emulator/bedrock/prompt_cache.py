"""A provider's prompt cache: an entry at each cache point, the longest live prefix read, TTL renewed by a hit.

Prefixes are chained hashes over tools, system and messages, so a change invalidates everything after it. A prefix under
the model's minimum is silently not cached. An entry can be read once the request that wrote it has ended its prefill;
until then an equal request misses and writes too. An entry is live while its age <= TTL.
Source: Bedrock User Guide, prompt caching; facts/data/cache_rules.csv.
"""

from __future__ import annotations

from dataclasses import dataclass

TTL_S = {"5m": 300.0, "1h": 3600.0}
_INSERTS_PER_SWEEP = 4096


@dataclass(frozen=True)
class Boundary:
    """The end of one content block: hash of everything up to it, and its cumulative tokens."""

    prefix: bytes
    tokens: int


@dataclass(frozen=True)
class Point:
    """A cache point after the boundary of this index (-1: before everything) with its TTL."""

    index: int
    ttl: str = "5m"


@dataclass(frozen=True)
class CacheUse:
    """What one request reads and writes, in tokens; `entries` become readable when its prefill ends."""

    read: int = 0
    write_5m: int = 0
    write_1h: int = 0
    entries: tuple[tuple[bytes, str], ...] = ()

    @property
    def write(self) -> int:
        """Tokens written, of either TTL."""
        return self.write_5m + self.write_1h


class PromptCache:
    """Entries of one account, region, model and shard."""

    def __init__(self, min_tokens: int, lookback_blocks: int) -> None:
        self._min_tokens = min_tokens
        self._lookback = lookback_blocks
        self._expires_s: dict[bytes, tuple[float, str]] = {}
        self._inserts = 0

    def __len__(self) -> int:
        return len(self._expires_s)

    def look_up(self, boundaries: list[Boundary], points: list[Point], now_s: float, cold: bool = False) -> CacheUse:
        """What a request with these cache points reads now, and will have written once its prefill ends.

        `cold`: it finds nothing, whatever is there.
        """
        usable = [point for point in points if point.index >= 0 and boundaries[point.index].tokens >= self._min_tokens]
        hit = -1 if cold else self._longest_live(boundaries, usable, now_s)
        read = boundaries[hit].tokens if hit >= 0 else 0
        written, done, entries = {"5m": 0, "1h": 0}, read, []
        for point in usable:
            boundary = boundaries[point.index]
            if point.index <= hit:
                self._renew(boundary.prefix, now_s)
                continue
            written[point.ttl] += boundary.tokens - done
            done = boundary.tokens
            entries.append((boundary.prefix, point.ttl))
        return CacheUse(read, written["5m"], written["1h"], tuple(entries))

    def store(self, use: CacheUse, now_s: float) -> None:
        """The request's prefill ended: its entries are readable from now on."""
        for prefix, ttl in use.entries:
            self._expires_s[prefix] = (now_s + TTL_S[ttl], ttl)
        self._inserts += len(use.entries)
        if self._inserts >= _INSERTS_PER_SWEEP:
            self._inserts = 0
            self._expires_s = {key: entry for key, entry in self._expires_s.items() if entry[0] >= now_s}

    def age(self, by_s: float) -> None:
        """Let every entry be older by so many seconds."""
        self._expires_s = {key: (expires_s - by_s, ttl) for key, (expires_s, ttl) in self._expires_s.items()}

    def _longest_live(self, boundaries: list[Boundary], points: list[Point], now_s: float) -> int:
        for point in reversed(points):
            for index in range(point.index, max(-1, point.index - self._lookback - 1), -1):
                entry = self._expires_s.get(boundaries[index].prefix)
                if entry is not None and now_s <= entry[0]:
                    self._renew(boundaries[index].prefix, now_s)
                    return index
        return -1

    def _renew(self, prefix: bytes, now_s: float) -> None:
        entry = self._expires_s.get(prefix)
        if entry is not None and now_s <= entry[0]:
            self._expires_s[prefix] = (now_s + TTL_S[entry[1]], entry[1])
