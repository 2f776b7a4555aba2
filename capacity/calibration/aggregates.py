"""A step model from published or internal aggregates: load points of a bench record, each with its client simulated."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

from capacity.calibration.clients import LoadPoint
from capacity.calibration.fit import Identity
from capacity.calibration.known import Known, known_engine
from capacity.calibration.limits import CalibrationError, EngineLimits
from capacity.calibration.points import PointFit, fit_points
from capacity.calibration.search import PACE_SIGMA
from neuron_bench.record import CaseRow
from neuron_bench.step_model import Coefficients, HoldOut, StepModel

UNTESTED = 0.20
"""One sigma where too few points are there to hold one out."""
HELD_OUT_MIN = 4
ERROR_MAX = 0.5
AMPLE_SEQS, AMPLE_TOKENS, BUDGET = 1024, 10_000_000, 8192
"""Limits of an engine that the points do not state. No plan goes beyond the clients that were seen all the same."""


@dataclass(frozen=True)
class Wanted:
    """Which rows of a table are meant; None: whatever it holds, if that is one thing."""

    model_id: str | None = None
    chip: str | None = None
    tp: int | None = None
    engine: str | None = None


def load_rows(rows: Sequence[CaseRow], wanted: Wanted) -> list[CaseRow]:
    """The usable load points of one deployment.

    Raises:
        CalibrationError: none is usable, with how many were flagged and for what; or they are of several deployments.
    """
    served = [row for row in rows if row.phase == "serve" and _is_wanted(row, wanted)]
    usable = [row for row in served if not row.barred]
    if not usable:
        reasons = sorted({name for row in served for name in row.flag_names})
        raise CalibrationError(
            f"no load point to fit: {len(served)} of {len(rows)} rows are of what was asked for, all flagged "
            f"({', '.join(reasons)})" if served else f"no load point to fit among {len(rows)} rows"
        )  # fmt: skip
    kinds = sorted({str(_deployment(row)) for row in usable})
    if len(kinds) > 1:
        raise CalibrationError(
            f"load points of {len(kinds)} deployments, such as {kinds[0]} and {kinds[1]}; name one with --model, "
            "--chip, --tp and --engine"
        )
    return usable


def _is_wanted(row: CaseRow, wanted: Wanted) -> bool:
    pairs = ((wanted.model_id, row.model_id), (wanted.chip, row.chip), (wanted.tp, row.tp))
    named = all(ours is None or ours == theirs for ours, theirs in pairs)
    return named and (wanted.engine is None or wanted.engine.lower() in (row.versions or "").lower())


def _deployment(row: CaseRow) -> Hashable:
    return row.model_id, row.chip, row.chips_used, row.tp, row.replicas, row.dtypes, row.versions


def step_model_of_points(
    rows: Sequence[CaseRow], limits: EngineLimits, identity: Identity, *, held_out: Sequence[HoldOut] | None = None
) -> StepModel:
    """Fit load points of one deployment; some are held out, predicted, and fitted in the end.

    Args:
        held_out: predictions of such points by fits without them, where they are there already.
    Raises:
        CalibrationError: too few points, or a fit that predicts none of those left out.
    """
    replicas = rows[0].replicas or 1
    points = [point_of(row, replicas) for row in rows]
    base, known = base_of(limits, identity), known_of(rows[0], limits)
    if held_out is None:
        held_out = _without_each(points, base, known)
    fit = fit_points(points, base, known)
    error = max(math.hypot(_spread(held_out), PACE_SIGMA), fit.tpot_sigma) if held_out else UNTESTED
    if error > ERROR_MAX:
        worst = max(held_out, key=lambda row: abs(row.error_ratio))
        raise CalibrationError(
            f"held out {worst.case}: {worst.metric} is {worst.error_ratio:+.0%} off; such a model predicts nothing: "
            "check that the rows are of one configuration"
        )
    return _finished(fit, known, points, held_out, error, _provenance(rows), limits)


def _without_each(points: Sequence[LoadPoint], base: StepModel, known: Known) -> list[HoldOut]:
    return [
        row
        for left in _left_out(points)
        for row in _predicted(left, fit_points([point for point in points if point is not left], base, known))
    ]


def known_of(row: CaseRow, limits: EngineLimits) -> Known:
    """What facts and arithmetic say of a deployment; a KV memory that is stated is not searched."""
    used = (row.chips_used or 1) / (row.replicas or 1)
    known = known_engine(
        row.model_id or "", row.chip or "", used, row.tp or 1, row.dtypes or "", (row.versions or "").lower()
    )
    return known if limits.kv_blocks is None else replace(known, kv_tokens=())


def _left_out(points: Sequence[LoadPoint]) -> list[LoadPoint]:
    """One of the middle and the busiest: what lies between the others, and what lies beyond them."""
    ordered = sorted(points, key=lambda point: point.concurrency)
    return [ordered[len(ordered) // 2], ordered[-1]] if len(ordered) >= HELD_OUT_MIN else []


def point_of(row: CaseRow, replicas: int) -> LoadPoint:
    """A row as one replica saw it; means, and medians where no mean is stated."""
    ttft = row.ttft_s_mean if row.ttft_s_mean is not None else row.ttft_s_p50
    tpot = row.tpot_s_mean if row.tpot_s_mean is not None else row.tpot_s_p50
    answer = row.output_tokens or 1.0
    rate = None if row.arrival_rate_per_s is None else row.arrival_rate_per_s / replicas
    together = row.concurrency
    if rate is not None:
        together = max(1.0, rate * replicas * ((ttft or 0.0) + answer * (tpot or 0.0)))
    clients = max(1, round((together or 1.0) / replicas))
    load = f"{rate * replicas:.3g}/s" if rate is not None else f"C={row.concurrency:g}"
    return LoadPoint(
        case=f"{row.input_tokens:g} in, {answer:g} out, {load}",
        concurrency=clients,
        input_tokens=row.input_tokens or 1.0,
        output_tokens=answer,
        ttft_s=ttft,
        tpot_s=tpot,
        output_tokens_per_s=None if row.output_tokens_per_s is None else row.output_tokens_per_s / replicas,
        wave=rate is None and row.n_samples is not None and row.n_samples == row.concurrency,
        rate_per_s=rate,
    )


def base_of(limits: EngineLimits, identity: Identity) -> StepModel:
    """What a fit begins with: limits that are not stated are ample until the points show one."""
    return StepModel(
        model_id=identity.model_id,
        chip=identity.chip,
        tp=identity.tp,
        chips_per_replica=identity.chips_per_replica,
        buckets=(Coefficients(1e-3, 0.0, 0.0, 0.0, 0.0),),
        max_num_seqs=limits.max_num_seqs or AMPLE_SEQS,
        max_batched_tokens=limits.max_batched_tokens or BUDGET,
        block_tokens=limits.block_tokens,
        kv_blocks=limits.kv_blocks or AMPLE_TOKENS // limits.block_tokens,
        ttft_overhead_s=0.0,
        gap_overhead_s=0.0,
        provenance="derived",
        relative_error=0.0,
        engine=identity.engine,
        version=identity.version,
        date=identity.date,
        source="peakday calibrate, from load points",
        instance_type=identity.instance_type,
    )


def _predicted(left: LoadPoint, fit: PointFit) -> list[HoldOut]:
    made = fit.report(left)
    pairs = (
        ("tpot_s", left.tpot_s, made.tpot_s),
        ("ttft_s", left.ttft_s, made.ttft_s),
        ("output_tokens_per_s", left.output_tokens_per_s, made.output_tokens_per_s),
    )
    return [HoldOut(left.case, metric, stated, value, 1) for metric, stated, value in pairs if stated]


def _spread(rows: Sequence[HoldOut]) -> float:
    """Root mean square error of what decides a rate: gaps and throughput."""
    told = [row.error_ratio for row in rows if not row.metric.startswith("ttft")]
    return math.sqrt(sum(error**2 for error in told) / len(told)) if told else UNTESTED


def _provenance(rows: Sequence[CaseRow]) -> str:
    """Of one's own aggregates `measured`; of published ones `derived`."""
    kinds = {row.provenance or "published" for row in rows}
    weak = kinds & {"simulated", "schema_example"}
    return weak.pop() if weak else "measured" if kinds == {"measured"} else "derived"


def _memory_notes(fit: PointFit, known: Known, limits: EngineLimits) -> list[str]:
    """Where the KV memory comes from, when it was not stated."""
    if limits.kv_blocks or not (fit.kv_read or known.kv_tokens):
        return []
    how = "read from where first tokens jump" if fit.kv_read else "by arithmetic: the chips' memory less the weights"
    return [f"KV memory of {fit.model.kv_tokens_max:,} tokens {how}"]


def _finished(
    fit: PointFit,
    known: Known,
    points: Sequence[LoadPoint],
    held_out: Sequence[HoldOut],
    error: float,
    provenance: str,
    limits: EngineLimits,
) -> StepModel:
    prompts, answers = [p.input_tokens for p in points], [p.output_tokens for p in points]
    contexts = [p.input_tokens + p.output_tokens / 2 for p in points]
    notes = [
        f"from {len(points)} load points, the client of each simulated; their own residual: TPOT "
        f"{fit.tpot_residual:.1%}, TTFT {fit.ttft_residual:.1%}",
    ]
    if not any(point.rate_per_s for point in points):
        notes.append(f"{fit.rounds:.3g} requests a client, fitted: tables seldom state it, and it decides a mean TTFT")
    notes += _memory_notes(fit, known, limits)
    ample = ["max_num_seqs"] * (not limits.max_num_seqs)
    ample += ["kv_blocks"] * (not limits.kv_blocks and not known.kv_tokens and not fit.kv_read)
    if ample:
        notes.append(f"{' and '.join(ample)} not stated and taken as ample: plans stop at 1.1 x the clients seen")
    if not held_out:
        notes.append(f"too few points to hold one out: {UNTESTED:.0%} by judgement")
    return replace(
        fit.model,
        provenance=provenance,
        relative_error=error,
        hold_out=tuple(held_out),
        validity={
            "input_tokens": (min(prompts), max(prompts)),
            "output_tokens": (min(answers), max(answers)),
            "context_tokens": (min(contexts), max(contexts)),
            "decoding": (1.0, float(max(point.concurrency for point in points))),
        },
        notes=tuple(notes),
    )
