"""Warnings of a plan or a run by weight: what decides first, what only widens a range last."""

from __future__ import annotations

from collections.abc import Sequence

SHOWN = 3
"""Warnings that stand before the numbers; the rest has its own part. DESIGN: at most three, by weight."""
_WEIGHTS = (
    ("calls to it fail", "in public extended access"),
    ("cannot be", "not served", "not sized", "no chip meets", "infeasible", "interrupted", "closed loop of"),
    ("supply: ", "can be booked", "needs an exception"),
    ("range over",),
    ("quotas bind", "throttl", "granted"),
    ("extrapolates", "are assumed", "expert estimate"),
)
"""Words of warnings, heaviest first: models that are gone, what is missing from the plan, what cannot be had, what is
not known within ten times, what is too small, what is a guess. A warning with none of them comes last, in the plan's
own order."""


def by_weight(warnings: Sequence[str]) -> list[str]:
    """The same warnings, the decisive ones first; equal ones keep the plan's order."""
    return sorted(warnings, key=_weight)


def at_most(texts: Sequence[str], where: str) -> list[str]:
    """The first of them, and how many more stand where; the same everywhere a warning is printed."""
    rest = len(texts) - SHOWN
    return [*texts[:SHOWN], *([f"and {rest} more {where}"] if rest > 0 else [])]


def _weight(text: str) -> int:
    places = (place for place, words in enumerate(_WEIGHTS) if any(word in text for word in words))
    return next(places, len(_WEIGHTS))
