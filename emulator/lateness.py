"""How late this process itself was: the stand-ins' own error, measured at every send and exported.

Late: first-token p99 > max(5 ms, 5% of TTFT p50), or token p99 > max(5 ms, 25% of the gap). A run against
stand-ins that were late is void.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

FLOOR_S = 0.005
TTFT_SHARE = 0.05
GAP_SHARE = 0.25

_SMALLEST_S = 1e-5
_BINS_PER_E = 20  # a bin is 5% wide
_BINS = int(math.log(1e4 / _SMALLEST_S) * _BINS_PER_E) + 2
_EXPORTED_S = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


def _upper_edge_s(index: int) -> float:
    return _SMALLEST_S * math.exp(index / _BINS_PER_E)


_EXPORTED_BINS = tuple(
    (edge_s, math.floor(math.log(edge_s / _SMALLEST_S) * _BINS_PER_E + 1e-3) + 1) for edge_s in _EXPORTED_S
)
"""Edge, and how many bins lie at or below it: a scrape must not make tokens late."""


class LogHistogram:
    """Counts in bins 5% wide from 10 us to 10,000 s; quantiles are a bin's upper edge, so never flattering."""

    def __init__(self) -> None:
        self.counts = [0] * _BINS
        self.n = 0
        self.total_s = 0.0
        self.max_s = 0.0

    def add(self, value_s: float, times: int = 1) -> None:
        """Count one value, in seconds, so many times; below zero counts as zero."""
        self.n += times
        if value_s <= _SMALLEST_S:
            self.counts[0] += times
            return
        self.counts[min(_BINS - 1, math.ceil(math.log(value_s / _SMALLEST_S) * _BINS_PER_E))] += times
        self.total_s += value_s * times
        if value_s > self.max_s:
            self.max_s = value_s

    def add_many(self, values_s: list[float]) -> None:
        """Count many values at once."""
        values = np.maximum(np.array(values_s), _SMALLEST_S)
        bins = np.minimum(np.ceil(np.log(values / _SMALLEST_S) * _BINS_PER_E), _BINS - 1).astype(np.int64)
        found = np.bincount(bins)
        for index in np.flatnonzero(found):
            self.counts[index] += int(found[index])
        self.n += len(values_s)
        self.total_s += float(values[bins > 0].sum())
        self.max_s = max(self.max_s, float(values.max()) if bins.any() else 0.0)

    def quantile_s(self, share: float) -> float | None:
        """Upper edge of the bin that holds the quantile; None when empty."""
        if not self.n:
            return None
        rank, seen = math.ceil(share * self.n), 0
        for index, number in enumerate(self.counts):
            seen += number
            if seen >= rank:
                return min(_upper_edge_s(index), self.max_s) if index else _SMALLEST_S
        return self.max_s

    def cumulative(self) -> list[tuple[float, int]]:
        """(upper edge in seconds, count at or below it), for a Prometheus histogram."""
        rows, seen, start = [], 0, 0
        for edge_s, stop in _EXPORTED_BINS:
            seen += sum(self.counts[start:stop])
            start = stop
            rows.append((edge_s, seen))
        return rows

    def summary(self) -> dict[str, float | int | None]:
        """n, p50, p99 and max, in seconds."""
        return {
            "n": self.n,
            "p50_s": self.quantile_s(0.5),
            "p99_s": self.quantile_s(0.99),
            "max_s": self.max_s if self.n else None,
        }


class Lateness:
    """Lateness of first tokens and of later ones, beside the waits they are judged against.

    Later tokens are the many: whoever sends one appends to `token_late_s`, and `fold` counts them now and then.
    """

    def __init__(self) -> None:
        self.first = LogHistogram()
        self.ttft = LogHistogram()
        self.gap = LogHistogram()
        self.token_late_s: list[float] = []
        self._token = LogHistogram()

    @property
    def token(self) -> LogHistogram:
        """Of every token after the first."""
        self.fold()
        return self._token

    def fold(self) -> None:
        """Count what was appended, and empty the list in place."""
        if self.token_late_s:
            self._token.add_many(self.token_late_s)
            self.token_late_s.clear()

    def reset(self) -> None:
        """Forget everything measured."""
        self.token_late_s.clear()
        self.first, self.ttft, self.gap = LogHistogram(), LogHistogram(), LogHistogram()
        self._token = LogHistogram()

    def reasons(self) -> list[str]:
        """Why a run against these stand-ins is void; empty when they were on time."""
        found = []
        for what, late, wait, share in (
            ("first token", self.first, self.ttft, TTFT_SHARE),
            ("token", self.token, self.gap, GAP_SHARE),
        ):
            p99_s, limit_s = late.quantile_s(0.99), max(FLOOR_S, share * (wait.quantile_s(0.5) or 0.0))
            if p99_s is not None and p99_s > limit_s:
                found.append(
                    f"stand-ins were late: {what} p99 {p99_s * 1e3:.1f} ms, limit {limit_s * 1e3:.1f} ms; "
                    "lower the rate or give this machine less to do"
                )
        return found

    def as_json(self) -> dict[str, Any]:
        """What /control/lateness answers."""
        reasons = self.reasons()
        return {
            "late": bool(reasons),
            "reasons": reasons,
            "first": self.first.summary(),
            "token": self.token.summary(),
            "ttft_s_p50": self.ttft.quantile_s(0.5),
            "gap_s_p50": self.gap.quantile_s(0.5),
        }
