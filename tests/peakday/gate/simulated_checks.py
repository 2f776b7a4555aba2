"""The regression gate put to the test before it is trusted: thousands of checks whose truth is known.

A run's value is the truth times the machine's mood times its own luck. The mood (`drift`) wanders from run to run and
touches both builds; luck is each run's own. Both come from `check --noise`. It simulates the real gate.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from peakday.gate.metrics import LOWER_IS_WORSE
from peakday.gate.regression.decision import decide, order, settled, spend
from peakday.gate.regression.noise import Scatter
from peakday.gate.settings import Regression
from peakday.gate.verdicts import Verdict, overall


@dataclass(frozen=True)
class Rates:
    """How a gate ends, as shares of `checks`; `pairs`: mean pairs until it stopped."""

    checks: int
    fail: float
    passed: float
    inconclusive: float
    pairs: float


def rates(
    scatter: Mapping[str, Scatter], changes: Mapping[str, float], gate: Regression, *, checks: int, seed: int
) -> Rates:
    """Simulate so many checks.

    Args:
        scatter: of every metric the gate holds.
        changes: true change by metric, above zero is worse; metrics not named do not change.
    """
    rng = np.random.default_rng(seed)
    ends: Counter[Verdict] = Counter()
    pairs = 0
    for _ in range(checks):
        verdict, used = one_check(scatter, changes, gate, rng)
        ends[verdict] += 1
        pairs += used
    fail, passed, neither = (ends[end] / checks for end in (Verdict.FAIL, Verdict.PASS, Verdict.INCONCLUSIVE))
    return Rates(checks, fail, passed, neither, pairs / checks)


def one_check(
    scatter: Mapping[str, Scatter], changes: Mapping[str, float], gate: Regression, rng: np.random.Generator
) -> tuple[Verdict, int]:
    """One check from its first pair to its verdict, and the pairs it took."""
    builds = np.array(order(gate.looks[-1])).reshape(-1, 2)
    logs = {
        metric: _log_ratios(one, _log_change(metric, changes.get(metric, 0.0)), builds, rng)
        for metric, one in scatter.items()
    }
    margins = {metric: gate.metrics[metric] for metric in scatter}
    for look, alpha in zip(gate.looks, spend(gate.alpha, gate.looks), strict=True):
        decisions = decide({metric: values[:look].tolist() for metric, values in logs.items()}, margins, alpha)
        if settled(decisions):
            break
    return overall(decision.verdict for decision in decisions), look


def _log_change(metric: str, change: float) -> float:
    return -math.log1p(-change) if metric in LOWER_IS_WORSE else math.log1p(change)


def _log_ratios(scatter: Scatter, change: float, builds: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One log ratio per pair; builds has shape (pairs, 2), in the order of running.

    The drift is a walk whose standard deviation over the whole check is `drift`.
    """
    runs = builds.size
    walk = np.cumsum(rng.normal(0.0, scatter.drift / math.sqrt(runs), runs))
    values = (walk + rng.normal(0.0, scatter.run, runs)).reshape(builds.shape)
    first_is_baseline = builds[:, 0] == "A"
    difference: np.ndarray = values[:, 1] - values[:, 0]
    return change + np.where(first_is_baseline, difference, -difference)
