"""Log-linear histograms of seconds: exact to under 0.8% at any size, and merged by addition.

A bin is the exponent and the first seven bits of the mantissa of the float itself, so binning a million values is one
view, one shift and one count.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

_MANTISSA_BITS = 52
_SUB_BITS = 7
_SHIFT = _MANTISSA_BITS - _SUB_BITS
_LOWEST_S = 2.0**-20  # 0.95 microseconds; all below falls in the first bin
_OCTAVES = 33  # up to 2.3 hours; all above falls in the last bin
_BASE = int(np.float64(_LOWEST_S).view(np.int64)) >> _SHIFT
BINS = _OCTAVES << _SUB_BITS
RELATIVE_WIDTH = 2.0**-_SUB_BITS
_LOWEST_EXPONENT = math.frexp(_LOWEST_S)[1]
UPPER_EDGES_S: npt.NDArray[np.float64] = ((np.arange(BINS, dtype=np.int64) + 1 + _BASE) << _SHIFT).view(np.float64)
"""float64[BINS]: upper edge of each bin, in seconds."""

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Histogram:
    """Counts of values in seconds, int64[BINS]."""

    __slots__ = ("counts",)

    def __init__(self, counts: Ints | None = None) -> None:
        self.counts = np.zeros(BINS, dtype=np.int64) if counts is None else counts

    def add(self, values_s: Floats) -> None:
        """Count float64 values; those at or below zero fall in the first bin."""
        self.counts += np.bincount(bins_of(values_s), minlength=BINS)

    def add_one(self, value_s: float, times: int = 1) -> None:
        """Count one value so many times, without an array."""
        index = 0
        if value_s > _LOWEST_S:
            mantissa, exponent = math.frexp(value_s)
            index = ((exponent - _LOWEST_EXPONENT) << _SUB_BITS) + int((2 * mantissa - 1) * (1 << _SUB_BITS))
        self.counts[min(index, BINS - 1)] += times

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
        return float(UPPER_EDGES_S[np.searchsorted(np.cumsum(self.counts), rank)])

    def cumulative(self, edges_s: Sequence[float]) -> list[int]:
        """Values at or below each edge, to within a bin, as a Prometheus histogram wants them."""
        reached: list[int] = np.cumsum(self.counts)[bins_of(np.array(edges_s, dtype=np.float64))].tolist()
        return reached

    @property
    def upper_sum_s(self) -> float:
        """Sum of all values, each at its bin's upper edge."""
        return float(np.dot(UPPER_EDGES_S, self.counts))

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


def bins_of(values_s: Floats) -> Ints:
    """int64[n]: the bin of each value."""
    bits = np.maximum(values_s, _LOWEST_S).view(np.int64) >> _SHIFT
    bins: Ints = np.minimum(bits - _BASE, BINS - 1)
    return bins
