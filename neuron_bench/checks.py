"""Consistency checks on figures of others: a figure that fails is flagged where it stands, and never repaired."""

from __future__ import annotations

from collections.abc import Mapping

from facts import reader

TOLERANCE_RATIO = 0.05
"""Published columns are rounded apart; beyond 5% two of them disagree."""

IN_FLIGHT_PER_CORE_MAX = 3.0
"""Requests a core holds at once: one in work and one or two waiting in its queue. In AWS's tables 98% hold <= 2."""

ANSWER_TOLERANCE_RATIO = 0.25
"""Throughput against batch, TTFT and TPOT: medians stand in for means, and early steps may use smaller buckets."""


def raised(checks: Mapping[str, bool]) -> str:
    """The names of the checks that failed, as a flags column."""
    return ";".join(name for name, bad in checks.items() if bad)


def above(low: float | None, high: float | None, tolerance_ratio: float = 0.0) -> bool:
    """Whether `low` exceeds `high`; unknown figures never do."""
    return low is not None and high is not None and low > high * (1 + tolerance_ratio)


def cores_of(instance: str, chips: float | None) -> float | None:
    """Logical cores of so many chips of an instance type."""
    known = reader.instances().get(instance)
    chip = reader.chips().get(known.chip) if known else None
    if chip is None or chips is None or chip.logical_neuroncores_default is None:
        return None
    return chips * chip.logical_neuroncores_default


def answer_rate(batch: float, output_tokens: float, ttft_s: float, tpot_s: float) -> float:
    """Output tokens per second of a static batch: every request starts and ends together."""
    return batch * output_tokens / (ttft_s + (output_tokens - 1) * tpot_s)


def disagrees(stated: float | None, derived: float | None, tolerance_ratio: float) -> bool:
    """Whether two figures of one thing differ by more than a share; unknown figures agree."""
    return stated is not None and derived is not None and abs(stated - derived) > tolerance_ratio * derived
