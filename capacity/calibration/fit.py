"""From timings of a real engine to a `StepModel`: non-negative least squares, refined by simulating the same requests.

A request's waiting and decoding last as long as the steps it sits in, and a step's length is linear in the unknown
coefficients once we know what it held. The measured times themselves say most of that, for a first fit of the decodes.
Then the observed arrivals are simulated, each request's step terms summed and fitted, and again while it gets better;
and at last the coefficients are moved to where the simulated quantiles lie nearest the measured ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import minimize, nnls

from capacity.calibration.observed import Observed
from capacity.plan import PlanError, weakest
from capacity.simulator.engine import simulate
from capacity.simulator.rate_at_slo import latencies
from capacity.simulator.reference import simulate_logged
from capacity.simulator.requests import Floats
from neuron_bench.step_model import Coefficients, HoldOut, StepModel

ROUNDS = 8
POLISH_MAX = 600
CLEARLY_NEARER = 1.5
"""A ladder's own law replaces that of a bench when its loss is this many times less."""
QUANTILES = (0.5, 0.75, 0.9, 0.95, 0.99)
BOOTSTRAPS = 200
CALLS_MIN = 200
TOGETHER_MIN = 4.0
"""Requests decoding together, on average, in the busiest run: below this no run shows what a batch costs."""
ERROR_MAX = 0.5
"""A fit that is further off on runs it never saw is refused."""
CONDITION_MAX = 1e3
P99_CALLS_MIN = 1_000
"""Ten calls beyond the p99; below this the p95 stands in."""


class CalibrationError(PlanError):
    """Timings that cannot be calibrated from; the message names the measurement to take next."""


@dataclass(frozen=True)
class EngineLimits:
    """What the one replica behind the runs was started with; it cannot be told from timings."""

    max_num_seqs: int
    max_batched_tokens: int
    block_tokens: int
    kv_blocks: int


@dataclass(frozen=True)
class Identity:
    """What was measured: written into the step model as given."""

    model_id: str
    chip: str
    tp: int
    chips_per_replica: float
    engine: str
    version: str
    date: str
    instance_type: str | None = None


def calibrate(
    runs: Sequence[Observed],
    limits: EngineLimits,
    identity: Identity,
    *,
    seed: int = 1,
    bench: StepModel | None = None,
) -> StepModel:
    """Fit on alternate runs of a ladder, predict the others, and say how far off that was.

    With fewer than three runs the last third of each is held out. Runs are ordered by their rate. A bench of the same
    model tells apart what a ladder cannot (prompts of one length, say): its law is another place to start from, and is
    kept unless the ladder's own comes clearly nearer to the fitted runs.

    Raises:
        CalibrationError: too few calls, nothing but light load, or invented provenance.
    """
    _refuse(runs)
    ladder = sorted(runs, key=lambda run: run.rate_per_s)
    if len(ladder) >= 3:
        fitted, held = ladder[::2], ladder[1::2]
    else:
        parts = [run.split(2 / 3) for run in ladder]
        fitted, held = [first for first, _ in parts], [last for _, last in parts]
    model = _fit(fitted, _start(fitted, limits, identity), bench)
    if max(_together(run, model) for run in ladder) < TOGETHER_MIN:
        raise CalibrationError(_light(ladder, model))
    table = tuple(row for run in held for row in hold_out_rows(run, model))
    if (error := _relative_error(table)) > ERROR_MAX:
        worst = max(table, key=lambda row: abs(row.error_ratio))
        raise CalibrationError(
            f"held out {worst.case}: {worst.metric} is {worst.error_ratio:+.0%} off, {error:.0%} over all; such a law "
            "predicts nothing: check the engine's limits, one replica behind the address, and that runs were alike"
        )
    covariance, condition = _covariance(_design(fitted, model), seed)
    return replace(
        model,
        covariance=covariance,
        condition_number=condition,
        validity=_validity(ladder, model),
        hold_out=table,
        relative_error=error,
        provenance=weakest([*(run.provenance for run in runs), *([bench.provenance] if bench else [])]),
        inputs=(*(run.name for run in ladder), *(bench.inputs if bench else ())),
        notes=_notes(model, condition),
    )


def _fit(runs: Sequence[Observed], begun: StepModel, bench: StepModel | None) -> StepModel:
    alone = _polish(runs, _refine(runs, begun))
    if bench is None:
        return alone
    both = _polish(runs, _with(begun, _values(bench)))
    return both if _quantile_loss(runs, both) <= CLEARLY_NEARER * _quantile_loss(runs, alone) else alone


def hold_out_rows(run: Observed, model: StepModel) -> list[HoldOut]:
    """What the model predicts for a run it may never have seen, beside what was measured.

    Quantiles whose tail holds fewer than ten calls are left out: p99 below 1,000 calls, p95 below 200.
    """
    work = run.requests()
    served = simulate(work, model)
    predicted = latencies(work, served, model)
    ttft_s, tpot_s = predicted.ttft_s[run.included], predicted.tpot_s[run.included[run.output_tokens > 1]]
    measured_end = run.arrival_s + run.ttft_s + run.decode_s
    predicted_end = work.arrival_s + predicted.e2e_s
    tokens = float(run.output_tokens.sum())
    rows = [
        (
            "output_tokens_per_s",
            tokens / _span(run.arrival_s, measured_end),
            tokens / _span(run.arrival_s, predicted_end),
        ),
        ("tpot_s_p50", _at(run.tpot_s, 0.5), _at(tpot_s, 0.5)),
        ("ttft_s_p50", _at(run.ttft_s[run.included], 0.5), _at(ttft_s, 0.5)),
    ]
    included = int(run.included.sum())
    tail = 0.99 if included >= P99_CALLS_MIN else 0.95
    if included >= CALLS_MIN:
        label = f"p{round(tail * 100)}"
        rows.append((f"tpot_s_{label}", _at(run.tpot_s, tail), _at(tpot_s, tail)))
        rows.append((f"ttft_s_{label}", _at(run.ttft_s[run.included], tail), _at(ttft_s, tail)))
    case = f"{run.name} at {run.rate_per_s:.3g}/s"
    return [HoldOut(case, name, measured, predicted, included) for name, measured, predicted in rows]


def _refine(runs: Sequence[Observed], model: StepModel) -> StepModel:
    """Simulate and fit in turn; a whole, half or quarter step is taken, whichever predicts the times best, or none."""
    loss = _loss(runs, model)
    for _ in range(ROUNDS):
        here = _values(model)
        there = _solve(_design(runs, model))
        tried = [_with(model, here + share * (there - here)) for share in (1.0, 0.5, 0.25)]
        losses = [_loss(runs, candidate) for candidate in tried]
        best = int(np.argmin(losses))
        if losses[best] > loss * (1 - 1e-4):
            break
        model, loss = tried[best], losses[best]
    return model


def _polish(runs: Sequence[Observed], model: StepModel) -> StepModel:
    """Move the coefficients to where the simulated quantiles lie nearest the measured ones; what is zero stays zero.

    Squares of relative errors make a law too fast by the square of the scatter, and promises are kept by quantiles.
    """
    start = _values(model)
    used = np.flatnonzero(start)

    def moved(logs: Floats) -> StepModel:
        values = start.copy()
        values[used] = np.exp(logs)
        return _with(model, values)

    first = np.log(start[used])
    corners = np.vstack([first, first + 0.2 * np.eye(len(used))])
    found = minimize(
        lambda logs: _quantile_loss(runs, moved(logs)), first, method="Nelder-Mead",
        options={"initial_simplex": corners, "maxfev": POLISH_MAX},
    )  # fmt: skip
    return moved(found.x)


def _quantile_loss(runs: Sequence[Observed], model: StepModel) -> float:
    """Mean squared logarithm of predicted over measured quantiles, of first tokens and gaps, run by run."""
    errors = []
    for run in runs:
        work = run.requests()
        seen = latencies(work, simulate(work, model), model)
        included = run.included
        pairs = (
            (seen.ttft_s[included], run.ttft_s[included]),
            (seen.tpot_s[included[run.output_tokens > 1]], run.tpot_s),
        )
        for predicted, measured in pairs:
            shares = [share for share in QUANTILES if len(measured) * (1 - share) >= 10]
            errors.append(_logs(np.quantile(predicted, shares), np.quantile(measured, shares)))
    return float(np.mean(np.concatenate(errors) ** 2))


def _logs(predicted: Floats, measured: Floats) -> Floats:
    """Logarithm of predicted over measured seconds, a nanosecond at least."""
    return np.asarray(np.log(np.maximum(predicted, 1e-9) / np.maximum(measured, 1e-9)))


def _loss(runs: Sequence[Observed], model: StepModel) -> float:
    """Mean squared logarithm of predicted over measured times, first tokens and decodes alike."""
    errors = []
    for run in runs:
        work = run.requests()
        served = simulate(work, model)
        seen = latencies(work, served, model)
        included = run.included
        errors.append(_logs(seen.ttft_s[included], run.ttft_s[included]))
        errors.append(_logs(seen.tpot_s[included[run.output_tokens > 1]], run.tpot_s))
    return float(np.mean(np.concatenate(errors) ** 2))


@dataclass(frozen=True)
class _Design:
    """Rows of the linear system: terms [m, 6] of (1, P, PX, B, K, overhead), seconds [m], block of each row [m]."""

    terms: Floats
    seconds: Floats
    block: np.typing.NDArray[np.int64]


def _design(runs: Sequence[Observed], model: StepModel) -> _Design:
    """A row for each request's way to its first token, and one for its decoding."""
    terms, seconds, blocks = [], [], []
    for number, run in enumerate(runs):
        work = run.requests()
        served, log = simulate_logged(work, model)
        n = len(work)
        first = np.column_stack([log.between(work.arrival_s, served.first_s), np.ones(n)])
        rest = np.column_stack([log.between(served.first_s, served.end_s), np.zeros(n)])
        included, decoded = run.included, run.decoded
        terms += [first[included], rest[decoded]]
        seconds += [run.ttft_s[included], run.decode_s[decoded]]
        block = number * 1_000 + (np.arange(n) * 20) // n
        blocks += [block[included], block[decoded]]
    return _Design(np.concatenate(terms), np.concatenate(seconds), np.concatenate(blocks))


def _solve(design: _Design, chosen: Floats | None = None) -> Floats:
    """Relative errors are what noise makes, so each row is divided by its time; columns are scaled to one."""
    rows = slice(None) if chosen is None else chosen
    weight = 1 / np.maximum(design.seconds[rows], 1e-4)
    weighted = design.terms[rows] * weight[:, None]
    scale = np.maximum(np.sqrt((weighted**2).mean(axis=0)), 1e-30)
    found, _ = nnls(weighted / scale, design.seconds[rows] * weight)
    return np.asarray(found / scale)


def _covariance(design: _Design, seed: int) -> tuple[tuple[tuple[float, ...], ...], float]:
    """Bootstrap over twentieths of runs, whose requests share their luck; condition number of the columns in use."""
    rng = np.random.default_rng([seed, 0xB007])
    blocks = np.unique(design.block)
    members = [np.flatnonzero(design.block == block) for block in blocks]
    draws = []
    for _ in range(BOOTSTRAPS):
        picked = np.concatenate([members[i] for i in rng.integers(0, len(members), len(members))])
        draws.append(_solve(design, picked)[:5])
    weighted = design.terms / np.maximum(design.seconds, 1e-4)[:, None]
    norms = np.sqrt((weighted**2).mean(axis=0))
    used = (_solve(design) > 0) & (norms > 0)
    condition = float(np.linalg.cond(weighted[:, used] / norms[used]))
    matrix = np.cov(np.array(draws).T)[np.ix_([0, 1, 2, 3, 4], [0, 1, 2, 3, 4])]
    return tuple(tuple(float(value) for value in row) for row in matrix), condition


def _start(runs: Sequence[Observed], limits: EngineLimits, identity: Identity) -> StepModel:
    """A first fit of the decodes alone, from what the measured times themselves say was in the batch."""
    terms = np.concatenate([_measured_terms(run) for run in runs])
    seconds = np.concatenate([run.decode_s[run.decoded] for run in runs])
    found = _solve(_Design(terms, seconds, np.zeros(len(seconds), dtype=np.int64)))
    base = StepModel(
        model_id=identity.model_id, chip=identity.chip, tp=identity.tp, chips_per_replica=identity.chips_per_replica,
        buckets=(Coefficients(1e-3, 0.0, 0.0, 0.0, 0.0),), max_num_seqs=limits.max_num_seqs,
        max_batched_tokens=limits.max_batched_tokens, block_tokens=limits.block_tokens, kv_blocks=limits.kv_blocks,
        ttft_overhead_s=0.0, gap_overhead_s=0.0, provenance="measured", relative_error=0.0, engine=identity.engine,
        version=identity.version, date=identity.date, source="peakday calibrate", instance_type=identity.instance_type,
    )  # fmt: skip
    return _with(base, found)


def _measured_terms(run: Observed) -> Floats:
    """(1, P, PX, B, K, 0) summed over each decode: its own steps, prompts that ended in it, its companions' batch."""
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
    together = _time_average(first_s, end_s, np.ones(len(first_s)))
    held = _time_average(first_s, end_s, run.input_tokens + run.output_tokens / 2)
    terms = np.column_stack([steps, prompts, x_context, steps * together, steps * held, np.zeros(len(steps))])
    return np.asarray(terms[run.decoded])


def _time_average(start_s: Floats, end_s: Floats, weight: Floats) -> Floats:
    """Mean over each interval of the summed weights of the intervals that hold each moment."""
    moments = np.concatenate([start_s, end_s])
    order = np.argsort(moments, kind="stable")
    level = np.cumsum(np.concatenate([weight, -weight])[order])
    at_s = moments[order]
    area = np.concatenate([[0.0], np.cumsum(level[:-1] * np.diff(at_s))])
    length_s = np.maximum(end_s - start_s, 1e-12)
    return np.asarray((np.interp(end_s, at_s, area) - np.interp(start_s, at_s, area)) / length_s)


def _values(model: StepModel) -> Floats:
    k = model.coefficients
    return np.array([k.a, k.b, k.e, k.c, k.d, model.ttft_overhead_s])


def _with(model: StepModel, values: Floats) -> StepModel:
    a, b, e, c, d, overhead = (float(value) for value in values)
    return replace(model, buckets=(Coefficients(a, b, e, c, d),), ttft_overhead_s=overhead)


def _together(run: Observed, model: StepModel) -> float:
    """Requests decoding together in this run, on average over its time."""
    return float(run.decode_s.sum()) / _span(run.arrival_s, run.arrival_s + run.ttft_s + run.decode_s)


def _validity(runs: Sequence[Observed], model: StepModel) -> dict[str, tuple[float, float]]:
    def over(values: list[float]) -> tuple[float, float]:
        return min(values), max(values)

    context = [float((run.input_tokens + run.output_tokens / 2).mean()) for run in runs]
    return {
        "input_tokens": over([float((run.input_tokens - run.cached_tokens).mean()) for run in runs]),
        "output_tokens": over([float(run.output_tokens.mean()) for run in runs]),
        "context_tokens": over(context),
        "decoding": (1.0, max(run.decoding_max() for run in runs)),
        "requests_per_s": over([run.rate_per_s for run in runs]),
    }


def _relative_error(table: Sequence[HoldOut]) -> float:
    """Root mean square of the hold-out errors: the stated one-sigma error of a predicted rate."""
    return math.sqrt(sum(row.error_ratio**2 for row in table) / len(table)) if table else 1.0


def _notes(model: StepModel, condition: float) -> tuple[str, ...]:
    k = model.coefficients
    notes = []
    if condition > CONDITION_MAX:
        notes.append(f"condition number {condition:.3g}: some coefficients trade against each other; see measure next")
    if k.b == 0 or k.e == 0:
        notes.append("measure next: a run with prompts several times longer, to tell b from e")
    if k.c == 0 or k.d == 0:
        notes.append("measure next: a run with longer contexts at the same rate, to tell c from d")
    return tuple(notes)


def _refuse(runs: Sequence[Observed]) -> None:
    calls = sum(len(run.arrival_s) for run in runs)
    if calls < CALLS_MIN:
        raise CalibrationError(f"{calls} calls with timings, {CALLS_MIN} needed; run longer or at a higher rate")
    for run in runs:
        if run.provenance == "schema_example":
            raise CalibrationError(f"{run.name}: schema_example values are invented; run against a real engine")


def _light(ladder: Sequence[Observed], model: StepModel) -> str:
    busiest = ladder[-1]
    seen = max(_together(run, model) for run in ladder)
    more = math.ceil(2 * TOGETHER_MIN / max(seen, 1e-3))
    return (
        f"{busiest.name}: at most {seen:.2g} requests decoded together, so what a batch costs was never seen; "
        f"a light load cannot size a fleet: measure at about {more} x {busiest.rate_per_s:.3g}/s"
    )


def _span(start_s: Floats, end_s: Floats) -> float:
    return float(end_s.max() - start_s.min())


def _at(values: Floats, quantile: float) -> float:
    return float(np.quantile(values, quantile)) if len(values) else 0.0
