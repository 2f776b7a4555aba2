"""Things that break on purpose: on a timetable counted from t0, in a share of the calls they concern."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, fields
from typing import Any, get_args

from facts.stack import FaultKind

KINDS = get_args(FaultKind)
REFUSALS = ("throttle", "unavailable", "server_error", "not_ready", "region_down")
"""Kinds that answer with an error before any stream."""


@dataclass(frozen=True)
class Fault:
    """As in a scenario: `at_s` from t0, `delay_s` of stalls, slow first tokens and freezes, `factor` of slow tokens.

    A throttle with a delay strikes within streams. cold_cache: caches forget everything at its start, and calls that it
    hits read nothing from them. freeze: the whole process stands still once, for `delay_s` or else `length_s`.
    above_per_s: it strikes calls beyond this rate alone (`CapacityRoom`).
    """

    kind: str
    length_s: float
    at_s: float = 0.0
    ratio: float = 1.0
    model: str | None = None
    region: str | None = None
    delay_s: float = 0.0
    factor: float = 1.0
    above_per_s: float | None = None
    sustain_s: float = 900.0

    def concerns(self, model: str, region: str) -> bool:
        """Whether a call to this model in this region may be hit."""
        return self.model in (None, model) and self.region in (None, region)


def fault_from(raw: dict[str, Any]) -> Fault:
    """A fault from its JSON form.

    Raises:
        ValueError: an unknown kind or key, or no length.
    """
    unknown = set(raw) - {field.name for field in fields(Fault)}
    if unknown:
        raise ValueError(f"fault: unknown key {sorted(unknown)[0]!r}")
    if raw.get("kind") not in KINDS:
        raise ValueError(f"fault: kind is {raw.get('kind')!r}, expected one of {', '.join(KINDS)}")
    if not isinstance(raw.get("length_s"), (int, float)):
        raise ValueError("fault: length_s is missing")
    return Fault(**raw)


GROWTH_RATIO = 1.6
"""What a sustained rate opens, over itself: enough for AWS's step of half more. A choice of ours: no page says it."""
WINDOW_S = 5.0
"""A rate is counted over so long, so that the bunches of Poisson arrivals are no overload."""


class CapacityRoom:
    """Calls a second that a model has room for: a base, which use that was sustained for a while widens for good."""

    def __init__(self, base_per_s: float, sustain_s: float) -> None:
        self.room_per_s = base_per_s
        self._sustain_s = sustain_s
        self._served: deque[float] = deque()
        self._first_s: float | None = None

    def has_room(self, now_s: float) -> bool:
        """Whether a call at this moment is served; it is then counted."""
        self._first_s = now_s if self._first_s is None else self._first_s
        while self._served and self._served[0] < now_s - max(self._sustain_s, WINDOW_S):
            self._served.popleft()
        if now_s - self._first_s >= self._sustain_s:
            sustained = sum(at >= now_s - self._sustain_s for at in self._served) / self._sustain_s
            self.room_per_s = max(self.room_per_s, GROWTH_RATIO * sustained)
        if sum(at >= now_s - WINDOW_S for at in self._served) >= self.room_per_s * WINDOW_S:
            return False
        self._served.append(now_s)
        return True


class FaultPlan:
    """Which faults strike a call. Nothing is active before t0 is set."""

    def __init__(self, faults: list[Fault], seed: int) -> None:
        self.faults = faults
        self.t0_s: float | None = None
        self.version = 0
        self._random = random.Random(f"{seed}/faults")
        self._rooms: dict[Fault, CapacityRoom] = {}

    def change(self, *, faults: list[Fault] | None = None, t0_s: float | None = None) -> None:
        """Replace the timetable, its start, or both; what was scheduled by an earlier version no longer counts."""
        self.faults = self.faults if faults is None else faults
        self.t0_s = self.t0_s if t0_s is None else t0_s
        self.version += 1

    def strikes(self, model: str, region: str, now_s: float) -> dict[str, Fault]:
        """Faults that hit this call, by kind; each draws its own share."""
        if not self.faults or self.t0_s is None:
            return {}
        at_s = now_s - self.t0_s
        return {
            fault.kind: fault
            for fault in self.faults
            if fault.at_s <= at_s < fault.at_s + fault.length_s
            and fault.concerns(model, region)
            and (fault.above_per_s is None or not self._room(fault, fault.above_per_s).has_room(now_s))
            and (fault.ratio >= 1 or self._random.random() < fault.ratio)
        }

    def _room(self, fault: Fault, base_per_s: float) -> CapacityRoom:
        return self._rooms.setdefault(fault, CapacityRoom(base_per_s, fault.sustain_s))
