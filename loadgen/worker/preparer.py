"""Preparer: makes states ready a while before they are due, so that starting one costs the hub almost nothing.

It runs in a greenlet of its own: planning goes in short strides, and signing in waits without holding anybody up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from loadgen.schedule.replayed import Replayed, first_state
from loadgen.schedule.session import SessionState
from loadgen.schedule.sessions import Schedule
from loadgen.targets.base import BatchRefused, Fetch, Refused, Target

STRIDE = 32
"""Sessions planned between two moments for the hub: under a millisecond's work or two."""
AHEAD_S = 20.0
BATCH = 512
PART_SIZES = (20, 1)
"""In how many states at once a batch that was refused is tried again."""
FEW_PARTS = 4
PART_WAIT_S = 2.5
"""For each of these, beside a batch's own wait: all three are over before what is made ready ahead falls due."""
Part = list[SessionState]
Spread = Callable[[Callable[[Part], None], Sequence[Part]], None]


class Preparer:
    """Sessions of one worker, in batches of arrivals.

    Args:
        targets: by region name; None serves regions that have none of their own.
        fetches: how to reach each target, by `id`.
        pause: lets the hub run for so many seconds.
        spread: does a work on each of some parts, at once where it can.
    """

    def __init__(
        self,
        plan: Schedule,
        indices: Sequence[int],
        targets: dict[str | None, Target],
        fetches: dict[int, Fetch],
        *,
        salt: str,
        pause: Callable[[float], None],
        spread: Spread,
    ) -> None:
        self._plan = plan
        self._indices = indices
        self._targets = targets
        self._fetches = fetches
        self._salt = salt
        self._pause = pause
        self._spread = spread
        self._next = 0

    @property
    def finished(self) -> bool:
        """Whether every arrival has been prepared."""
        return self._next >= len(self._indices)

    @property
    def left(self) -> int:
        """Arrivals that have not been prepared."""
        return len(self._indices) - self._next

    @property
    def ready_until_s(self) -> float:
        """Offset of the first arrival that is not prepared yet."""
        return float("inf") if self.finished else float(self._plan.offset_s[self._indices[self._next]])

    def batch(self) -> list[tuple[float, SessionState]]:
        """Prepare the next arrivals: (offset in seconds, state), in order."""
        indices = self._indices[self._next : self._next + BATCH]
        offset_s = self._plan.offset_s
        made = []
        for low in range(0, len(indices), STRIDE):
            stride = indices[low : low + STRIDE]
            for index, session in zip(stride, self._plan.sessions(stride), strict=True):
                made.append((float(offset_s[index]), self._state_of(index, session)))
            self._pause(0)
        self._sign_in([state for _, state in made])
        self._next += len(indices)
        return made

    def _state_of(self, index: int, session: object) -> SessionState:
        plan = self._plan
        region = plan.regions[plan.region_of(index)]
        target = self._targets.get(region) or self._targets[None]
        if isinstance(session, Replayed):
            return first_state(session, region, target, self._salt)
        state = SessionState(session, region, target, self._salt)
        if plan.lengths is not None:
            state.lengths = (int(plan.lengths[index, 0]), int(plan.lengths[index, 1]))
        state.began_before = index in plan.began_before
        return state

    def _sign_in(self, states: list[SessionState]) -> None:
        by_target: dict[int, list[SessionState]] = {}
        for state in states:
            by_target.setdefault(id(state.target), []).append(state)
        for key, own in by_target.items():
            try:
                refused = self._prepared(own[0].target, own, self._fetches[key])
            except Refused as refusal:
                refused = [(own, str(refusal))]
            for states_refused, why in refused:
                for state in states_refused:
                    state.refused = why

    def _prepared(self, target: Target, states: Part, fetch: Fetch) -> list[tuple[Part, str]]:
        """Make states ready; returns those that were refused.

        A batch that is refused as one is tried again in parts, so that one customer spoils no other's sessions; where
        each of many parts is refused, it is no one customer's doing, and nothing more is sent.
        """
        refused: list[tuple[Part, str]] = []

        def prepare(part: Part, by: Fetch) -> None:
            try:
                target.prepare(part, by)
            except BatchRefused as refusal:
                refused.append((part, str(refusal)))

        prepare(states, fetch)
        again = partial(prepare, by=partial(fetch, wait_s=PART_WAIT_S))
        for size in PART_SIZES:
            parts = [part[low : low + size] for part, _ in refused for low in range(0, len(part), size)]
            refused.clear()
            self._spread(again, parts)
            if len(refused) == len(parts) > FEW_PARTS:
                return refused
        return refused
