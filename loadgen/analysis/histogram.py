"""Log-linear histograms of seconds: exact to under 0.8% at any size, and merged by addition.

A bin is the exponent and the first seven bits of the mantissa of the float itself, so binning a million values is one
view, one shift and one count. Workers send cumulative snapshots: losing one, or getting one twice, changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

_MANTISSA_BITS = 52
_SUB_BITS = 7
_SHIFT = _MANTISSA_BITS - _SUB_BITS
_LOWEST_S = 2.0**-20  # 0.95 microseconds; all below falls in the first bin
_OCTAVES = 33  # up to 2.3 hours; all above falls in the last bin
_BASE = int(np.float64(_LOWEST_S).view(np.int64)) >> _SHIFT
BINS = _OCTAVES << _SUB_BITS
RELATIVE_WIDTH = 2.0**-_SUB_BITS


class Histogram:
    """Counts of values in seconds, int64[BINS]."""

    __slots__ = ("counts",)

    def __init__(self, counts: np.ndarray | None = None) -> None:
        self.counts = np.zeros(BINS, dtype=np.int64) if counts is None else counts

    def add(self, values_s: np.ndarray) -> None:
        """Count float64 values; those at or below zero fall in the first bin."""
        bits = np.maximum(values_s, _LOWEST_S).view(np.int64) >> _SHIFT
        self.counts += np.bincount(np.minimum(bits - _BASE, BINS - 1), minlength=BINS)

    def merge(self, other: Histogram) -> None:
        """Add another's counts."""
        self.counts += other.counts

    @property
    def n(self) -> int:
        """Values counted."""
        return int(self.counts.sum())

    def quantile(self, share: float) -> float | None:
        """Upper edge of the bin that holds the order statistic at `share`; None when empty."""
        n = self.n
        if not n:
            return None
        rank = max(1, int(np.ceil(round(share * n, 9))))
        return upper_edge_s(int(np.searchsorted(np.cumsum(self.counts), rank)))

    def to_json(self) -> dict[str, list[int]]:
        """The bins in use and their counts."""
        used = np.flatnonzero(self.counts)
        return {"bins": used.tolist(), "counts": self.counts[used].tolist()}

    @classmethod
    def from_json(cls, raw: Mapping[str, Sequence[int]]) -> Histogram:
        """The inverse of `to_json`."""
        histogram = cls()
        histogram.counts[np.asarray(raw["bins"], dtype=np.int64)] = raw["counts"]
        return histogram


def upper_edge_s(index: int) -> float:
    """Upper edge of a bin, in seconds."""
    return float(np.int64((index + 1 + _BASE) << _SHIFT).view(np.float64))


class Snapshots:
    """The newest snapshot of each worker, and their sum.

    A snapshot is cumulative: `{"worker": int, "seq": int, "counters": {name: number}, "histograms": {metric: …}}`.
    """

    def __init__(self) -> None:
        self.latest: dict[int, Mapping[str, Any]] = {}

    def accept(self, snapshot: Mapping[str, Any]) -> bool:
        """Keep it when it is newer than what its worker sent before; say whether it was."""
        known = self.latest.get(snapshot["worker"])
        if known is not None and known["seq"] >= snapshot["seq"]:
            return False
        self.latest[snapshot["worker"]] = snapshot
        return True

    def counters(self) -> dict[str, float]:
        """Sums over workers."""
        return add_counters(snapshot["counters"] for snapshot in self.latest.values())

    def histograms(self) -> dict[str, Histogram]:
        """Sums over workers, by metric."""
        merged: dict[str, Histogram] = {}
        for snapshot in self.latest.values():
            for metric, raw in snapshot["histograms"].items():
                merged.setdefault(metric, Histogram()).merge(Histogram.from_json(raw))
        return merged


def add_counters(counters: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Sum mappings key by key."""
    total: dict[str, float] = {}
    for one in counters:
        for name, value in one.items():
            total[name] = total.get(name, 0) + value
    return total
