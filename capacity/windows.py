"""Latencies by window of the event as mergeable sketches: their size depends on the event's length, never on the calls.

A sketch counts values in buckets whose bounds grow by 2%: a quantile read from it is within 1% of an order statistic,
and two sketches merge by adding their counts, whatever replica, block or process they come from.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from capacity.simulator.requests import Floats, Ints

SMALLEST_S, LARGEST_S = 1e-5, 1e5
GROWTH = 1.02
BUCKETS = math.ceil(math.log(LARGEST_S / SMALLEST_S) / math.log(GROWTH)) + 2
METRICS = ("ttft_s", "tpot_s", "e2e_s")


@dataclass
class Windows:
    """Counts [windows, metrics, buckets] of requests by their arrival; n [windows]: requests that arrived in each."""

    window_s: float
    counts: Ints = field(default_factory=lambda: np.zeros((0, len(METRICS), BUCKETS), dtype=np.int64))
    n: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def add(self, arrival_s: Floats, ttft_s: Floats, tpot_s: Floats, e2e_s: Floats) -> None:
        """Count finished requests; NaN values (the TPOT of one token) are left out of their metric."""
        if not len(arrival_s):
            return
        window = np.asarray(arrival_s // self.window_s, dtype=np.int64)
        first, last = int(window.min()), int(window.max()) + 1
        self._grow(last)
        self.n[first:last] += np.bincount(window - first, minlength=last - first)
        for place, values in enumerate((ttft_s, tpot_s, e2e_s)):
            known = np.isfinite(values)
            cell = (window[known] - first) * BUCKETS + bucket_of(values[known])
            counted = np.bincount(cell, minlength=(last - first) * BUCKETS)
            self.counts[first:last, place] += counted.reshape(last - first, BUCKETS)

    def merge(self, other: Windows) -> None:
        """Add another's counts.

        Raises:
            ValueError: windows of another length.
        """
        if other.window_s != self.window_s:
            raise ValueError(f"windows of {other.window_s:g} s cannot be merged into windows of {self.window_s:g} s")
        self._grow(len(other.n))
        self.counts[: len(other.n)] += other.counts
        self.n[: len(other.n)] += other.n

    def quantile(self, metric: str, q: float, window: int | None = None) -> float:
        """A quantile of one window, or of all of them together, within 1%; NaN where nothing was counted."""
        rows = self.counts[:, METRICS.index(metric)]
        counts = rows.sum(axis=0) if window is None else rows[window]
        total = int(counts.sum())
        if not total:
            return math.nan
        rank = min(total, max(1, math.ceil(q * total)))
        return bucket_middle(int(np.searchsorted(np.cumsum(counts), rank)))

    def _grow(self, windows: int) -> None:
        more = windows - len(self.n)
        if more > 0:
            self.counts = np.concatenate([self.counts, np.zeros((more, *self.counts.shape[1:]), dtype=np.int64)])
            self.n = np.concatenate([self.n, np.zeros(more, dtype=np.int64)])


def bucket_of(values_s: Floats) -> Ints:
    """Bucket of each value; the first and last hold what lies beyond the range."""
    places = np.ceil(np.log(np.maximum(values_s, 1e-300) / SMALLEST_S) / math.log(GROWTH))
    return np.asarray(np.clip(places, 0, BUCKETS - 1), dtype=np.int64)


def bucket_middle(bucket: int) -> float:
    """The value that stands for a bucket: no value in it is further than 1% away."""
    return float(SMALLEST_S * GROWTH**bucket * 2 / (1 + GROWTH))
