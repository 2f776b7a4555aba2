"""The search for a step-time model: bounded least squares over simulated load steps, from several starts.

Unknown are the five coefficients, the server's overhead, and one pace per load step (the machine's drift), which a
prior holds near 1. Coefficients are searched as shares of what a typical step takes, from 0 to a few: a term that a
start sets to nothing can come back, which logarithms do not allow. What a queue multiplies is trusted least: the error
of every figure holds what a small change of pace does to it, so first tokens of a saturated step weigh next to nothing
while its gaps and its throughput keep their say.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import least_squares, nnls

from capacity.calibration.evidence import Evidence, Scatter
from capacity.calibration.observed import Observed
from capacity.simulator.engine import simulate
from capacity.simulator.rate_at_slo import Latencies, latencies
from capacity.simulator.requests import Floats, Requests, ServiceError
from neuron_bench.step_model import Coefficients, StepModel

TERMS = ("a", "b", "e", "c", "d", "overhead")
TERM_SETS = ("abc", "abco", "abcdo", "abecdo")
"""Models of 3, 4, 5 and 6 terms; `o` is the server's overhead before a first token."""
PACE_SIGMA = 0.076
"""Default for the spread of a machine's pace between load steps: the root mean square of what two runs of one load step
differed by in TPOT p50, 1.4% and 15.2% (docs/validation.md), over the root of two."""
PACE_FLOOR, PACE_CEILING = 0.015, 0.12
DIFFERENCE = 0.05
"""A slope is taken over so much of a coefficient: simulated medians are steps, and less would see single calls."""
WOBBLE = 0.01
"""Pace within a load step is not steady either: every figure's error holds what this change of pace does to it."""
SHARE_MAX = 4.0
SHARE_SIGMA = 0.5
"""No term is unknown by more than half of what a typical step takes (one sigma), whatever the data leave open."""
STARTS_KEPT = 3
WORST = 60.0
"""A residual is cut here: a prediction that is wildly off is as bad as any other."""


@dataclass(frozen=True)
class Guess:
    """A point of the search: values in the order of `TERMS`, and the pace of each load step (its logarithm)."""

    values: Floats
    pace: Floats


@dataclass(frozen=True)
class Solution:
    """Where a search ended. covariance: of the five coefficients and the overhead, 6 x 6."""

    guess: Guess
    cost: float
    covariance: Floats
    condition: float
    scatter: Scatter


def drift_sigma(drift: float) -> float:
    """Standard deviation of a pace that lies anywhere within a drift of so much, end to end: that of a uniform one."""
    return max(drift, PACE_FLOOR) / math.sqrt(12)


def candidates_of(replicas: int) -> np.typing.NDArray[np.int64] | None:
    """Several replicas behind one address: each call joins the least loaded."""
    return None if replicas == 1 else np.arange(replicas, dtype=np.int64)[None, :]


def served(work: Requests, model: StepModel, replicas: int = 1) -> Latencies:
    """What callers get of the replicas behind one address."""
    return latencies(work, simulate(work, model, replicas=replicas, candidates=candidates_of(replicas)), model)


def values_of(model: StepModel) -> Floats:
    """Coefficients and overhead in the order of `TERMS`."""
    k = model.coefficients
    return np.array([k.a, k.b, k.e, k.c, k.d, model.ttft_overhead_s])


def with_values(model: StepModel, values: Floats) -> StepModel:
    """The same engine with other coefficients.

    One that pads computes the whole bucket, whatever fills it: a, b, e and c of its sizes make one constant each.
    """
    a, b, e, c, d, overhead = (float(value) for value in values)
    if model.coefficients.bucket_tokens is None:
        return replace(model, buckets=(Coefficients(a, b, e, c, d),), ttft_overhead_s=overhead)
    padded = tuple(
        Coefficients(a + b * tokens + e * tokens**2 / 2 + c * seqs, 0.0, 0.0, 0.0, d, tokens, seqs)
        for tokens, seqs in ((k.bucket_tokens or 0, k.bucket_seqs or 0) for k in model.buckets)
    )
    return replace(model, buckets=padded, ttft_overhead_s=overhead)


def empty_buckets(token_buckets: Sequence[int], seq_buckets: Sequence[int]) -> tuple[Coefficients, ...]:
    """Sizes of an engine that pads, the smallest first; a step without prompts pads no tokens."""
    sizes = [(tokens, seqs) for tokens in (0, *sorted(token_buckets)) for seqs in sorted(seq_buckets)]
    return tuple(Coefficients(1e-3, 0.0, 0.0, 0.0, 0.0, tokens, seqs) for tokens, seqs in sizes)


class Problem:
    """Load steps to be explained by one engine."""

    def __init__(
        self, evidence: Sequence[Evidence], model: StepModel, replicas: int = 1, drift: float | None = None
    ) -> None:
        self.evidence = list(evidence)
        self.drift = drift
        self.model = model
        self.replicas = replicas
        self.scale = _scale(self.evidence)
        self.scatter = Scatter()
        self.pace_sigma = PACE_SIGMA if drift is None else drift_sigma(drift)
        self.sigma: list[Floats] = [each.errors(self.scatter) for each in self.evidence]

    def limited(self, model: StepModel) -> Problem:
        """The same load steps on an engine with other limits."""
        other = Problem(self.evidence, model, self.replicas, self.drift)
        other.scatter, other.sigma, other.pace_sigma = self.scatter, self.sigma, self.pace_sigma
        return other

    def of(self, numbers: Sequence[int]) -> Problem:
        """Some of the load steps."""
        part = Problem([self.evidence[i] for i in numbers], self.model, self.replicas, self.drift)
        part.scale, part.pace_sigma = self.scale, self.pace_sigma
        part.scatter, part.sigma = self.scatter, [self.sigma[i] for i in numbers]
        return part

    def times(self, number: int, values: Floats, pace: float) -> Latencies:
        """A load step simulated."""
        return served(self.evidence[number].work, with_values(self.model, values * np.exp(pace)), self.replicas)

    def predicted(self, number: int, values: Floats, pace: float) -> Floats:
        """Its figures."""
        return self.evidence[number].predicted(self.times(number, values, pace), self.scatter)

    def residual(self, number: int, values: Floats, pace: float) -> Floats:
        """Measured less predicted, in standard deviations."""
        try:
            predicted = self.predicted(number, values, pace)
        except (ServiceError, ZeroDivisionError):
            return np.full(len(self.sigma[number]), WORST)
        residual = (self.evidence[number].measured - predicted) / self.sigma[number]
        return np.asarray(np.clip(residual, -WORST, WORST))

    def cost(self, guess: Guess) -> float:
        """Half the sum of squares, the prior on the paces included."""
        rows = [self.residual(i, guess.values, guess.pace[i]) for i in range(len(self.evidence))]
        return _robust(np.concatenate([*rows, guess.pace / self.pace_sigma]))

    def weigh(self, guess: Guess) -> None:
        """Set the scatter of single calls, and each figure's error, by where the search stands."""
        self.scatter = self._scatter(guess)
        for i, each in enumerate(self.evidence):
            up, down = (self.predicted(i, guess.values, guess.pace[i] + d) for d in (0.02, -0.02))
            slope = np.abs(up - down) / 0.04
            first, gaps = each.sizes
            told = slice(first, first + gaps)
            slope[told] = np.minimum(slope[told], 3.0)  # gaps keep their say where a queue is full
            self.sigma[i] = np.hypot(each.errors(self.scatter), WOBBLE * slope)

    def learn_pace(self, guess: Guess) -> None:
        """As much drift as the data insist on: paces that only trade against coefficients shrink from fit to fit."""
        if self.drift is not None:
            return
        seen = float(np.sum(guess.pace**2) + 2 * (PACE_SIGMA / 2) ** 2) / (len(guess.pace) + 2)
        self.pace_sigma = float(np.clip(np.sqrt(seen), PACE_FLOOR, PACE_CEILING))

    def _scatter(self, guess: Guess) -> Scatter:
        """Of single calls about the model, where it is least: by the median distance from the median."""
        spreads = []
        for i, each in enumerate(self.evidence):
            ttft_s, tpot_s = each.calls(self.times(i, guess.values, guess.pace[i]))
            spreads.append((_spread(each.run.ttft_s[each.included], ttft_s), _spread(each.run.tpot_s, tpot_s)))
        table = np.array(spreads)
        return Scatter(*(float(np.clip(np.nanmin(table[:, column]), 0.0, 0.5)) for column in range(2)))

    def solve(self, guess: Guess, terms: str, evaluations: int) -> Guess:
        """Bounded least squares from a guess."""
        free = np.array(["abecdo".index(term) for term in terms])
        n = len(free)
        fixed = np.zeros(6)

        def values_at(x: Floats) -> Floats:
            values = fixed.copy()
            values[free] = x[:n]
            return values * self.scale

        def residuals(x: Floats) -> Floats:
            values = values_at(x)
            rows = [self.residual(i, values, x[n + i]) for i in range(len(self.evidence))]
            return np.concatenate([*rows, x[n:] / self.pace_sigma])

        def jacobian(x: Floats) -> Floats:
            return self._jacobian(x, free)

        low, high = self._bounds(free)
        start = np.clip(np.concatenate([(guess.values / self.scale)[free], guess.pace]), low + 1e-9, high - 1e-9)
        end = least_squares(
            residuals, start, jac=jacobian, bounds=(low, high), loss="soft_l1", max_nfev=evaluations, x_scale="jac"
        )
        # All steps faster by one factor is the engine, not the pace.
        common = float(np.mean(end.x[n:]))
        return Guess(values_at(end.x) * np.exp(common), np.asarray(end.x[n:]) - common)

    def _bounds(self, free: np.typing.NDArray[np.int64]) -> tuple[Floats, Floats]:
        low, high = np.zeros(len(free)), np.full(len(free), SHARE_MAX)
        low[free == 0] = 0.01  # a step that holds nothing still takes time
        pace = np.full(len(self.evidence), 3 * PACE_CEILING)
        return np.concatenate([low, -pace]), np.concatenate([high, pace])

    def _jacobian(self, x: Floats, free: np.typing.NDArray[np.int64]) -> Floats:
        n, m = len(free), len(self.evidence)
        values = np.zeros(6)
        values[free] = x[:n]
        blocks = []
        for i in range(m):
            here = self.residual(i, values * self.scale, x[n + i])
            block = np.zeros((len(here), n + m))
            for column, term in enumerate(free):
                step = max(DIFFERENCE * values[term], DIFFERENCE / 4)
                moved = values.copy()
                moved[term] += step
                block[:, column] = (self.residual(i, moved * self.scale, x[n + i]) - here) / step
            block[:, n + i] = (self.residual(i, values * self.scale, x[n + i] + 0.01) - here) / 0.01
            blocks.append(block)
        prior = np.hstack([np.zeros((m, n)), np.eye(m) / self.pace_sigma])
        return np.vstack([*blocks, prior])

    def solution(self, guess: Guess, terms: str) -> Solution:
        """Covariance and condition at the end of a search."""
        free = np.array(["abecdo".index(term) for term in terms])
        x = np.concatenate([(guess.values / self.scale)[free], guess.pace])
        jacobian = self._jacobian(x, free)
        n = len(free)
        norms = np.maximum(np.sqrt((jacobian[:, :n] ** 2).sum(axis=0)), 1e-12)
        condition = float(np.linalg.cond(jacobian[:, :n] / norms))
        residuals = np.concatenate([self.residual(i, guess.values, guess.pace[i]) for i in range(len(self.evidence))])
        # Figures of one load step share their calls: about three of them say what one would say alone.
        worth = 3.0 * max(1.0, float(np.mean(residuals**2)))
        held = np.diag(np.concatenate([np.full(n, 1 / SHARE_SIGMA**2), np.zeros(len(guess.pace))]))
        inner = np.linalg.pinv(jacobian.T @ jacobian / worth + held)[:n, :n]
        full = np.zeros((6, 6))
        full[np.ix_(free, free)] = inner * np.outer(self.scale[free], self.scale[free])
        return Solution(guess, self.cost(guess), full, condition, self.scatter)


def search(problem: Problem, starts: Sequence[Floats], terms: str = "abecdo") -> Guess:
    """The best end of several searches: all starts are weighed, the best few searched, the best one to its end."""
    level = np.zeros(len(problem.evidence))
    guesses = [Guess(np.asarray(start), level) for start in starts]
    best = min(guesses, key=problem.cost)
    problem.weigh(best)
    order = sorted(guesses, key=problem.cost)[:STARTS_KEPT]
    ends = [problem.solve(guess, terms, 7) for guess in order]
    best = min(ends, key=problem.cost)
    for evaluations in (10, 10, 10, 10):
        problem.learn_pace(best)
        problem.weigh(best)
        before, end = problem.cost(best), problem.solve(best, terms, evaluations)
        best = min((best, end), key=problem.cost)
        if problem.cost(best) > 0.995 * before:
            break
    problem.weigh(best)
    return best


def starts(evidence: Sequence[Evidence]) -> list[Floats]:
    """Places to begin: what the measured times say by least squares, and what the lightest load step says alone.

    In the lightest step a call meets little company: its first token tells overhead + a + b P + e P^2/2, its gaps
    tell a + c + d K. How a gap splits into a and c is told by the busiest step, and guessed three ways.
    """
    runs = [each.run for each in evidence]
    light = min(runs, key=lambda run: run.rate_per_s)
    busy = max(runs, key=lambda run: _company(run))
    everything, lightest = _least_squares(runs), _least_squares([light])
    uncached = (light.input_tokens - light.cached_tokens).astype(np.float64)[light.included]
    b, e, base = _first_token_terms(uncached, light.ttft_s[light.included])
    gap_s, busy_gap_s = float(np.median(light.tpot_s)), float(np.median(busy.tpot_s))
    company = max(_company(busy), 1.0)
    places = []
    for part in (everything, lightest):
        a = max(float(part[0]), 0.02 * gap_s)
        places.append(np.array([a, *part[1:5], max(base - a, 0.0)]))
        places.append(np.array([a, b, e, *part[3:5], max(base - a, 0.0)]))
    for share in (0.95, 0.7, 0.35):
        a = share * gap_s
        c = max((busy_gap_s - a) / company, 0.0)
        places.append(np.array([a, b, e, c, 0.0, max(base - a, 0.0)]))
        context = float((busy.input_tokens + busy.output_tokens / 2).mean())
        places.append(np.array([a, b, e, 0.3 * c, 0.7 * c / max(context, 1.0), max(base - a, 0.0)]))
    return places


def _scale(evidence: Sequence[Evidence]) -> Floats:
    """Of each term, what would make it the whole of a typical gap or first token."""
    runs = [each.run for each in evidence]
    light = min(runs, key=lambda run: run.rate_per_s)
    gap_s = float(np.median(light.tpot_s)) if len(light.tpot_s) else float(np.median(light.ttft_s))
    first_s = float(np.median(light.ttft_s[light.included]))
    uncached = np.concatenate([(run.input_tokens - run.cached_tokens) for run in runs]).astype(np.float64)
    company = max(1.0, max(_company(run) for run in runs))
    context = float(np.concatenate([run.input_tokens + run.output_tokens / 2 for run in runs]).mean())
    busy_gap_s = max(gap_s, max(float(np.median(run.tpot_s)) for run in runs if len(run.tpot_s)))
    return np.array(
        [
            gap_s,
            first_s / uncached.mean(),
            first_s / (uncached**2 / 2).mean(),
            busy_gap_s / company,
            busy_gap_s / (company * context),
            first_s,
        ]
    )


def _company(run: Observed) -> float:
    """Requests decoding at once, on average over the step's time."""
    span_s = float((run.arrival_s + run.ttft_s + run.decode_s).max() - run.arrival_s[0])
    return float(run.decode_s.sum()) / max(span_s, 1e-9)


def _first_token_terms(tokens: Floats, ttft_s: Floats) -> tuple[float, float, float]:
    """b, e and what is left at no tokens, of first tokens that waited least: the lower half of each length."""
    order = np.argsort(tokens, kind="stable")
    parts = [part for part in np.array_split(order, max(1, min(12, len(order) // 10))) if len(part)]
    x = np.array([np.median(tokens[part]) for part in parts])
    y = np.array([np.quantile(ttft_s[part], 0.4) for part in parts])
    design = np.column_stack([np.ones(len(x)), x, x * x / 2]) / y[:, None]
    scale = np.maximum(np.abs(design).max(axis=0), 1e-30)
    values = nnls(design / scale, np.ones(len(x)))[0] / scale
    return float(values[1]), float(values[2]), float(values[0])


def _least_squares(runs: Sequence[Observed]) -> Floats:
    """a, b, e, c, d from the decodes alone, by what the measured times say was in the batch with each."""
    terms = np.concatenate([_measured_terms(run) for run in runs])
    seconds = np.concatenate([run.decode_s[run.decoded] for run in runs])
    weighted = terms / np.maximum(seconds, 1e-4)[:, None]
    scale = np.maximum(np.sqrt((weighted**2).mean(axis=0)), 1e-30)
    solution, _ = nnls(weighted / scale, seconds / np.maximum(seconds, 1e-4))
    return np.asarray(solution / scale)


def _measured_terms(run: Observed) -> Floats:
    """(1, P, PX, B, K) summed over each decode: its own steps, prompts that ended in it, its companions' batch."""
    first_s, end_s = run.arrival_s + run.ttft_s, run.arrival_s + run.ttft_s + run.decode_s
    uncached = run.input_tokens - run.cached_tokens
    by_first = np.argsort(first_s)
    inside = [np.searchsorted(first_s[by_first], edge, side="right") for edge in (first_s, end_s)]

    def ended_inside(values: Floats) -> Floats:
        total = np.concatenate([[0.0], np.cumsum(values[by_first])])
        return np.asarray(total[inside[1]] - total[inside[0]])

    prompts = ended_inside(uncached.astype(np.float64))
    x_context = ended_inside(uncached * (run.cached_tokens + uncached / 2))
    steps = (run.output_tokens - 1).astype(np.float64)
    together = time_average(first_s, end_s, np.ones(len(first_s)))
    held = time_average(first_s, end_s, run.input_tokens + run.output_tokens / 2)
    terms = np.column_stack([steps, prompts, x_context, steps * together, steps * held])
    return np.asarray(terms[run.decoded])


def time_average(start_s: Floats, end_s: Floats, weight: Floats) -> Floats:
    """Mean over each interval of the summed weights of the intervals that hold each moment."""
    moments = np.concatenate([start_s, end_s])
    order = np.argsort(moments, kind="stable")
    level = np.cumsum(np.concatenate([weight, -weight])[order])
    at_s = moments[order]
    area = np.concatenate([[0.0], np.cumsum(level[:-1] * np.diff(at_s))])
    length_s = np.maximum(end_s - start_s, 1e-12)
    return np.asarray((np.interp(end_s, at_s, area) - np.interp(start_s, at_s, area)) / length_s)


def _robust(residuals: Floats) -> float:
    """Half the sum of squares, of which what is far out counts by its size only (the soft_l1 of scipy)."""
    return float(np.sum(np.sqrt(1 + residuals**2) - 1))


def _spread(measured: Floats, predicted: Floats) -> float:
    """Robust standard deviation of the logarithm of measured over predicted."""
    if len(measured) < GROUP_MIN_SPREAD:
        return float("nan")
    logs = np.log(np.maximum(measured, 1e-9) / np.maximum(predicted, 1e-9))
    return 1.4826 * float(np.median(np.abs(logs - np.median(logs))))


GROUP_MIN_SPREAD = 12
