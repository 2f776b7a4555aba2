"""One window of a provider's quota: tokens or requests reserved at the start of a call and settled at its end.

A window of 60 s (a day for tokens per day) starts with its first request; what is in flight stays reserved across
windows.
Source: AWS agent toolkit, quota-health (read 2026-05); facts/data/quotas.csv has the burndown of each model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

MINUTE_S = 60.0
DAY_S = 86_400.0


@dataclass(slots=True)
class QuotaWindow:
    """Tokens, or requests, of one kind of quota. `limit` None = not limited, or not known."""

    limit: float | None
    length_s: float = MINUTE_S
    start_s: float = -math.inf
    charged: float = 0.0
    reserved: float = 0.0

    def roll(self, now_s: float) -> None:
        """Begin a new window where the last one is over."""
        if now_s >= self.start_s + self.length_s:
            self.start_s, self.charged = now_s, 0.0

    def admits(self, amount: float, now_s: float) -> bool:
        """Whether `amount` more fits at `now_s`."""
        self.roll(now_s)
        return self.limit is None or self.charged + self.reserved + amount <= self.limit

    def settle(self, reserved: float, charge: float) -> None:
        """The end of a call: release what it held and charge what it used."""
        self.reserved = max(0.0, self.reserved - reserved)
        self.charged += charge

    def free_ratio(self) -> float:
        """Share of the limit that is neither charged nor held; 1 without a limit."""
        return 1.0 if not self.limit else max(0.0, 1 - (self.charged + self.reserved) / self.limit)
