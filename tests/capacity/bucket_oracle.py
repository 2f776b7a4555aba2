"""A quota as a bucket, call by call: what is throttled, by which kind, and when it first happens.

A bucket holds one minute (or day) of its grant and refills evenly, but never what running calls have reserved. A call
takes its reservation when it starts; when it ends it gives back what it reserved beyond its settlement. A kind whose
bucket cannot cover a call throttles it. How AWS refills inside its 60 s is not published: this is a model of it.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from capacity.quotas.quota import PERIOD_S, Granted
from capacity.simulator.requests import Floats, Ints


@dataclass(frozen=True)
class Throttled:
    """What the buckets did to the calls. `by_kind`: calls each kind refused; `first_s`: when it first did."""

    calls: int
    by_kind: Mapping[str, int]
    first_s: Mapping[str, float]

    @property
    def ratio(self) -> float:
        """Throttled calls over all calls."""
        return sum(self.by_kind.values()) / self.calls if self.calls else 0.0


class _Bucket:
    def __init__(self, grant: float, period_s: float) -> None:
        self.grant, self.per_s = grant, grant / period_s
        self.left, self.held, self.at_s = grant, 0.0, 0.0

    def has(self, amount: float, now_s: float) -> bool:
        self.left = min(self.grant - self.held, self.left + self.per_s * (now_s - self.at_s))
        self.at_s = now_s
        return self.left >= amount

    def take(self, amount: float, *, comes_back: bool) -> None:
        self.left -= amount
        self.held += amount if comes_back else 0.0

    def settle(self, reserved: float, settled: float, now_s: float) -> None:
        self.has(0.0, now_s)
        self.held -= reserved
        self.left += reserved - settled


def run_buckets(
    arrival_s: Floats, reserved: Ints, settled: Ints, latency_s: Floats, limits: Granted, *, gives_back: bool = True
) -> Throttled:
    """Send calls through the buckets of one model in one region.

    Args:
        arrival_s: sorted; reserved, settled, latency_s: of each call, shape [n].
        gives_back: the settlement reading; False is the reservation reading, in which nothing returns.
    """
    buckets = {
        kind: _Bucket(grant, PERIOD_S[kind])
        for kind, grant in (("rpm", limits.rpm), ("tpm", limits.tpm), ("tpd", limits.tpd))
        if grant is not None
    }
    ends: list[tuple[float, int]] = []
    refused = dict.fromkeys(buckets, 0)
    first_s: dict[str, float] = {}
    for index, now_s in enumerate(np.asarray(arrival_s).tolist()):
        while gives_back and ends and ends[0][0] <= now_s:
            end_s, done = heapq.heappop(ends)
            for kind, bucket in buckets.items():
                if kind != "rpm":
                    bucket.settle(float(reserved[done]), float(settled[done]), end_s)
        asked = {kind: 1.0 if kind == "rpm" else float(reserved[index]) for kind in buckets}
        short = [kind for kind, bucket in buckets.items() if not bucket.has(asked[kind], now_s)]
        if short:
            refused[short[0]] += 1
            first_s.setdefault(short[0], now_s)
            continue
        for kind, bucket in buckets.items():
            bucket.take(asked[kind], comes_back=gives_back and kind != "rpm")
        heapq.heappush(ends, (now_s + float(latency_s[index]), index))
    return Throttled(len(arrival_s), refused, first_s)
