"""Where a series of figures changes its level: Pettitt's rank test, on the parts before and after in turn.

Source: A. N. Pettitt, A non-parametric approach to the change-point problem, Applied Statistics 28 (1979): K is the
largest |U_t|, U_t the sum over i <= t < j of sign(x_j - x_i), and p is about 2 exp(-6 K^2 / (n^3 + n^2)).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

ALPHA = 0.05
EACH_SIDE_MIN = 3
"""A level of fewer figures is none."""


def change_points(values: Sequence[float]) -> list[int]:
    """Places at which a new level begins, in order; none in a series of one level, or of fewer than six figures."""
    found = _within(np.asarray(values, dtype=np.float64), 0)
    return sorted(found)


def _within(values: np.ndarray, offset: int) -> list[int]:
    n = len(values)
    if n < 2 * EACH_SIDE_MIN:
        return []
    signs = np.sign(values[None, :] - values[:, None])
    sums = np.array([abs(signs[:t, t:].sum()) for t in range(1, n)])
    at = int(np.argmax(sums)) + 1
    if 2 * math.exp(-6 * float(sums[at - 1]) ** 2 / (n**3 + n**2)) > ALPHA:
        return []
    if at < EACH_SIDE_MIN or n - at < EACH_SIDE_MIN:
        return []
    return [*_within(values[:at], offset), offset + at, *_within(values[at:], offset + at)]
