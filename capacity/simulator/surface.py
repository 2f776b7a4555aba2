"""Rate per replica as a smooth function of the workload: simulated at a few points, drawn from thousands of times."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np

from capacity.simulator.requests import Floats

LOG_RATIOS = (-0.3, 0.0, 0.3)
HIT_RATIOS = (0.8, 0.9, 1.0)
"""27 design points: prompt and answer tokens from 0.74 to 1.35 x, prefix hits from 0.8 to 1 x their base."""


@dataclass(frozen=True)
class Surface:
    """ln(rate / base rate) as a quadratic of (ln prompt ratio, ln answer ratio, hit ratio - 1).

    loo_error: root mean square of the leave-one-out residuals of ln(rate): part of the model error.
    impossible: share of design points where the SLOs are met at no load.
    """

    coefficients: Floats
    loo_error: float
    impossible: float

    def ratio(self, prompt: Floats, answer: Floats, hits: Floats) -> Floats:
        """Rate over the base rate. Arguments beyond the design are held to its edge."""
        x = np.clip(np.log(prompt), LOG_RATIOS[0], LOG_RATIOS[-1])
        y = np.clip(np.log(answer), LOG_RATIOS[0], LOG_RATIOS[-1])
        z = np.clip(hits, HIT_RATIOS[0], HIT_RATIOS[-1]) - 1
        terms = _terms(*np.broadcast_arrays(x, y, z))
        base = self.coefficients[0]
        return np.asarray(np.exp(terms @ self.coefficients - base))


def fit_surface(rate_at: Callable[[float, float, float], float]) -> Surface:
    """Fit `rate_at(prompt ratio, answer ratio, hit ratio)` over the design; points without any rate are left out."""
    points = list(product(LOG_RATIOS, LOG_RATIOS, HIT_RATIOS))
    rates = np.array([rate_at(float(np.exp(x)), float(np.exp(y)), hits) for x, y, hits in points])
    kept = rates > 0
    array = np.array(points)[kept]
    if len(array) < len(points) // 2:
        return Surface(np.zeros(10), float("inf"), float(1 - kept.mean()))
    terms = _terms(array[:, 0], array[:, 1], array[:, 2] - 1)
    inverse = np.linalg.pinv(terms)
    coefficients = inverse @ np.log(rates[kept])
    residuals = np.log(rates[kept]) - terms @ coefficients
    left_out = residuals / np.maximum(1 - np.einsum("ij,ji->i", terms, inverse), 1e-9)
    return Surface(coefficients, float(np.sqrt(np.mean(left_out**2))), float(1 - kept.mean()))


def _terms(x: Floats, y: Floats, z: Floats) -> Floats:
    return np.stack([np.ones_like(x), x, y, z, x * x, y * y, z * z, x * y, x * z, y * z], axis=-1)
