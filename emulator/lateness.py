"""How late this process itself was: the emulator's own error, measured at every send and exported.

Late: first-token p99 > max(5 ms, 5% of TTFT p50), or token p99 > max(5 ms, 25% of the gap). A run against
an emulator that was late is void.
"""

from __future__ import annotations

import numpy as np

from slo.histogram import Histogram

FLOOR_S = 0.005
TTFT_SHARE = 0.05
GAP_SHARE = 0.25

EDGES_S = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Of the histograms on /metrics."""


class Waits:
    """A histogram of waits with their exact sum and maximum; quantiles are a bin's upper edge, so never flattering."""

    def __init__(self) -> None:
        self.histogram = Histogram()
        self.total_s = 0.0
        self.max_s = 0.0

    @property
    def n(self) -> int:
        """Waits counted."""
        return self.histogram.n

    def add(self, value_s: float, times: int = 1) -> None:
        """Count one wait so many times; below zero counts as zero."""
        self.histogram.add_one(value_s, times)
        if value_s > 0:
            self.total_s += value_s * times
            if value_s > self.max_s:
                self.max_s = value_s

    def add_many(self, values_s: list[float]) -> None:
        """Count many waits at once."""
        values = np.maximum(np.array(values_s), 0.0)
        self.histogram.add(values)
        self.total_s += float(values.sum())
        self.max_s = max(self.max_s, float(values.max()))

    def quantile_s(self, share: float) -> float | None:
        """Upper edge of the bin that holds the quantile, at most the maximum; None when empty."""
        upper_s = self.histogram.quantile(share)
        return None if upper_s is None else min(upper_s, self.max_s)

    def cumulative(self) -> list[tuple[float, int]]:
        """(upper edge in seconds, count at or below it), for a Prometheus histogram."""
        return list(zip(EDGES_S, self.histogram.cumulative(EDGES_S), strict=True))

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
        self.first = Waits()
        self.ttft = Waits()
        self.gap = Waits()
        self.token_late_s: list[float] = []
        self._token = Waits()

    @property
    def token(self) -> Waits:
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
        self.first, self.ttft, self.gap = Waits(), Waits(), Waits()
        self._token = Waits()

    def reasons(self) -> list[str]:
        """Why a run against this emulator is void; empty when it was on time."""
        found = []
        for what, late, wait, share in (
            ("first token", self.first, self.ttft, TTFT_SHARE),
            ("token", self.token, self.gap, GAP_SHARE),
        ):
            p99_s, limit_s = late.quantile_s(0.99), max(FLOOR_S, share * (wait.quantile_s(0.5) or 0.0))
            if p99_s is not None and p99_s > limit_s:
                found.append(
                    f"emulator was late: {what} p99 {p99_s * 1e3:.1f} ms, limit {limit_s * 1e3:.1f} ms; "
                    "lower the rate or give this machine less to do"
                )
        return found

    def as_json(self) -> dict[str, object]:
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
