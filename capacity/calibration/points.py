"""A step model from load points: coefficients at which the simulated client reports what the table says.

Beside the five terms of a step and the server's overhead, three things decide such a table: a step that holds prompts
takes longer at once (its graph is not replayed, all experts are read), a mixture of experts reads the more of them the
more requests decode, until it reads all, and the KV memory ends a batch's growth. The first two are steps of the step
model's buckets; the third is read from the points where first tokens jump, near what arithmetic says.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import least_squares, nnls

from capacity.calibration.clients import LoadPoint, Report, report
from capacity.calibration.known import Known
from capacity.calibration.limits import CalibrationError
from capacity.calibration.search import PACE_SIGMA
from capacity.simulator.requests import Floats, ServiceError
from neuron_bench.step_model import Coefficients, StepModel

TTFT_SIGMA, TPOT_SIGMA = 0.10, 0.04
"""Errors of a published mean and of the model, as logarithms: one run a point, no repeats."""
PRIOR = 0.15
"""Pull of every term but `a` towards nothing, for curves of one length that cannot tell them apart."""
PROMPT_PRIOR, FRONT_PRIOR = 0.3, 6.0
EXPERTS, EXPERTS_SIGMA = 0.5, 0.3
"""What reading all experts adds to the quickest gap, as a share of it, and one sigma: fits of MiniMax-M2.5, DeepSeek
and Kimi-K2.5 in facts/data/accelerators lie between 0.4 and 0.7."""
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
"""Between these the share of experts that is read is a straight line."""
BUDGETS = {8192: 0.0, 2048: 1.0, 16384: 1.0}
"""Prompt tokens of a step to try, and what another than the engines' usual default costs."""
PREFILL_SIGMA, KV_READ_SIGMA = 1.0, 0.5
"""Of the logarithm of a term about what arithmetic expects of it."""
DIFFERENCE = 0.04
POINTS_MIN, SHAPES_POINTS_MIN = 2, 3
ROUNDS, ROUNDS_SIGMA = 10.0, 0.7
"""Requests per client where nothing else is known (the InferenceX recipe), and the spread of its logarithm."""
MISFIT = 2.0
"""A point that was not fitted lies so many times further off than those that were: many terms bend to few points."""
LENGTHS_SIGMA = 0.15
"""Of the logarithm of a TPOT at lengths that were not fitted: what five terms leave out of another mix. With it 171 of
187 such points of 21 deployments in facts/data/accelerators lie inside their 90% range, 139 without."""
SAME_LENGTHS = 1.05
FAR = 2.0
"""So many times the clients that were fitted are predicted as they are; what lies beyond adds half its logarithm to the
error, as lengths beyond those measured do to a plan's."""
JUMP = 3.0
"""A TTFT so many times that of the next lower concurrency is a queue."""
MEMORY_SIGMA = 0.2
"""Of the logarithm of a KV memory about what arithmetic says: what engines keep for themselves is not published."""
MEMORY_FACTORS = (0.7, 0.85, 1.0, 1.15)
WIDTH_COST = 0.5
"""Half the log likelihood against the less likely width of a KV value."""
GAIN_MIN = 0.3
"""A limit is taken for another only for so much of the cost."""
AMPLE_TOKENS = 1e8
TERMS = 10
ROUNDS_TERM, EXPERT_TERM, PROMPT_TERM, FRONT_TERM = 6, 7, 8, 9
LOW = np.array([0.02, 0, 0, 0, 0, 0, -2.3, 0, 0, 0])
HIGH = np.array([4.0, 4, 4, 4, 4, 4, 2.3, 8, 8, 4])


@dataclass(frozen=True)
class PointFit:
    """A fitted engine. residual: root mean square of the logarithms of predicted over stated, TTFT and TPOT.

    rounds: requests per client of the tool, which sources seldom state: it decides how much of a mean is opening burst.
    kv_read: the points tell the KV memory. lengths: prompts and answers of the points; clients: the most of them at
    once.
    """

    model: StepModel
    rounds: float
    ttft_residual: float
    tpot_residual: float
    preempts: bool = False
    kv_read: bool = False
    lengths: tuple[tuple[float, float], ...] = ()
    clients: int = 0

    @property
    def tpot_sigma(self) -> float:
        """One sigma of the logarithm of another point's TPOT, and of its rate: misfit, and a single run's pace."""
        return math.hypot(MISFIT * self.tpot_residual, PACE_SIGMA)

    def tpot_sigma_of(self, point: LoadPoint) -> float:
        """The same of a point of any lengths and load: where none like it was fitted, what that adds."""
        near = math.log(SAME_LENGTHS)
        seen = any(
            max(abs(math.log(point.input_tokens / prompt)), abs(math.log(point.output_tokens / answer))) <= near
            for prompt, answer in self.lengths
        )
        return math.hypot(self.tpot_sigma, 0.0 if seen else LENGTHS_SIGMA, self._far(point))

    def _far(self, point: LoadPoint) -> float:
        """What more clients than were fitted add to the logarithm of any time."""
        return math.log(max(point.concurrency / (FAR * self.clients), 1.0)) / 2 if self.clients else 0.0

    def ttft_sigma(self, point: LoadPoint) -> float:
        """Of another point's TTFT; where a queue begins it is mostly what a KV memory one sigma off does to it."""
        here = self.report(point).ttft_s
        least = -(-int(2 * (point.input_tokens + point.output_tokens)) // self.model.block_tokens)
        sizes = [round(self.model.kv_blocks * math.exp(sign * MEMORY_SIGMA)) for sign in (-1, 1)]
        moved = [replace(self.model, kv_blocks=max(size, least)) for size in sizes]
        others = [replace(self, model=model).report(point).ttft_s for model in moved]
        queue = max((abs(math.log(other / here)) for other in others if other > 0 and here > 0), default=0.0)
        return math.hypot(MISFIT * self.ttft_residual, PACE_SIGMA, queue, self._far(point))

    def report(self, point: LoadPoint) -> Report:
        """What the tool would report of another point."""
        return report(replace(point, rounds=self.rounds), self.model, preempts=self.preempts)


def fit_points(points: Sequence[LoadPoint], base: StepModel, known: Known | None = None) -> PointFit:
    """The engine behind a table. A KV memory that `known` has sizes of, or that is None there, is searched.

    Raises:
        CalibrationError: fewer than two points with a TPOT, three of several lengths, or none with a TTFT.
    """
    _refuse(points)
    problem = Problem(points, known or Known())
    begin = problem.begin()
    first = replace(base, kv_blocks=problem.blocks(base, problem.known.kv_tokens[:1]))
    trials = [
        problem.solve(replace(first, max_batched_tokens=budget), begin, 7, cost) for budget, cost in BUDGETS.items()
    ]
    best = min(trials, key=lambda trial: trial.cost)
    best = problem.solve(best.base, best.x, 7, BUDGETS[best.base.max_batched_tokens])
    read = False
    for tokens, cost in problem.memories():
        blocks = problem.blocks(base, (tokens,))
        trial = problem.solve(replace(best.base, kv_blocks=blocks), best.x, 7, cost)
        if trial.cost < best.cost - GAIN_MIN:
            best, read = trial, True
    end = problem.solve(best.base, best.x, 14)
    model, rounds = problem.engine(end.base, end.x), _rounds(end.x)
    ttft, tpot = problem.errors(model, rounds)
    lengths = tuple(sorted({(point.input_tokens, point.output_tokens) for point in points}))
    clients = max(point.concurrency for point in points)
    return PointFit(model, rounds, _rms(ttft), _rms(tpot), problem.known.preempts, read, lengths, clients)


def _refuse(points: Sequence[LoadPoint]) -> None:
    lengths = {(point.input_tokens, point.output_tokens) for point in points}
    needed = POINTS_MIN if len(lengths) == 1 else SHAPES_POINTS_MIN
    if sum(p.tpot_s is not None for p in points) < needed or not any(p.ttft_s for p in points):
        raise CalibrationError(
            f"{len(points)} load points of {len(lengths)} lengths, {sum(p.tpot_s is not None for p in points)} with a "
            f"TPOT and {sum(bool(p.ttft_s) for p in points)} with a TTFT: {needed} and one are needed; measure another "
            "concurrency, streamed, so that first tokens are seen"
        )


@dataclass(frozen=True)
class Trial:
    """Where a search ended: cost, shares of each term, and the engine's limits it was made with."""

    cost: float
    x: Floats
    base: StepModel


class Problem:
    """Load points to be explained by one engine."""

    def __init__(self, points: Sequence[LoadPoint], known: Known) -> None:
        self.points, self.known = points, known
        self.start, self.scale = _start(points)
        free = [True] * TERMS
        free[EXPERT_TERM] = known.experts_ratio is not None
        self.free = np.flatnonzero(free)

    def begin(self) -> Floats:
        """Where every search begins."""
        start = self.start.copy()
        for term, seconds in ((1, self.known.prefill_s_per_token), (4, self.known.kv_read_s_per_token)):
            if seconds is not None:
                start[term] = seconds / self.scale[term]
        return np.concatenate([start, [0.0, EXPERTS if self.known.experts_ratio else 0.0, 0.1, 0.05]])

    def blocks(self, base: StepModel, tokens: tuple[float, ...]) -> int:
        """KV blocks for so many tokens, and never fewer than one request needs; what the base has for none."""
        if not tokens:
            return base.kv_blocks
        longest = max(p.input_tokens / (0.5 + 0.5 * p.spread) + 2 * p.output_tokens for p in self.points)
        return math.ceil(max(tokens[0], longest) / base.block_tokens) + 2

    def memories(self) -> Iterator[tuple[float, float]]:
        """Sizes of the KV memory to try, in tokens, and what the logarithm of their likelihood costs."""
        needed = max(p.concurrency * (p.input_tokens + p.output_tokens) for p in self.points)
        sizes = self.known.kv_tokens
        for size in sizes:
            for factor in MEMORY_FACTORS:
                if size * factor < 1.2 * needed:
                    yield size * factor, _memory_cost(factor) + (0.0 if size == sizes[0] else WIDTH_COST)
        if not sizes:
            yield from ((size, 0.0) for size in _jump_sizes(self.points))
        elif min(sizes) * MEMORY_FACTORS[0] < needed:
            yield AMPLE_TOKENS, _memory_cost(math.exp(3 * MEMORY_SIGMA))

    def engine(self, base: StepModel, x: Floats) -> StepModel:
        """The engine at shares x of the scale."""
        a, b, e, c, d, overhead = (float(value) for value in x[:6] * self.scale)
        more_s, prompts_s = float(x[EXPERT_TERM] * self.scale[0]), float(x[PROMPT_TERM] * self.scale[0])
        with_prompts = Coefficients(a + more_s + prompts_s, b, e, c, d)
        alone: tuple[Coefficients, ...] = (Coefficients(a, b, e, c, d, bucket_tokens=0),)
        if self.known.experts_ratio is not None:
            alone = _expert_buckets(alone[0], more_s, self.known.experts_ratio)
        front = float(x[FRONT_TERM] * self.scale[1])
        buckets = (*alone, with_prompts)
        return replace(base, buckets=buckets, ttft_overhead_s=overhead, ttft_overhead_s_per_token=front)

    def errors(self, model: StepModel, rounds: float) -> tuple[Floats, Floats]:
        """Logarithms of predicted over stated, TTFT and TPOT."""
        ttft, tpot = [], []
        for point in self.points:
            try:
                made = report(replace(point, rounds=rounds), model, preempts=self.known.preempts)
            except ServiceError:
                made = Report(math.inf, math.inf, 0.0)
            if point.ttft_s:
                ttft.append(math.log(max(made.ttft_s, 1e-9) / point.ttft_s))
            if point.tpot_s:
                tpot.append(math.log(max(made.tpot_s, 1e-9) / point.tpot_s))
        return np.clip(np.array(ttft), -5, 5), np.clip(np.array(tpot), -5, 5)

    def solve(self, base: StepModel, begin: Floats, evaluations: int, limits_cost: float = 0.0) -> Trial:
        """Bounded least squares with the limits of `base`."""
        low, high = LOW[self.free], HIGH[self.free]

        def full(z: Floats) -> Floats:
            x = np.zeros(TERMS)
            x[self.free] = z
            return x

        def residuals(z: Floats) -> Floats:
            x = full(z)
            ttft, tpot = self.errors(self.engine(base, x), _rounds(x))
            return np.concatenate([ttft / TTFT_SIGMA, tpot / TPOT_SIGMA, self._prior(x)])

        def jacobian(z: Floats) -> Floats:
            here, columns = residuals(z), []
            for column, term in enumerate(self.free):
                step = 0.1 if term == ROUNDS_TERM else max(DIFFERENCE * z[column], DIFFERENCE / 4)
                moved = z.copy()
                moved[column] += step
                columns.append((residuals(moved) - here) / step)
            return np.column_stack(columns)

        start = np.clip(begin[self.free], low + 1e-6, high - 1e-6)
        end = least_squares(
            residuals, start, jac=jacobian, bounds=(low, high), loss="soft_l1", max_nfev=evaluations, x_scale="jac"
        )
        return Trial(float(end.cost) + limits_cost, full(end.x), base)

    def _prior(self, x: Floats) -> Floats:
        """Pulls, in standard deviations: to what arithmetic expects where it does, else to nothing."""
        terms = PRIOR * x[1:6]
        terms[0] = self._expected(x, 1, self.known.prefill_s_per_token, PREFILL_SIGMA, terms[0])
        terms[3] = self._expected(x, 4, self.known.kv_read_s_per_token, KV_READ_SIGMA, terms[3])
        experts = (x[EXPERT_TERM] - EXPERTS) / EXPERTS_SIGMA if self.known.experts_ratio is not None else 0.0
        others = (x[ROUNDS_TERM] / ROUNDS_SIGMA, experts, PROMPT_PRIOR * x[PROMPT_TERM], FRONT_PRIOR * x[FRONT_TERM])
        return np.concatenate([terms, others])

    def _expected(self, x: Floats, term: int, seconds: float | None, sigma: float, otherwise: float) -> float:
        if seconds is None:
            return otherwise
        return math.log(max(float(x[term] * self.scale[term]), 1e-4 * seconds) / seconds) / sigma


def _expert_buckets(alone: Coefficients, more_s: float, ratio: float) -> tuple[Coefficients, ...]:
    """Steps without prompts of a mixture of experts: B requests read 1 - exp(-B / ratio) of what all experts add."""
    buckets, below = [], 0
    for batch in BATCHES:
        low_s, high_s = (more_s * (1 - math.exp(-n / ratio)) for n in (below, batch))
        slope_s = (high_s - low_s) / (batch - below)
        a = max(alone.a + low_s - slope_s * below, 0.0)
        buckets.append(replace(alone, a=a, c=alone.c + slope_s, bucket_seqs=batch))
        below = batch
    return tuple(buckets)


def _memory_cost(factor: float) -> float:
    return 0.5 * (math.log(factor) / MEMORY_SIGMA) ** 2


def _jump_sizes(points: Sequence[LoadPoint]) -> list[float]:
    """KV tokens between what the last point before a jump needs and what the first behind it does."""
    sizes = []
    lengths = {(p.input_tokens, p.output_tokens) for p in points if p.ttft_s}
    for prompt, answer in sorted(lengths):
        curve = sorted(
            (p for p in points if p.ttft_s and (p.input_tokens, p.output_tokens) == (prompt, answer)),
            key=lambda p: p.concurrency,
        )
        for below, above in itertools.pairwise(curve):
            if (above.ttft_s or 0.0) > JUMP * (below.ttft_s or math.inf):
                low, high = (p.concurrency * (prompt + answer) for p in (below, above))
                sizes += [low, math.sqrt(low * high), 0.9 * high]
    return sizes


def _rounds(x: Floats) -> float:
    return ROUNDS * float(np.exp(x[ROUNDS_TERM]))


def _start(points: Sequence[LoadPoint]) -> tuple[Floats, Floats]:
    """Shares by least squares on TPOT at the batch that Little's law gives, and what each term's whole share is."""
    with_tpot = [p for p in points if p.tpot_s]
    rows, gaps = [], []
    for p in with_tpot:
        assert p.tpot_s is not None
        decode_s = p.output_tokens * p.tpot_s
        batch = p.concurrency * decode_s / ((p.ttft_s or 0.0) + decode_s)
        prompts = batch * p.input_tokens / p.output_tokens
        context = batch * (p.input_tokens + p.output_tokens / 2)
        rows.append([1.0, prompts, prompts * p.input_tokens / 2, batch, context])
        gaps.append(p.tpot_s)
    design, seconds = np.array(rows), np.array(gaps)
    largest = np.maximum(design.max(axis=0), 1e-12)
    weighted = design / seconds[:, None]
    norm = np.maximum(np.abs(weighted).max(axis=0), 1e-30)
    values = nnls(weighted / norm, np.ones(len(seconds)))[0] / norm
    first_s = min(p.ttft_s for p in points if p.ttft_s)
    top_s = float(seconds.max())
    shortest = min(points, key=lambda p: p.input_tokens).input_tokens
    scale = np.array(
        [
            float(seconds.min()),
            first_s / shortest,
            first_s / (shortest**2 / 2),
            top_s / largest[3],
            top_s / largest[4],
            first_s,
        ]
    )
    begin = np.array([max(values[0] / scale[0], 0.3), *(values[1:] / scale[1:5]), 0.2])
    begin[1] = begin[1] if 0.05 < begin[1] < 1 else 0.5
    return np.minimum(begin, 2.0), scale


def _rms(errors: Floats) -> float:
    return float(np.sqrt(np.mean(errors**2))) if len(errors) else 0.0
