"""What a step model says of one run before it is made: a file that can be committed, and be wrong.

A plan rests on a simulated replica. This holds that simulation against a real one: the exact arrivals and lengths of a
run to come are simulated, each figure gets a range, and the run's own figures are later put beside it.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np
from scipy.special import ndtri, stdtrit

from capacity.calibration.certainty import KNOWN
from capacity.calibration.hits import as_measured
from capacity.calibration.observed import Observed
from capacity.plan import PlanError
from capacity.simulator.engine import simulate
from capacity.simulator.rate_at_slo import latencies
from capacity.simulator.requests import Floats, Ints, Requests, ServiceError
from host.atomic import write_text
from host.json_text import read_json_object
from neuron_bench.step_model import Coefficients, StepModel

SCHEMA = "peakday.prediction/1"
CONFIDENCE = 0.9
DRAWS, RATE_DRAWS, HELD_OUT_DRAWS = 40, 12, 12
FLOORS = {"output_tokens_per_s": 0.003, "p50": 0.015, "p95": 0.05, "p99": 0.05}
"""Error of the model itself, as a logarithm, by the end of a metric's name: below it no range is believed."""
BELIEF = 8.0
"""Held-out load steps that what coefficients and pace say of a prediction is worth. 1 to 4 left 96% of random engines
inside their 90% range, 8 left 93% and 15 left 88% (94 figures of engines 0 to 56 and 184 to 210)."""
RATE_MISFIT = 2.0
"""Rates at an SLO of random engines lay twice as far off as coefficients and pace say (docs/validation.md): p99s tell
what the law leaves out."""
BEYOND = 1.1
"""A prediction this many times past what was calibrated carries a warning."""
OWN_ERRORS_MIN = 3
"""Held-out load steps that a metric's own error needs; below this the errors of all metrics are pooled."""


@dataclass(frozen=True)
class Predicted:
    """One figure of the run to come: its value, and the range that should hold it with `CONFIDENCE`."""

    metric: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Prediction:
    """The content of a prediction file. `arrivals_sha256` ties it to the run that must replay the same file."""

    name: str
    created_utc: str
    step_model: str
    step_model_sha256: str
    arrivals: str
    arrivals_sha256: str
    calls: int
    rate_per_s: float
    figures: tuple[Predicted, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """One predicted figure beside the measured one."""

    predicted: Predicted
    measured: float

    @property
    def error_ratio(self) -> float:
        """(predicted - measured) / measured."""
        return (self.predicted.value - self.measured) / self.measured

    @property
    def inside(self) -> bool:
        """The measurement lies in the predicted range."""
        return self.predicted.low <= self.measured <= self.predicted.high


def predict_figures(work: Requests, model: StepModel, *, seed: int) -> tuple[Predicted, ...]:
    """Throughput, TPOT and TTFT of these very requests on one replica, each with its range.

    The range is what coefficients and the machine's pace on another day leave open (covariance and `pace_sigma`,
    simulated), scaled by how far held-out load steps lay from their predictions against what was expected of them, and
    widened by Student's t for how few they are. Where no such expectation is there, as in older files, their errors
    are joined to it.

    Raises:
        PlanError: the step model has no hold-out table or no covariance, so no range could be given.
    """
    if not model.hold_out or model.covariance is None:
        raise PlanError(
            f"{model.model_id} on {model.chip}: no hold-out table or covariance; a prediction without a range is "
            "worth nothing: calibrate it from a rate sweep"
        )
    work = as_measured(work, model)
    mid = _simulated(work, model)
    rng = np.random.default_rng([seed, 0x9E1D])
    drawn = [_simulated(work, _drawn(model, rng)) for _ in range(DRAWS)]
    figures = []
    for metric, value in mid.items():
        half = _half_width(model, metric, log_spread(drawn, metric))
        figures.append(Predicted(metric, value, value * math.exp(-half), value * math.exp(half)))
    return tuple(figures)


def log_spread(drawn: Sequence[Mapping[str, float]], metric: str) -> float:
    """Standard deviation of the logarithm of one figure over draws, the model's own floor included."""
    spread = float(np.std([math.log(max(draw[metric], 1e-9)) for draw in drawn], ddof=1))
    return math.hypot(spread, next(floor for end, floor in FLOORS.items() if metric.endswith(end)))


def with_expected(model: StepModel, runs: Sequence[Observed]) -> StepModel:
    """The model with each held-out row's sigma: what its covariance and pace leave open of that load step."""
    rng = np.random.default_rng(0x9E1F)
    engines = [_drawn(model, rng) for _ in range(HELD_OUT_DRAWS)]
    drawn: dict[str, list[dict[str, float]]] = {}
    for run in runs:
        with contextlib.suppress(ServiceError):
            drawn[f"{run.name} at {run.rate_per_s:.3g}/s"] = [_simulated(run.requests(), each) for each in engines]
    table = [
        replace(row, sigma=log_spread(figures, row.metric)) if (figures := drawn.get(row.case)) else row
        for row in model.hold_out
    ]
    return replace(model, hold_out=tuple(table))


def rate_error(rate: Callable[[StepModel], float], model: StepModel) -> float:
    """One sigma of the logarithm of a rate of this engine, by what its load steps leave open; infinite where unknown.

    That is the covariance and the level of the machine's pace, which their number averages; another day has its own.
    Where a drawn engine has steps that take no time, or no rate at all, the load steps leave the rate open.
    """
    if model.covariance is None or not model.inputs:
        return math.inf
    level = replace(model, pace_sigma=(model.pace_sigma or 0.0) / math.sqrt(len(model.inputs)))
    rng = np.random.default_rng(0x9E1E)
    try:
        rates = np.array([rate(_drawn(level, rng)) for _ in range(RATE_DRAWS)])
    except ServiceError:
        return math.inf
    return RATE_MISFIT * float(np.std(np.log(rates), ddof=1)) if (rates > 0).all() else math.inf


def extrapolations(work: Requests, model: StepModel) -> tuple[str, ...]:
    """Where these requests leave what the step model was calibrated on, by their mean lengths and their rate."""
    span_s = float(work.arrival_s[-1] - work.arrival_s[0])
    means = {
        "input_tokens": float((work.input_tokens - work.cached_tokens).mean()),
        "output_tokens": float(work.output_tokens.mean()),
        "context_tokens": float((work.input_tokens + work.output_tokens / 2).mean()),
        "requests_per_s": (len(work) - 1) / span_s if span_s > 0 else math.inf,
    }
    beyond = [
        f"{name}: {value:.3g} is beyond the {model.validity[name][1]:.3g} that was measured"
        for name, value in means.items()
        if name in model.validity and value > BEYOND * model.validity[name][1]
    ]
    known_per_s = model.validity.get(KNOWN, (0.0, math.inf))[1]
    if means["requests_per_s"] > BEYOND * known_per_s:
        reach = f"up to {known_per_s:.3g} only" if known_per_s else "at no rate that was drawn"
        beyond.append(
            f"requests_per_s: {means['requests_per_s']:.3g}, and medians are known {reach}, by what the load steps "
            "leave open of pace and coefficients; the step model's notes say how far off they may be, and what to "
            "measure next"
        )
    return tuple(beyond)


def measured_figures(run: Observed) -> dict[str, float]:
    """The figures of a run, by the names `predict_figures` gives them."""
    end_s = run.arrival_s + run.ttft_s + run.decode_s
    return load_step_figures(run.arrival_s, end_s, run.output_tokens, run.ttft_s[run.included], run.tpot_s)


def load_step_figures(
    arrival_s: Floats, end_s: Floats, output_tokens: Ints, ttft_s: Floats, tpot_s: Floats
) -> dict[str, float]:
    """Throughput over the whole run, medians, and the furthest quantile that has ten calls beyond it.

    Answers of one token have no TPOT; where all are, there is no figure of it.
    """
    span_s = float(end_s.max() - arrival_s.min())
    tails = [share for share in (0.99, 0.95) if len(ttft_s) * (1 - share) >= 10 - 1e-9][:1]
    figures = {"output_tokens_per_s": float(output_tokens.sum()) / span_s}
    for quantile in (0.5, *tails):
        label = f"p{round(quantile * 100)}"
        if len(tpot_s):
            figures[f"tpot_s_{label}"] = float(np.quantile(tpot_s, quantile))
        figures[f"ttft_s_{label}"] = float(np.quantile(ttft_s, quantile))
    return figures


def score_prediction(prediction: Prediction, run: Observed) -> tuple[Outcome, ...]:
    """Each predicted figure beside the run's own, the worst first.

    Raises:
        PlanError: the run measured none of them, as when it is too short for their quantiles.
    """
    measured = measured_figures(run)
    outcomes = [Outcome(figure, measured[figure.metric]) for figure in prediction.figures if figure.metric in measured]
    if not outcomes:
        raise PlanError(f"{run.name}: none of the predicted figures can be measured in {len(run.arrival_s)} calls")
    return tuple(sorted(outcomes, key=lambda outcome: -abs(outcome.error_ratio)))


def refuse_hindsight(created_utc: str, started_utc: str, what: str) -> None:
    """A prediction must be older than what it predicts.

    Raises:
        PlanError: it is not, or one of the times is none.
    """
    try:
        late = _moment(created_utc) >= _moment(started_utc)
    except ValueError:
        raise PlanError(
            f"{what}: {created_utc!r} or {started_utc!r} is no time, so they cannot be put in order"
        ) from None
    if late:
        raise PlanError(
            f"{what}: of {created_utc}, and the run started at {started_utc}: a prediction must be older than what it "
            "predicts; score it against a later run"
        )


def write_prediction(prediction: Prediction, path: Path) -> Path:
    """Write aside, then rename."""
    write_text(path, json.dumps({"schema": SCHEMA, **asdict(prediction)}, indent=1, allow_nan=False) + "\n")
    return path


def read_prediction(path: Path) -> Prediction:
    """Read and check a prediction file.

    Raises:
        PlanError: it cannot be read, or is no prediction; one line that names the file.
    """
    raw = read_json_object(path, error=PlanError)
    if raw.pop("schema", None) != SCHEMA:
        raise PlanError(f"{path}: no prediction of schema {SCHEMA}; make one with `peakday plan predict`")
    try:
        figures = tuple(Predicted(**figure) for figure in raw.pop("figures"))
        return Prediction(**raw | {"warnings": tuple(raw.get("warnings", ()))}, figures=figures)
    except (KeyError, TypeError) as error:
        raise PlanError(f"{path}: damaged ({error}); make it anew with `peakday plan predict`") from None


def _simulated(work: Requests, model: StepModel) -> dict[str, float]:
    times = latencies(work, simulate(work, model), model)
    end_s = work.arrival_s + times.e2e_s
    return load_step_figures(work.arrival_s, end_s, work.output_tokens, times.ttft_s, times.tpot_s)


def _drawn(model: StepModel, rng: np.random.Generator) -> StepModel:
    """The model with coefficients drawn from their covariance, none below zero, on a machine whose pace is drawn too.

    A graph of an engine that pads is one constant, a + b T + e T^2/2 + c S of its size: it moves as they do, and terms
    that are not below zero leave no graph quicker than one that holds less.
    """
    pace = math.exp(rng.normal(0.0, model.pace_sigma or 0.0))
    assert model.covariance is not None
    moved = rng.multivariate_normal(np.zeros(5), np.array(model.covariance), method="eigh")
    drawn = [_moved(k, moved) for k in model.buckets]
    slowest = [max(k.a for k in drawn if _holds(larger, k)) if _constant(larger) else larger.a for larger in drawn]
    buckets = tuple(
        replace(k, a=pace * a, b=pace * k.b, e=pace * k.e, c=pace * k.c, d=pace * k.d)
        for k, a in zip(drawn, slowest, strict=True)
    )
    return replace(model, buckets=buckets, ttft_overhead_s=pace * model.ttft_overhead_s)


def _constant(k: Coefficients) -> bool:
    """Of a graph that takes the same whatever fills it."""
    return k.bucket_tokens is not None and k.b == k.e == k.c == 0


def _holds(larger: Coefficients, k: Coefficients) -> bool:
    """Whether a graph holds whatever another does."""
    sizes = ((larger.bucket_tokens, k.bucket_tokens), (larger.bucket_seqs, k.bucket_seqs))
    return all(least is not None and least <= most for most, least in sizes if most is not None)


def _moved(k: Coefficients, by: Floats) -> Coefficients:
    a, b, e, c, d = (float(value) for value in by)
    if _constant(k):
        size, seqs = k.bucket_tokens or 0, k.bucket_seqs or 0
        a, b, e, c = a + b * size + e * size**2 / 2 + c * seqs, 0.0, 0.0, 0.0
    here = np.array([k.a, k.b, k.e, k.c, k.d])
    a, b, e, c, d = (float(value) for value in np.maximum(here + np.array([a, b, e, c, d]), 0.0))
    return Coefficients(a, b, e, c, d, k.bucket_tokens, k.bucket_seqs)


def _half_width(model: StepModel, metric: str, spread: float) -> float:
    """Of the range of a metric's logarithm; its own held-out rows count, or all where it has too few."""
    own = [row for row in model.hold_out if row.metric == metric]
    rows = own if len(own) >= OWN_ERRORS_MIN else model.hold_out
    known = [(row.error_ratio, row.sigma) for row in rows if row.sigma is not None]
    if len(known) < len(rows):
        rms = math.sqrt(sum(row.error_ratio**2 for row in rows) / len(rows))
        return math.hypot(_t(len(rows)) * rms, float(ndtri((1 + CONFIDENCE) / 2)) * spread)
    against = sum((math.log1p(error) / sigma) ** 2 for error, sigma in known)
    return _t(BELIEF + len(known)) * math.sqrt((BELIEF + against) / (BELIEF + len(known))) * spread


def _t(freedom: float) -> float:
    return float(stdtrit(freedom, (1 + CONFIDENCE) / 2))


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
