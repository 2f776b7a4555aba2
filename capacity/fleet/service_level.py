"""What carries a stated share of the joint draws: one level for every fleet, and one for every quota ask, at once.

Every need is an array over the same draws. Bought is, of every need, the same order statistic: the smallest at which
the stated share of draws has no need above what is bought. So the share is of draws in which *nothing* falls short.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr, betaincinv

from capacity.rows.figures import Probability
from capacity.simulator.memory import Memory, content_key
from capacity.simulator.requests import Floats, Ints

Mask = npt.NDArray[np.bool_]
CONFIDENCE = 0.95
"""That draws of another seed are carried as often: the order statistic is a one-sided tolerance bound."""
INTERVAL = 0.9
"""Of the Monte Carlo error printed beside a probability."""


@dataclass(frozen=True)
class JointLevel:
    """The order statistic bought of every need, and in which draws nothing falls short, bool [n].

    reached: False where so many draws cannot be carried by anything that the level is out of reach.
    """

    place: int
    carried: Mask
    reached: bool

    def of(self, need: Floats) -> float:
        """What is bought of one need."""
        ordered = np.sort(need)
        finite = int(np.isfinite(need).sum())
        return float(ordered[min(self.place, max(finite, 1)) - 1])


@lru_cache(maxsize=1024)
def draws_needed(draws: int, level: float) -> int:
    """Draws that must be carried, so that with 95% confidence at least `level` of all futures is.

    Source: one-sided distribution-free tolerance bound (Wilks 1941): the smallest m with P(Bin(n, level) >= m) <= 5%.
    """
    carried = bdtr(np.arange(draws + 1), draws, level)
    return min(draws, int(np.searchsorted(carried, CONFIDENCE)) + 1)


def joint_level(needs: Sequence[Floats], level: float, among: Mask | None = None) -> JointLevel:
    """The smallest common order statistic that carries the level in all needs at once. needs: each [n]; inf: never.

    among: only these draws count as carried, because something else falls short in the others.
    """
    draws = max((len(need) for need in needs), default=1)
    if not needs:
        return JointLevel(draws, np.ones(draws, dtype=bool), reached=True)
    worst: Ints = np.max([_ranks(need) for need in needs], axis=0)
    served = np.all([np.isfinite(need) for need in needs], axis=0) & (True if among is None else among)
    wanted = draws_needed(draws, level)
    places = np.sort(worst[served])
    reached = len(places) >= wanted
    place = int(places[min(wanted, len(places)) - 1]) if len(places) else draws
    return JointLevel(place, np.asarray(served & (worst <= place)), reached)


def _ranks(need: Floats) -> Ints:
    """Place of every draw in a need: the same needs are ranked at many levels."""
    return _RANKS.get(content_key(need), lambda: np.searchsorted(np.sort(need), need) + 1)


_RANKS: Memory[Ints] = Memory(256)


def short_of(carried: Mask) -> Probability:
    """The share of draws in which something falls short, with the 90% interval of its Monte Carlo error.

    Source: Clopper and Pearson 1934, exact for a binomial share.
    """
    n = len(carried)
    return _share_of(n, n - int(np.count_nonzero(carried)))


@lru_cache(maxsize=4096)
def _share_of(n: int, k: int) -> Probability:
    tail = (1 - INTERVAL) / 2
    low = float(betaincinv(k, n - k + 1, tail)) if k else 0.0
    high = float(betaincinv(k + 1, n - k, 1 - tail)) if k < n else 1.0
    return Probability(k / n, low, high, n)


def order_statistic(values: Floats, level: float) -> float:
    """The value that carries the level of draws: of a budget, as of a fleet."""
    return float(np.sort(values)[draws_needed(len(values), level) - 1])


def all_carried(parts: Mapping[str, Mask]) -> Mask:
    """Draws in which every part is carried."""
    return np.asarray(np.all(list(parts.values()), axis=0))
