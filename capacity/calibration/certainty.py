"""Up to which rate a fit knows its medians: where a queue is near, a pace that is a little off moves them by a factor.

Load steps drift apart by the machine's pace, and their mean is the engine's own to the drift over the root of their
number. Coefficients that explain the load steps equally well differ where none was measured. Both are drawn, and the
same calls simulated under each draw: a median is known where nearly all draws agree on it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from capacity.calibration.observed import Observed
from capacity.calibration.search import Solution, served, with_values
from capacity.simulator.requests import Floats, Requests, ServiceError, requests
from neuron_bench.step_model import StepModel

TOLERANCE = 0.05
SCATTERS = 2.0
"""A median is known within `TOLERANCE`, or within so many times what single calls scatter by."""
SIGMAS = 2.2
"""97% of a normal error lies within these."""
WILD = 1.0
"""A median that may be off by a factor of e is in a queue: no number of load steps is worth measuring for it."""
SHARES = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Of the rate at which the engine is full: where medians are drawn."""
DRAWS, CALLS = 16, 800
KNOWN = "known_per_s"
"""In a step model's validity: up to this rate of the busiest step's lengths."""


@dataclass(frozen=True)
class Certainty:
    """known_per_s: 0 where no rate is known. beyond_per_s: the next that is not, with its error (one sigma); None where
    every rate below the knee is known. tolerance: what `known` means.
    """

    known_per_s: float
    tolerance: float
    beyond_per_s: float | None = None
    error: float = 0.0

    def steps_needed(self, steps: int) -> int:
        """Load steps of the same drift at which the next rate would be known, those there are included."""
        return math.ceil(steps * (SIGMAS * self.error / self.tolerance) ** 2)

    def notes(self, steps: int) -> tuple[str, ...]:
        """What a reader of the step model must know, with the measurement to take next."""
        if self.beyond_per_s is None:
            return ()
        reach = f"up to {self.known_per_s:.3g}/s" if self.known_per_s else "at no rate that was drawn"
        known = f"known within {self.tolerance:.0%} {reach}"
        if self.error * SIGMAS > WILD:
            return (f"medians are {known}; a queue begins near {self.beyond_per_s:.3g}/s: measure next a step there",)
        return (
            f"medians are {known}: at {self.beyond_per_s:.3g}/s pace and coefficients leave {self.error:.1%} open (one "
            f"sigma), so they are known within {SIGMAS * self.error:.0%} there; measure next: "
            f"{self.steps_needed(steps) - steps} more load steps near it",
        )


def certainty(
    sweep: Sequence[Observed], model: StepModel, solution: Solution, pace_sigma: float, replicas: int
) -> Certainty:
    """Of TPOT p50 and TTFT p50, at the lengths of the busiest load step."""
    tolerance = max(TOLERANCE, SCATTERS * solution.scatter.tpot)
    busiest = sweep[-1].requests()
    full_per_s = _full_per_s(busiest, model, replicas)
    engines = _drawn(model, solution, pace_sigma / math.sqrt(len(sweep)))
    known_per_s = 0.0
    for share in SHARES:
        work = _at_rate(busiest, share * full_per_s)
        medians = np.array([_medians(work, engine, replicas) for engine in engines])
        finite = bool(np.isfinite(medians).all())
        error = float(np.std(np.log(medians), axis=0, ddof=1).max()) if finite else math.inf
        if error * SIGMAS > tolerance:
            return Certainty(known_per_s, tolerance, share * full_per_s, error)
        known_per_s = share * full_per_s
    return Certainty(known_per_s, tolerance)


def _drawn(model: StepModel, solution: Solution, level_sigma: float) -> list[StepModel]:
    """Engines that the load steps allow; pairs are mirrored, so that their own luck is small."""
    rng = np.random.default_rng(0xCE27)
    values = solution.guess.values
    half = rng.multivariate_normal(np.zeros(6), solution.covariance, size=DRAWS // 2, method="eigh")
    levels = rng.normal(0.0, level_sigma, DRAWS // 2)
    pairs = [(sign * moved, sign * level) for moved, level in zip(half, levels, strict=True) for sign in (1, -1)]
    return [with_values(model, np.maximum(values + moved, 0.0) * math.exp(level)) for moved, level in pairs]


def _full_per_s(like: Requests, model: StepModel, replicas: int) -> float:
    """Calls a second that a full queue is worked off with: of its middle, where no batch is half empty."""
    end_s = np.sort(served(_at_rate(like, 1e6), model, replicas).e2e_s)
    return float(0.5 * CALLS / (end_s[int(0.75 * CALLS)] - end_s[int(0.25 * CALLS)]))


def _at_rate(like: Requests, rate_per_s: float) -> Requests:
    """Calls of these lengths, at Poisson arrivals of this rate, the same for every engine."""
    rng = np.random.default_rng(0xCE28)
    pick = rng.integers(0, len(like.input_tokens), CALLS)
    arrival_s = np.cumsum(rng.exponential(1 / rate_per_s, CALLS))
    return requests(arrival_s, like.input_tokens[pick], like.output_tokens[pick], like.cached_tokens[pick])


def _medians(work: Requests, engine: StepModel, replicas: int) -> Floats:
    try:
        times = served(work, engine, replicas)
    except (ServiceError, ZeroDivisionError):
        return np.array([np.inf, np.inf])
    tpot_s = float(np.median(times.tpot_s)) if len(times.tpot_s) else 1.0
    return np.maximum([float(np.median(times.ttft_s)), tpot_s], 1e-9)
