"""Does a rate hold its SLOs? A sequential test: look after every run, and stop as soon as the answer is clear.

What a miss is, and how sure a share of misses is, say `slo.slo.misses` and `slo.bounds.share_bounds`. Each side of the
answer may be wrong with 5% over all looks, spent in equal parts (Bonferroni).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from slo.bounds import Batch, batches_of, share_bounds
from slo.slo import Slo

if TYPE_CHECKING:
    import pandas as pd

HELD = "held"
MISSED = "missed"
UNSURE = "unsure"
ALPHA = 0.05
WARM_RATIO = 0.2
WARM_S_MAX = 10.0
"""The start of a run is left out: this share of it, at most so many seconds."""


def warm_batches(turns: pd.DataFrame, length_s: float, slo: Slo) -> list[Batch]:
    """A run's batches after its warm-up."""
    return batches_of(turns, slo, min(WARM_S_MAX, WARM_RATIO * length_s), length_s)


def judge(batches: Mapping[Slo, Sequence[Batch]], alpha: float) -> tuple[str, str]:
    """What all looks so far say of a rate, and why. One SLO missed is enough to miss; all must hold to hold."""
    unsure = ""
    for slo, parts in batches.items():
        allowed = slo.allowed_ratio
        assert allowed is not None
        bounds = share_bounds(parts, alpha)
        counted = f"{slo.name}: {bounds.missed} of {bounds.turns} turns missed {slo.limit:g}, allowed {allowed:.1%}"
        if bounds.lower > allowed:
            return MISSED, f"{counted}, surely over {bounds.lower:.1%}"
        if bounds.upper > allowed:
            unsure = unsure or f"{counted}, may be up to {bounds.upper:.1%}"
    return (UNSURE, unsure) if unsure else (HELD, "every SLO held")
