"""The prefix cache of an engine: fixed-size token blocks by chained hash, least recently used out first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable, Sequence


class BlockCache:
    """A request hits the leading blocks of its prompt that are held. `max_blocks` None = never evicts."""

    def __init__(self, max_blocks: int | None) -> None:
        self.max_blocks = max_blocks
        self._held: OrderedDict[Hashable, None] = OrderedDict()
        self.queried = 0
        self.hit = 0

    def __len__(self) -> int:
        return len(self._held)

    def hits(self, blocks: Sequence[Hashable]) -> int:
        """How many leading blocks are held, judged before the request is added; counted for the hit rate."""
        found = 0
        for block in blocks:
            if block not in self._held:
                break
            found += 1
        self.queried += len(blocks)
        self.hit += found
        return found

    def add(self, blocks: Iterable[Hashable]) -> None:
        """Hold these blocks as the most recently used, in this order."""
        held = self._held
        for block in blocks:
            held[block] = None
            held.move_to_end(block)
            if self.max_blocks is not None and len(held) > self.max_blocks:
                held.popitem(last=False)

    def clear(self) -> None:
        """Forget every block and count."""
        self._held.clear()
        self.queried = self.hit = 0


def chain(data: bytes, block_bytes: int) -> list[int]:
    """Chained hashes of the whole blocks of `data`; a last part of a block has none."""
    hashes, value = [], 0
    for start in range(0, len(data) - block_bytes + 1, block_bytes):
        value = hash((value, data[start : start + block_bytes]))
        hashes.append(value)
    return hashes
