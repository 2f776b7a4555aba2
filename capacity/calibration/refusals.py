"""What a sweep cannot tell is refused or said, with the measurement to take next: light loads, limits, misfits."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from capacity.calibration.limits import CalibrationError, EngineLimits, ceilings
from capacity.calibration.observed import Observed
from capacity.calibration.search import Solution, with_values
from capacity.simulator.rate_at_slo import throughput_bound_per_s
from capacity.simulator.requests import Floats
from neuron_bench.step_model import HoldOut, StepModel

CALLS_MIN = 200
DECODED_MIN = 10
"""Answers of two tokens or more in every load step: a first token tells nothing of a step that decodes."""
TOGETHER_MIN = 4.0
"""Requests decoding together, on average, in the busiest run: below this no run shows what a batch costs."""
UTILISED_MIN = 0.5
"""Or a busiest run at this share of what the fit takes for the engine's bound: then it is not light at all."""
QUEUED = 3.0
"""A load step whose TTFT p50, or its tail, is this many times that of the lightest has a queue: first tokens are the
queue's, and near its beginning a median lies between those that waited and those that did not."""
STEP_MAX = 3
"""The next load step is at most so many times the busiest: far past saturation a step tells little but its queue."""
FAR = 2.0
"""A load step of more than so many times the rate of the next is predicted by nothing: left out, it tells no misfit."""
LIMIT_MATTERS = 1.15
"""A limit that nobody knows is asked for when it may move the rate of a full replica by more than this."""
ERROR_MAX = 0.5
"""A fit that is further off on runs it never saw is refused."""
CAPACITY_ERROR_MAX = 0.15
"""A fit that knows the rate of a full replica no better than this (one sigma of its logarithm) is refused."""
APART_MAX = 1.2
"""Paces further apart than so many times the stated drift: their own errors are a fifth of it."""


def first_refusal(*checks: Callable[[], None]) -> CalibrationError | None:
    """Why the first of these checks refuses; None where none does."""
    for check in checks:
        try:
            check()
        except CalibrationError as refusal:
            return refusal
    return None


def refuse_few(runs: Sequence[Observed]) -> None:
    """Refuse too few calls, load steps in which too few were decoded, and invented ones.

    Raises:
        CalibrationError: with how many are needed.
    """
    calls = sum(len(run.arrival_s) for run in runs)
    if calls < CALLS_MIN:
        raise CalibrationError(f"{calls} calls with timings, {CALLS_MIN} needed; run longer or at a higher rate")
    for run in runs:
        if run.provenance == "schema_example":
            raise CalibrationError(f"{run.name}: schema_example values are invented; run against a real engine")
        if len(run.tpot_s) < DECODED_MIN:
            raise CalibrationError(
                f"{run.name}: {len(run.tpot_s)} answers have two tokens or more, {DECODED_MIN} needed to tell what a"
                " step takes; leave the run out, or measure with longer answers"
            )


def refuse_misfit(table: Sequence[HoldOut], error: float) -> None:
    """Refuse predictions that are too far off, over all or in the gaps and throughput of one load step.

    Raises:
        CalibrationError: with the worst of them.
    """
    steady = [row for row in table if not row.metric.startswith("ttft")]
    by_step = {case: relative_error([row for row in steady if row.case == case]) for case in {r.case for r in table}}
    wrong = max(by_step.items(), key=lambda pair: pair[1], default=("", 0.0))
    if error <= ERROR_MAX and wrong[1] <= ERROR_MAX:
        return
    rows = table if error > ERROR_MAX else [row for row in steady if row.case == wrong[0]]
    worst = max(rows, key=lambda row: abs(row.error_ratio))
    raise CalibrationError(
        f"held out {worst.case}: {worst.metric} is {worst.error_ratio:+.0%} off, {error:.0%} over all; such a model "
        "predicts nothing: check how many replicas answer at the address, and that runs were alike, or measure "
        f"{worst.case} once more"
    )


def refuse_apart(paces: Floats, drift: float | None) -> None:
    """Refuse load steps that no machine of the stated drift can have made: then a limit is taken wrongly.

    Raises:
        CalibrationError: with both figures.
    """
    apart = float(np.ptp(paces))
    if drift is not None and apart > APART_MAX * drift:
        raise CalibrationError(
            f"the load steps are of one engine only if the machine's pace lay {apart:.0%} apart between them, and "
            f"{drift:.0%} is stated (--drift): a limit may be read wrongly, so state --max-num-seqs, --kv-blocks and "
            "--max-batched-tokens, or measure the busiest step once more"
        )


def refuse_light(sweep: Sequence[Observed], model: StepModel, solution: Solution, replicas: int) -> None:
    """Refuse a sweep that cannot tell how much a full replica serves.

    Raises:
        CalibrationError: with the load to measure at.
    """
    busiest = sweep[-1]
    together = max(_together(run) for run in sweep) / replicas
    bound = throughput_bound_per_s(busiest.requests(), model) * replicas
    utilised = max(run.rate_per_s for run in sweep) / bound
    if together < TOGETHER_MIN and utilised < UTILISED_MIN:
        more = min(math.ceil(2 * TOGETHER_MIN / max(together, 1e-3)), STEP_MAX)
        raise CalibrationError(
            f"{busiest.name}: at most {together:.2g} requests decoded together, so what a batch costs cannot be told; "
            f"a light load cannot size a fleet: measure at about {more} x {busiest.rate_per_s:.3g}/s"
        )
    error = _capacity_error(busiest, model, solution)
    if error > CAPACITY_ERROR_MAX:
        raise CalibrationError(
            f"{busiest.name}: the rate of a full replica is known to {error:.0%} only (one sigma), about "
            f"{bound:.3g}/s; measure at about {min(0.9 * bound, STEP_MAX * busiest.rate_per_s):.2g}/s, or with another "
            "length mix"
        )


def unknown_limit_notes(
    sweep: Sequence[Observed], model: StepModel, stated: EngineLimits, replicas: int
) -> tuple[str, ...]:
    """What a sweep that reached no limit leaves open, where a limit decides what a full replica serves.

    Up to the busiest load step nothing depends on it, and plans go no further than 1.1 x the batch that was seen.
    """
    seqs, held = ceilings(sweep, replicas)
    if seqs.plateau or held.plateau or (stated.max_num_seqs is not None and stated.kv_blocks is not None):
        return ()
    work = max(sweep, key=lambda run: run.rate_per_s).requests()
    least = replace(
        model,
        max_num_seqs=stated.max_num_seqs or max(1, round(seqs.most)),
        kv_blocks=stated.kv_blocks or max(1, int(held.most) // model.block_tokens),
    )
    low, high = throughput_bound_per_s(work, least), throughput_bound_per_s(work, model)
    if high <= LIMIT_MATTERS * low:
        return ()
    option = "--max-num-seqs" if stated.max_num_seqs is None else "--kv-blocks"
    return (
        f"no load step reached a limit of the engine (at most {seqs.most:.0f} requests and {held.most:,.0f} KV tokens "
        f"at once): a full replica may serve {low * replicas:.3g}/s or {high * replicas:.3g}/s, and this holds up to "
        f"the {sweep[-1].rate_per_s:.3g}/s that was measured; measure next: one load step past saturation, at about "
        f"{1.2 * low * replicas:.2g}/s or more, or state {option}",
    )


def telling(row: HoldOut, table: Sequence[HoldOut]) -> bool:
    """Whether a row says how far off a rate may be: gaps and throughput do, first tokens where no queue stands."""
    if not row.metric.startswith("ttft"):
        return True
    for metric in {each.metric for each in table if each.metric.startswith("ttft")}:
        measured = {each.case: each.measured for each in table if each.metric == metric}
        if measured.get(row.case, 0.0) > QUEUED * min(measured.values()):
            return False
    return True


def within_reach(table: Sequence[HoldOut], sweep: Sequence[Observed]) -> list[HoldOut]:
    """Rows without those of a busiest load step that lies far beyond the others: no fit of these can know it."""
    if len(sweep) < 3 or sweep[-1].rate_per_s <= FAR * sweep[-2].rate_per_s:
        return list(table)
    return [row for row in table if row.case.rpartition(" at ")[0] != sweep[-1].name]


def relative_error(table: Sequence[HoldOut]) -> float:
    """Root mean square of the hold-out errors: the stated one-sigma error of a predicted rate."""
    return math.sqrt(sum(row.error_ratio**2 for row in table) / len(table)) if table else 1.0


def _capacity_error(busiest: Observed, model: StepModel, solution: Solution) -> float:
    """One sigma of the logarithm of the bound on the rate, by the covariance of the coefficients."""
    work, values = busiest.requests(), solution.guess.values
    here = math.log(throughput_bound_per_s(work, model))
    slope = np.zeros(6)
    for term in range(6):
        step = max(1e-3 * values[term], 1e-12)
        moved = values.copy()
        moved[term] += step
        slope[term] = (math.log(throughput_bound_per_s(work, with_values(model, moved))) - here) / step
    return math.sqrt(max(float(slope @ solution.covariance @ slope), 0.0))


def _together(run: Observed) -> float:
    """Requests decoding together in this run, on average over its time."""
    return float(run.decode_s.sum()) / float((run.arrival_s + run.ttft_s + run.decode_s).max() - run.arrival_s.min())
