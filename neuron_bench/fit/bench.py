"""From a bench record to a step model: coefficients >= 0 by least squares on relative errors, over prefill and decode.

Engines without padding (vLLM) follow the step time of docs/step-model.md. A traced graph computes its whole bucket
whatever fills it, so its observations count the bucket.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

from host.json_values import mapping, whole
from neuron_bench.device.chips import replica_hint
from neuron_bench.errors import BenchUsageError
from neuron_bench.record import PROVENANCES, Bench, CaseRow
from neuron_bench.step_model import Coefficients, HoldOut, StepModel

NAMES = ("a", "b", "e", "c", "d", "o")
"""Columns of the design: the five coefficients in the order of a covariance, and the server's time before a prefill."""

UNTESTED_ERROR_RATIO = 0.20
"""One sigma where a bench has no case to hold out: what published deployments show (study/neuron_models.py).
A judgement: as many coefficients as cases fit anything, and their residual of 0% is no error."""

Floats = npt.NDArray[np.float64]
_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Observation:
    """One measured time and the work behind it. A prompt longer than a step's budget takes several steps."""

    case: str
    metric: str
    seconds: float
    steps: float
    prefill_tokens: float
    prefill_x_context: float
    decoding: float
    kv_tokens: float
    n: int
    interval_ratio: float = 0.0

    @property
    def design(self) -> tuple[float, ...]:
        """Its row of the linear system, in the order of NAMES."""
        overhead = 1.0 if self.metric == "ttft_s" else 0.0
        work = (self.steps, self.prefill_tokens, self.prefill_x_context, self.decoding, self.kv_tokens)
        return (*work, overhead)


@dataclass(frozen=True)
class StepFit:
    """Fitted coefficients in the order of NAMES, with what the fit thinks of itself."""

    values: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...] | None
    condition_number: float

    def seconds(self, observation: Observation) -> float:
        """Predicted time."""
        return float(np.dot(self.values, observation.design))

    def check(self, observation: Observation) -> HoldOut:
        """The observation against its prediction."""
        return HoldOut(
            observation.case, observation.metric, observation.seconds, self.seconds(observation), observation.n
        )

    @property
    def free(self) -> int:
        """Coefficients that are above 0."""
        return sum(value > 0 for value in self.values)


def observations(bench: Bench, *, max_batched_tokens: int) -> list[Observation]:
    """Prefill and decode cases that no flag bars (`quick` and the like alone do not; plans see them in the notes)."""
    usable = [row for row in bench.rows if row.phase in ("prefill", "decode") and not row.barred]
    return [_observation(row, max_batched_tokens) for row in usable if row.wall_s_p50]


def _observation(row: CaseRow, budget: int) -> Observation:
    batch, padded = float(row.batch or 1), row.bucket_tokens is not None
    if row.phase == "decode":
        context = float(row.bucket_tokens or 0) if padded else row.context_tokens or 0.0
        work = {"steps": 1.0, "prefill_tokens": 0.0, "prefill_x_context": 0.0}
        work |= {"decoding": batch, "kv_tokens": batch * context}
    else:
        tokens = row.input_tokens or 0.0
        # A server's prompt sees half of itself on average; a static graph computes all of it, masked or not.
        attended = tokens if padded else tokens / 2
        steps = 1.0 if padded else math.ceil(tokens / budget)
        work = {"steps": steps, "prefill_tokens": batch * tokens, "prefill_x_context": batch * tokens * attended}
        work |= {"decoding": 0.0, "kv_tokens": 0.0}
    over_http = row.method == "endpoint" and row.phase == "prefill"
    metric = "ttft_s" if over_http else "wall_s" if row.phase == "prefill" else "tpot_s"
    return Observation(
        row.record_id,
        metric,
        row.wall_s_p50 or 0.0,
        n=row.n_samples or 0,
        interval_ratio=_interval_ratio(row),
        **work,
    )


def _interval_ratio(row: CaseRow) -> float:
    """Half the 90% interval of a median as one sigma of it; 0 where the row has none."""
    if row.wall_s_p50_lo is None or row.wall_s_p50_hi is None or not row.wall_s_p50:
        return 0.0
    return (row.wall_s_p50_hi - row.wall_s_p50_lo) / (2 * 1.645) / row.wall_s_p50


def fit_steps(observed: Sequence[Observation]) -> StepFit:
    """Coefficients >= 0 that minimise the squared relative errors.

    Raises:
        BenchUsageError: fewer than two prefill lengths, or decode at fewer than two batch sizes.
    """
    _require_enough(observed)
    measured = np.array([observation.seconds for observation in observed])
    design = np.array([observation.design for observation in observed]) / measured[:, None]
    scale = np.where(design.any(axis=0), np.abs(design).max(axis=0), 1.0)
    values, _ = nnls(design / scale, np.ones(len(observed)))
    return StepFit(tuple(float(v) for v in values / scale), *_uncertainty(design / scale, values, scale))


def _require_real(bench: Bench) -> None:
    if any(row.provenance == "schema_example" for row in bench.rows):
        raise BenchUsageError(f"{bench.path}: a schema example: its values are invented and fit nothing")


def _require_enough(observed: Sequence[Observation]) -> None:
    lengths = {observation.prefill_tokens for observation in observed if observation.prefill_tokens}
    batches = {observation.decoding for observation in observed if observation.decoding}
    if len(lengths) < 2 or len(batches) < 2:
        raise BenchUsageError(
            f"a step model needs prefill at two lengths and decode at two batch sizes; this has {len(lengths)} and "
            f"{len(batches)}: run the suite `full`"
        )


def _uncertainty(design: Floats, values: Floats, scale: Floats) -> tuple[tuple[tuple[float, ...], ...] | None, float]:
    """Covariance (5 x 5) of the coefficients that are above 0, and the condition number of the scaled design.

    A coefficient at its bound of 0 has no covariance here: its row and column are 0.
    """
    free = np.flatnonzero(values > 0)
    part = design[:, free]
    condition = float(np.linalg.cond(part))
    spare = len(design) - len(free)
    if spare < 1:
        return None, condition
    residual = np.ones(len(design)) - part @ values[free]
    spread = float(residual @ residual) / spare
    full = np.zeros((6, 6))
    full[np.ix_(free, free)] = spread * np.linalg.pinv(part.T @ part) / np.outer(scale[free], scale[free])
    return tuple(tuple(float(v) for v in row[:5]) for row in full[:5]), condition


def split(observed: Sequence[Observation]) -> tuple[list[Observation], list[Observation]]:
    """Every second case of prefill and of decode, in order of work, is held out; the largest never is."""
    kept: list[Observation] = []
    held: list[Observation] = []
    for decoding in (False, True):
        kind = [observation for observation in observed if bool(observation.decoding) == decoding]
        kind.sort(key=lambda observation: (observation.decoding, observation.prefill_tokens + observation.kv_tokens))
        for place, observation in enumerate(kind):
            (held if place % 2 and place < len(kind) - 1 else kept).append(observation)
    return kept, held


@dataclass(frozen=True)
class Engine:
    """What a bench cannot see of the engine it measured: its limits. From the server's configuration.

    name, tp, chips_per_replica and chip: the caller's word where the record has none; one that contradicts it is
    refused.
    """

    max_num_seqs: int
    max_batched_tokens: int
    block_tokens: int
    kv_blocks: int
    name: str | None = None
    chips_per_replica: float | None = None
    tp: int | None = None
    chip: str | None = None


def measured_engine(bench: Bench) -> Engine:
    """An engine whose limits are what a bench measured or its server printed: never more than was seen.

    Raises:
        BenchUsageError: a quick suite, which is not for plans, or no decode case.
    """
    observed = observations(bench, max_batched_tokens=1 << 20)
    decodes = [observation for observation in observed if observation.decoding]
    if any("quick" in row.flag_names for row in bench.rows):
        raise BenchUsageError(f"{bench.bench_id}: a quick suite is not for plans: run the suite `full`")
    if not decodes:
        raise BenchUsageError(f"{bench.bench_id}: no usable decode case: run the suite `full`")
    limits = mapping(bench.info.get("engine_limits"))
    block = whole(limits.get("block_tokens")) or 16
    most_kv = max(observation.kv_tokens for observation in decodes)
    return Engine(
        max_num_seqs=int(max(observation.decoding for observation in decodes)),
        max_batched_tokens=int(max((o.prefill_tokens for o in observed if o.prefill_tokens), default=1)),
        block_tokens=block,
        kv_blocks=whole(limits.get("kv_blocks")) or math.ceil(most_kv / block),
    )


def step_model(bench: Bench, engine: Engine) -> StepModel:
    """The step times fitted to a bench; the hold-out table is of a fit on half the cases.

    Raises:
        BenchUsageError: too few cases, a record of invented values or of several models, or one that does not say how
            many chips a replica has.
    """
    _require_real(bench)
    observed = observations(bench, max_batched_tokens=engine.max_batched_tokens)
    fitted = fit_steps(observed)
    kept, held = split(observed)
    hold_out = _hold_out(kept, held)
    place = _placed(bench, engine)
    a, b, e, c, d, overhead = fitted.values
    first = next(row for row in bench.rows if row.phase in ("prefill", "decode"))
    return StepModel(
        model_id=_single(bench, "model", (row.model_id for row in bench.rows)) or "?",
        chip=place.chip,
        tp=place.tp,
        chips_per_replica=place.chips_per_replica,
        buckets=(Coefficients(a=a, b=b, e=e, c=c, d=d),),
        max_num_seqs=engine.max_num_seqs,
        max_batched_tokens=engine.max_batched_tokens,
        block_tokens=engine.block_tokens,
        kv_blocks=engine.kv_blocks,
        ttft_overhead_s=overhead,
        gap_overhead_s=0.0,
        provenance=max((row.provenance or "derived" for row in bench.rows), key=PROVENANCES.index),
        relative_error=_error(fitted, hold_out, observed),
        engine=engine.name or str(bench.info.get("engine") or "openai-compatible"),
        version=str(bench.engine_version or first.versions),
        date=str(first.created_utc)[:10],
        source=bench.bench_id,
        instance_type=first.instance_type,
        covariance=fitted.covariance,
        condition_number=fitted.condition_number,
        validity=_validity(observed),
        hold_out=hold_out,
        inputs=(bench.bench_id,),
        notes=_notes(bench, fitted, hold_out, observed),
    )


@dataclass(frozen=True)
class _Place:
    """What one replica stands on."""

    chip: str
    tp: int
    chips_per_replica: float


def _placed(bench: Bench, engine: Engine) -> _Place:
    """Chip, degree and chips of a replica: the record's where it has them, the caller's where it has not.

    Raises:
        BenchUsageError: they contradict each other, or nobody says how many chips.
    """
    chip = _single(bench, "chip", (row.chip for row in bench.rows))
    device = _single(bench, "device", (row.device_kind for row in bench.rows))
    if engine.chip is not None and engine.chip not in (chip, None) and (chip or device) is not None:
        raise BenchUsageError(
            f"{bench.bench_id}: was measured on {chip or device}; --chip {engine.chip} contradicts it"
        )
    tp = _single(bench, "tp", (row.tp for row in bench.rows))
    if engine.tp is not None and tp not in (None, engine.tp):
        raise BenchUsageError(f"{bench.bench_id}: was measured at tp {tp}; --tp {engine.tp} contradicts it")
    replicas = _single(bench, "replicas", (row.replicas for row in bench.rows)) or 1
    used = _single(bench, "chips", (row.chips_used for row in bench.rows))
    recorded = None if used is None else used / replicas
    if recorded is not None and engine.chips_per_replica not in (None, recorded):
        raise BenchUsageError(
            f"{bench.bench_id}: was measured on {recorded:g} chips a replica; --chips-per-replica "
            f"{engine.chips_per_replica:g} contradicts it"
        )
    chips = recorded or engine.chips_per_replica or (1.0 if device == "cpu" else None)
    if chips is None:
        hint = replica_hint(chip, tp or engine.tp).replace("--chips-used", "--chips-per-replica")
        raise BenchUsageError(f"{bench.bench_id}: does not say how many chips it ran on; {hint}")
    return _Place(chip or engine.chip or device or "unknown", tp or engine.tp or 1, chips)


def _single(bench: Bench, what: str, values: Iterable[_Value | None]) -> _Value | None:
    """The one value of a column; None where it is null throughout."""
    known = sorted({value for value in values if value is not None}, key=str)
    if len(known) > 1:
        listed = ", ".join(map(str, known[:4]))
        raise BenchUsageError(f"{bench.bench_id}: holds several {what}s ({listed}); a step model is of one")
    return known[0] if known else None


def _hold_out(kept: Sequence[Observation], held: Sequence[Observation]) -> tuple[HoldOut, ...]:
    """Predictions for the held half; empty where the other half is too small to fit."""
    try:
        fitted = fit_steps(kept)
    except BenchUsageError:
        return ()
    return tuple(fitted.check(observation) for observation in held)


def _error(fitted: StepFit, hold_out: Sequence[HoldOut], observed: Sequence[Observation]) -> float:
    """One sigma of a prediction: of cases the fit never saw and of the medians themselves.

    Without a hold-out it is the residual per spare case, and never less than UNTESTED_ERROR_RATIO.
    """
    noise = _rms([observation.interval_ratio for observation in observed])
    if hold_out:
        return math.hypot(_rms([row.error_ratio for row in hold_out]), noise)
    residuals = [fitted.check(observation).error_ratio for observation in observed]
    spare = max(1, len(observed) - fitted.free)
    return max(UNTESTED_ERROR_RATIO, math.hypot(math.sqrt(sum(r * r for r in residuals) / spare), noise))


def _rms(values: Sequence[float]) -> float:
    return math.sqrt(sum(value * value for value in values) / len(values)) if values else 0.0


def _validity(observed: Sequence[Observation]) -> dict[str, tuple[float, float]]:
    prefills = [observation.prefill_tokens for observation in observed if observation.prefill_tokens]
    decodes = [observation for observation in observed if observation.decoding]
    contexts = [observation.kv_tokens / observation.decoding for observation in decodes]
    return {
        "input_tokens": (min(prefills), max(prefills)),
        "context_tokens": (min(contexts), max(contexts)),
        "decoding": (min(o.decoding for o in decodes), max(o.decoding for o in decodes)),
        "kv_tokens": (min(o.kv_tokens for o in decodes), max(o.kv_tokens for o in decodes)),
    }


def _notes(
    bench: Bench, fitted: StepFit, hold_out: Sequence[HoldOut], observed: Sequence[Observation]
) -> tuple[str, ...]:
    flags = {flag for row in bench.rows for flag in row.flag_names}
    notes = ["steps that mix prefill and decode were not measured: their time is the sum the step model says"]
    if not hold_out:
        notes.append(
            f"no case could be held out of {len(observed)}: the error is at least {UNTESTED_ERROR_RATIO:.0%} by "
            "judgement, not measured; run the suite `full`"
        )
    if "quick" in flags:
        notes.append("from a quick suite: few samples, not for plans")
    if "contended" in flags:
        notes.append("some cases were measured while others used the machine")
    if "few_samples" in flags:
        notes.append("some cases have fewer samples than their suite asks for: their steps are slow")
    if zero := [name for name, value in zip(NAMES, fitted.values, strict=True) if value == 0]:
        notes.append(f"held at 0 by the fit: {', '.join(zero)}")
    return tuple(notes)
