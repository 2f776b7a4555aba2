"""A step model from load points: coefficients at which the simulated client reports what the table says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import least_squares, nnls

from capacity.calibration.clients import LoadPoint, report
from capacity.calibration.limits import CalibrationError
from capacity.calibration.search import with_values
from capacity.simulator.requests import Floats
from neuron_bench.step_model import StepModel

TTFT_SIGMA, TPOT_SIGMA = 0.10, 0.04
"""Errors of a published mean and of the model, as logarithms: one run a point, no repeats."""
PRIOR = 0.15
"""Pull of every term but `a` towards nothing, for curves of one length that cannot tell them apart."""
BUDGETS = (2048, 8192, 16384)
DIFFERENCE = 0.04
POINTS_MIN = 2
ROUNDS, ROUNDS_SIGMA = 10.0, 0.7
"""Requests per client where nothing else is known (the InferenceX recipe), and the spread of its logarithm."""


@dataclass(frozen=True)
class PointFit:
    """A fitted engine. residual: root mean square of the logarithms of predicted over stated, TTFT and TPOT.

    rounds: requests per client of the tool, which sources seldom state: it decides how much of a mean is opening burst.
    """

    model: StepModel
    rounds: float
    ttft_residual: float
    tpot_residual: float


def fit_points(points: Sequence[LoadPoint], base: StepModel) -> PointFit:
    """The engine behind a table.

    Raises:
        CalibrationError: fewer than two points with a TPOT, or none with a TTFT.
    """
    if sum(p.tpot_s is not None for p in points) < POINTS_MIN or not any(p.ttft_s for p in points):
        raise CalibrationError(
            f"{len(points)} load points: two with a TPOT and one with a TTFT are needed; measure another concurrency"
        )
    begin, scale = _start(points)
    trials = []
    for budget in BUDGETS:
        model = replace(base, max_batched_tokens=budget)
        trials.append((*_solve(points, model, begin, scale, 7), model))
    _, shares, model = min(trials, key=lambda trial: trial[0])
    _, shares = _solve(points, model, shares, scale, 14)
    fitted, rounds = with_values(model, shares[:6] * scale), _rounds(shares)
    ttft, tpot = _errors(points, fitted, rounds)
    return PointFit(fitted, rounds, _rms(ttft), _rms(tpot))


def _solve(
    points: Sequence[LoadPoint], model: StepModel, begin: Floats, scale: Floats, evaluations: int
) -> tuple[float, Floats]:
    def residuals(x: Floats) -> Floats:
        ttft, tpot = _errors(points, with_values(model, x[:6] * scale), _rounds(x))
        return np.concatenate([ttft / TTFT_SIGMA, tpot / TPOT_SIGMA, PRIOR * x[1:6], [x[6] / ROUNDS_SIGMA]])

    def jacobian(x: Floats) -> Floats:
        here = residuals(x)
        columns = []
        for term in range(7):
            step = max(DIFFERENCE * x[term], DIFFERENCE / 4) if term < 6 else 0.1
            moved = x.copy()
            moved[term] += step
            columns.append((residuals(moved) - here) / step)
        return np.column_stack(columns)

    low, high = np.array([0.02, 0, 0, 0, 0, 0, -1.6]), np.array([4.0, 4, 4, 4, 4, 4, 2.3])
    end = least_squares(
        residuals, np.clip(begin, low + 1e-6, high - 1e-6), jac=jacobian, bounds=(low, high), loss="soft_l1",
        max_nfev=evaluations, x_scale="jac",
    )  # fmt: skip
    return float(end.cost), np.asarray(end.x)


def _rounds(x: Floats) -> float:
    return ROUNDS * float(np.exp(x[6]))


def _errors(points: Sequence[LoadPoint], model: StepModel, rounds: float) -> tuple[Floats, Floats]:
    """Logarithms of predicted over stated."""
    ttft, tpot = [], []
    for point in points:
        made = report(replace(point, rounds=rounds), model)
        if point.ttft_s:
            ttft.append(np.log(max(made.ttft_s, 1e-9) / point.ttft_s))
        if point.tpot_s:
            tpot.append(np.log(max(made.tpot_s, 1e-9) / point.tpot_s))
    return np.clip(np.array(ttft), -5, 5), np.clip(np.array(tpot), -5, 5)


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
    return np.array([*np.minimum(begin, 2.0), 0.0]), scale


def _rms(errors: Floats) -> float:
    return float(np.sqrt(np.mean(errors**2))) if len(errors) else 0.0
