"""Slots for a wait SLO where a call's service time is known: first come first served over a replayed log, exactly."""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heapify, heapreplace

import numpy as np

from capacity.plan import PlanError
from capacity.simulator.requests import Floats


@dataclass(frozen=True)
class Slots:
    """The fewest slots that keep the SLO, the waits with them, and with one fewer (nan: none fewer)."""

    slots: int
    wait_s: float
    one_fewer_wait_s: float
    offered_load_erlang: float


def waits_s(arrival_s: Floats, service_time_s: Floats, slots: int) -> Floats:
    """Wait of each call, in order of arrival: it takes the slot that is free first (Kiefer and Wolfowitz 1955)."""
    free = [-np.inf] * slots
    heapify(free)
    waited = np.empty(len(arrival_s))
    for place, (at, needs) in enumerate(zip(arrival_s.tolist(), service_time_s.tolist(), strict=True)):
        begins = max(at, free[0])
        waited[place] = begins - at
        heapreplace(free, begins + needs)
    return waited


def slots_needed(arrival_s: Floats, service_time_s: Floats, limit_s: float, quantile: float) -> Slots:
    """Fewest slots at which this quantile of waits is within the limit.

    By bisection: with one more slot no call of a FIFO queue waits longer. arrival_s: ascending.

    Raises:
        PlanError: no call, or a quantile outside (0, 1].
    """
    if not len(arrival_s):
        raise PlanError("no call in the log: nothing to serve")
    if not 0 < quantile <= 1:
        raise PlanError(f"quantile {quantile:g}: expected a share above 0, such as 0.99")

    def waited(slots: int) -> float:
        return float(np.quantile(waits_s(arrival_s, service_time_s, slots), quantile, method="higher"))

    low, high = 0, len(arrival_s)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if waited(middle) <= limit_s else (middle, high)
    span_s = float(arrival_s[-1] - arrival_s[0])
    load = float(service_time_s.sum()) / span_s if span_s > 0 else float("nan")
    return Slots(high, waited(high), waited(high - 1) if high > 1 else float("nan"), load)
