"""From a bench record to a step model: coefficients by least squares on relative errors, or one set per bucket.

Engines without padding (vLLM) follow the law of docs/step-model.md: non-negative least squares over prefill and decode
cases. Engines that pad compute a whole graph whatever fills it: each bucket costs what its graph was measured to take.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from neuron_bench.errors import BenchUsageError
from neuron_bench.record import PROVENANCES, Bench
from neuron_bench.step_model import Coefficients, HoldOut, StepModel

NAMES = ("a", "b", "e", "c", "d", "o")
"""Columns of the design: the five coefficients in the order of a covariance, and the server's time before a prefill."""


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

    @property
    def design(self) -> tuple[float, ...]:
        """Its row of the linear system, in the order of NAMES."""
        overhead = 1.0 if self.metric == "ttft_s" else 0.0
        work = (self.steps, self.prefill_tokens, self.prefill_x_context, self.decoding, self.kv_tokens)
        return (*work, overhead)


@dataclass(frozen=True)
class Law:
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


def observations(bench: Bench, *, max_batched_tokens: int) -> list[Observation]:
    """Unflagged prefill and decode cases (the flag `quick` alone does not bar a fit; plans see it in the notes)."""
    rows = bench.cases.to_dict("records")
    usable = [row for row in rows if row["phase"] in ("prefill", "decode") and not _barred(row["flags"])]
    return [_observation({str(k): v for k, v in row.items()}, max_batched_tokens) for row in usable]


def _barred(flags: str | None) -> bool:
    return bool({flag for flag in (flags or "").split(";") if flag} - {"quick", "contended"})


def _observation(row: dict[str, Any], budget: int) -> Observation:
    batch, padded = float(row["batch"]), not _missing(row["bucket_tokens"])
    if row["phase"] == "decode":
        context = float(row["bucket_tokens"] if padded else row["context_tokens"])
        work = {"steps": 1.0, "prefill_tokens": 0.0, "prefill_x_context": 0.0}
        work |= {"decoding": batch, "kv_tokens": batch * context}
    else:
        tokens = float(row["input_tokens"])
        # A server's prompt sees half of itself on average; a static graph computes all of it, masked or not.
        seen = tokens if padded else tokens / 2
        steps = 1.0 if padded else math.ceil(tokens / budget)
        work = {"steps": steps, "prefill_tokens": batch * tokens, "prefill_x_context": batch * tokens * seen}
        work |= {"decoding": 0.0, "kv_tokens": 0.0}
    over_http = row["method"] == "endpoint" and row["phase"] == "prefill"
    metric = "ttft_s" if over_http else "wall_s" if row["phase"] == "prefill" else "tpot_s"
    return Observation(row["record_id"], metric, float(row["wall_s_p50"]), n=int(row["n_samples"]), **work)


def fit_law(seen: Sequence[Observation]) -> Law:
    """Coefficients >= 0 that minimise the squared relative errors.

    Raises:
        BenchUsageError: fewer than two prefill lengths, or decode at fewer than two batch sizes.
    """
    from scipy.optimize import nnls

    _require_enough(seen)
    measured = np.array([one.seconds for one in seen])
    design = np.array([one.design for one in seen]) / measured[:, None]
    scale = np.where(design.any(axis=0), np.abs(design).max(axis=0), 1.0)
    values, _ = nnls(design / scale, np.ones(len(seen)))
    return Law(tuple(float(v) for v in values / scale), *_uncertainty(design / scale, values, scale))


def _require_real(bench: Bench) -> None:
    if "schema_example" in set(bench.cases.provenance):
        raise BenchUsageError(f"{bench.path}: a schema example: its values are invented and fit nothing")


def _require_enough(seen: Sequence[Observation]) -> None:
    lengths = {one.prefill_tokens for one in seen if one.prefill_tokens}
    batches = {one.decoding for one in seen if one.decoding}
    if len(lengths) < 2 or len(batches) < 2:
        raise BenchUsageError(
            f"a step model needs prefill at two lengths and decode at two batch sizes; this has {len(lengths)} and "
            f"{len(batches)}: run the suite `full`"
        )


def _uncertainty(
    design: np.ndarray, values: np.ndarray, scale: np.ndarray
) -> tuple[tuple[tuple[float, ...], ...] | None, float]:
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


def split(seen: Sequence[Observation]) -> tuple[list[Observation], list[Observation]]:
    """Every second case of prefill and of decode, in order of work, is held out; the largest never is."""
    kept: list[Observation] = []
    held: list[Observation] = []
    for decoding in (False, True):
        kind = [one for one in seen if bool(one.decoding) == decoding]
        kind.sort(key=lambda one: (one.decoding, one.prefill_tokens + one.kv_tokens))
        for place, one in enumerate(kind):
            (held if place % 2 and place < len(kind) - 1 else kept).append(one)
    return kept, held


@dataclass(frozen=True)
class Engine:
    """What a bench cannot see of the engine it measured: its limits. From the server's configuration."""

    max_num_seqs: int
    max_batched_tokens: int
    block_tokens: int
    kv_blocks: int
    name: str = "vllm"
    chips_per_replica: float = 1.0


def step_model(bench: Bench, engine: Engine) -> StepModel:
    """The law fitted to a bench of an engine that does not pad; the hold-out table is of a fit on half the cases.

    Raises:
        BenchUsageError: too few cases, or a record of invented values.
    """
    _require_real(bench)
    seen = observations(bench, max_batched_tokens=engine.max_batched_tokens)
    law = fit_law(seen)
    kept, held = split(seen)
    hold_out = _hold_out(kept, held)
    errors = [row.error_ratio for row in hold_out or [law.check(one) for one in seen]]
    a, b, e, c, d, _ = law.values
    return _model(bench, engine, (Coefficients(a=a, b=b, e=e, c=c, d=d),), hold_out, errors, seen, law)


def _hold_out(kept: Sequence[Observation], held: Sequence[Observation]) -> tuple[HoldOut, ...]:
    """Predictions for the held half; empty where the other half is too small to fit."""
    try:
        law = fit_law(kept)
    except BenchUsageError:
        return ()
    return tuple(law.check(one) for one in held)


def _model(
    bench: Bench,
    engine: Engine,
    buckets: tuple[Coefficients, ...],
    hold_out: tuple[HoldOut, ...],
    errors: Sequence[float],
    seen: Sequence[Observation],
    law: Law | None,
) -> StepModel:
    first = bench.cases.iloc[0]
    return StepModel(
        model_id=str(first.model_id),
        chip=str(first.chip if not _missing(first.chip) else first.device_kind),
        tp=1 if _missing(first.tp) else int(first.tp),
        chips_per_replica=engine.chips_per_replica,
        buckets=buckets,
        max_num_seqs=engine.max_num_seqs,
        max_batched_tokens=engine.max_batched_tokens,
        block_tokens=engine.block_tokens,
        kv_blocks=engine.kv_blocks,
        ttft_overhead_s=law.values[5] if law else 0.0,
        gap_overhead_s=0.0,
        provenance=max(bench.cases.provenance, key=PROVENANCES.index),
        relative_error=math.sqrt(sum(error * error for error in errors) / len(errors)),
        engine=engine.name,
        version=str(bench.info.get("engine_version") or first.versions),
        date=str(first.created_utc)[:10],
        source=bench.bench_id,
        instance_type=None if _missing(first.instance_type) else str(first.instance_type),
        covariance=law.covariance if law else None,
        condition_number=law.condition_number if law else None,
        validity=_validity(seen),
        hold_out=hold_out,
        inputs=(bench.bench_id,),
        notes=_notes(bench, law),
    )


def _validity(seen: Sequence[Observation]) -> dict[str, tuple[float, float]]:
    prefills = [one.prefill_tokens for one in seen if one.prefill_tokens]
    decodes = [one for one in seen if one.decoding]
    contexts = [one.kv_tokens / one.decoding for one in decodes]
    return {
        "input_tokens": (min(prefills), max(prefills)),
        "context_tokens": (min(contexts), max(contexts)),
        "decoding": (min(one.decoding for one in decodes), max(one.decoding for one in decodes)),
        "kv_tokens": (min(one.kv_tokens for one in decodes), max(one.kv_tokens for one in decodes)),
    }


def _notes(bench: Bench, law: Law | None) -> tuple[str, ...]:
    flags = ";".join(str(flag) for flag in bench.cases["flags"].fillna(""))
    notes = ["steps that mix prefill and decode were not measured: their time is the sum the law says"]
    if "quick" in flags:
        notes.append("from a quick suite: few samples, not for plans")
    if "contended" in flags:
        notes.append("some cases were measured while others used the machine")
    if law is None:
        notes.append("one constant per bucket: a step costs what its padded graphs cost; relative_error is their noise")
    elif any(value == 0 for value in law.values):
        zero = ", ".join(name for name, value in zip(NAMES, law.values, strict=True) if value == 0)
        notes.append(f"held at 0 by the fit: {zero}")
    return tuple(notes)


def _missing(value: Any) -> bool:
    return value is None or value != value
