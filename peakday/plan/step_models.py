"""Step models from runs or benches: which record feeds which fit, and the file that comes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from capacity.calibration.fit import Identity, calibrate
from capacity.calibration.limits import EngineLimits
from capacity.calibration.observed import observed_calls
from loadgen.record import load_run
from neuron_bench.device.chips import resolve_chip
from neuron_bench.fit.bench import Engine, step_model
from neuron_bench.record import load_bench
from neuron_bench.step_model import StepModel, write_step_model
from peakday.errors import CommandError
from peakday.records.folders import find_any

BENCH_LIMITS = (256, 2048, 8192)
"""Requests at once, tokens of a step and KV blocks that a bench, which reaches none of them, is taken to have."""


@dataclass(frozen=True)
class EngineFacts:
    """The engine that made the timings: its place, and its limits where they are known; None is read from the data."""

    model: str
    chip: str | None
    tp: int | None
    chips_per_replica: float | None
    engine: str | None
    version: str
    max_num_seqs: int | None
    max_batched_tokens: int | None
    block_tokens: int
    kv_blocks: int | None
    replicas: int = 1


def calibrate_from(
    wanted: Sequence[str], facts: EngineFacts, out: Path | None, *, seed: int
) -> tuple[str, dict[str, Any]]:
    """Fit a step model and write it; text with coefficients, hold-out table and notes.

    Raises:
        CommandError: more than one bench, a record of another kind, or the file is there already.
        CalibrationError: the records cannot tell; the message says which measurement to take next.
    """
    kinds = {name: find_any(name)[0] for name in wanted}
    runs, benches = ([name for name in wanted if kinds[name] == kind] for kind in ("runs", "benches"))
    if len(benches) > 1 or len(runs) + len(benches) < len(wanted):
        got = ", ".join(f"{name} ({kind})" for name, kind in kinds.items())
        raise CommandError(f"calibrate takes run records of a rate sweep, one bench record, or both; it got {got}")
    bench = _from_bench(benches[0], facts) if benches else None
    model = _from_runs(runs, facts, seed, bench) if runs or bench is None else bench
    path = out or Path(f"{model.model_id.replace('/', '-')}-{model.chip.replace(' ', '-')}.step-model.json")
    if path.exists():
        raise CommandError(f"{path}: is there already; choose another --out")
    write_step_model(model, path)
    return f"{step_model_text(model)}\n\n{path}", {"step_model": str(path), **asdict(model)}


def _from_runs(wanted: Sequence[str], facts: EngineFacts, seed: int, bench: StepModel | None) -> StepModel:
    limits = EngineLimits(facts.max_num_seqs, facts.max_batched_tokens, facts.block_tokens, facts.kv_blocks)
    today = datetime.now(UTC).date().isoformat()
    identity = Identity(
        facts.model,
        "unknown" if facts.chip is None else resolve_chip(facts.chip),
        facts.tp or 1,
        facts.chips_per_replica or 1.0,
        facts.engine or "vllm",
        facts.version,
        today,
    )
    runs = [load_run(find_any(name)[1]) for name in wanted]
    observed = [observed_calls(run, facts.model) for run in runs]
    return calibrate(observed, limits, identity, bench=bench, replicas=facts.replicas)


def _from_bench(wanted: str, facts: EngineFacts) -> StepModel:
    bench = load_bench(find_any(wanted)[1])
    engine = Engine(
        max_num_seqs=facts.max_num_seqs or BENCH_LIMITS[0],
        max_batched_tokens=facts.max_batched_tokens or BENCH_LIMITS[1],
        block_tokens=facts.block_tokens,
        kv_blocks=facts.kv_blocks or BENCH_LIMITS[2],
        name=facts.engine,
        chips_per_replica=facts.chips_per_replica,
        tp=facts.tp,
        chip=None if facts.chip is None else resolve_chip(facts.chip),
    )
    return step_model(bench, engine)


def step_model_text(model: StepModel) -> str:
    """Coefficients, range, hold-out table and notes."""
    step = model.coefficients
    lines = [
        f"{model.model_id} on {model.chip}: provenance {model.provenance}, relative error {model.relative_error:.0%}",
        f"  step = {step.a:.3g} + {step.b:.3g} P + {step.e:.3g} sum(P ctx) + {step.c:.3g} B + {step.d:.3g} K  seconds",
    ]
    for name, (low, high) in model.validity.items():
        lines.append(f"  valid for {name} from {low:g} to {high:g}")
    for row in model.hold_out:
        lines.append(
            f"  held out {row.case}: {row.metric} measured {row.measured:.4g}, predicted {row.predicted:.4g}"
            f" ({row.error_ratio:+.1%}, n {row.n})"
        )
    return "\n".join([*lines, *(f"  {note}" for note in model.notes)])
