"""The master's side of a budget: it grants dollars to workers, and recalls what others do not use.

At the start each worker holds an equal part of half the budget; the other half is granted in ever smaller portions to
who asks first. A worker that cannot pay its next turn asks urgently. When nothing is left to grant, every other worker
gives back all but one turn's bound, and only if that does not pay for a turn is the worker refused.

Dollars are always in one place: the pool, a worker's hands, a turn under way, or a message. Nothing is granted twice
and what is lost with a worker stays lost, so the sum of what turns cost never exceeds the budget.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


def first_grant_usd(budget_usd: float, turn_usd_max: float, workers: int) -> float:
    """What each worker holds from the start, known to it and to the master without a message."""
    half_usd = budget_usd / (2 * workers)
    return half_usd if workers > 1 and half_usd >= turn_usd_max else budget_usd / workers


@dataclass(frozen=True)
class Instruction:
    """What a worker is to do: take a grant (urgent and 0 USD: the budget is over), or give back (`usd` None)."""

    worker: str
    usd: float | None
    urgent: bool = False


class BudgetAllocator:
    """What of a budget is in nobody's hands, and who waits for it.

    Args:
        turn_usd_max: upper bound of one turn; less than that helps nobody.
        workers: how many share the budget.
    """

    def __init__(self, budget_usd: float, turn_usd_max: float, workers: int) -> None:
        self.pool_usd = budget_usd - workers * first_grant_usd(budget_usd, turn_usd_max, workers)
        self._turn_usd_max = turn_usd_max
        self._portions = 2 * workers
        self._known: set[str] = set()
        self._waiting: deque[str] = deque()
        self._owing: set[str] = set()
        self._recalled = False

    def join(self, worker: str) -> None:
        """A worker that holds its first grant."""
        self._known.add(worker)

    def request(self, worker: str, returned_usd: float, *, urgent: bool) -> list[Instruction]:
        """A worker wants more: soon, or urgently, for it then holds nothing any more."""
        self.pool_usd += returned_usd
        if urgent:
            self._waiting.append(worker)
            return self._serve()
        return [Instruction(worker, self._portion_usd())]

    def take_back(self, worker: str, usd: float) -> list[Instruction]:
        """A worker answers a recall."""
        self.pool_usd += usd
        self._owing.discard(worker)
        return self._serve()

    def remove(self, worker: str) -> list[Instruction]:
        """A worker is gone, with all it held; nobody waits for it any more. May be called again."""
        if worker not in self._known:
            return []
        self._known.discard(worker)
        self._owing.discard(worker)
        if worker in self._waiting:
            self._waiting.remove(worker)
        return self._serve()

    def _portion_usd(self) -> float:
        """Take a portion from the pool: a share of what is left, at least one turn's bound; 0 when it is not there."""
        if self.pool_usd < self._turn_usd_max:
            return 0.0
        portion_usd = max(self._turn_usd_max, self.pool_usd / self._portions)
        self.pool_usd -= portion_usd
        return portion_usd

    def _serve(self) -> list[Instruction]:
        """Grant while there is something; then recall from the others, once; then refuse."""
        instructions = []
        while self._waiting and self.pool_usd >= self._turn_usd_max:
            instructions.append(Instruction(self._waiting.popleft(), self._portion_usd(), urgent=True))
        if not self._waiting:
            self._recalled = False
            return instructions
        if self._owing:
            return instructions
        others = self._known - set(self._waiting)
        if others and not self._recalled:
            self._recalled = True
            self._owing = set(others)
            return [*instructions, *(Instruction(worker, None) for worker in sorted(others))]
        self._recalled = False
        refused, self._waiting = self._waiting, deque()
        return [*instructions, *(Instruction(worker, 0.0, urgent=True) for worker in refused)]
