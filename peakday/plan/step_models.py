"""Step models from runs or benches: which record feeds which fit, and the file that comes of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from capacity.calibration.aggregates import Wanted, load_rows, step_model_of_points
from capacity.calibration.fit import Identity, calibrate
from capacity.calibration.limits import EngineLimits
from capacity.calibration.observed import observed_calls
from capacity.calibration.scraped import engine_page, joined, split_note, with_page
from loadgen.record import load_run
from neuron_bench.device.chips import replica_hint, resolve_chip
from neuron_bench.fit.bench import Engine, step_model
from neuron_bench.record import Bench, load_bench
from neuron_bench.step_model import StepModel, write_step_model
from peakday.errors import CommandError
from peakday.records.folders import find_any

UNKNOWN = "unknown"
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
    drift: float | None = None


def calibrate_from(wanted: Sequence[str], facts: EngineFacts, out: Path | None) -> tuple[str, dict[str, object]]:
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
    paths = [find_any(name)[1] for name in runs]
    model = calibrate_runs(paths, facts, bench) if runs or bench is None else bench
    path = write_new(model, out)
    return f"{step_model_text(model)}\n\n{path}", {"step_model": str(path), **asdict(model)}


def write_new(model: StepModel, out: Path | None) -> Path:
    """The step model as a file, under a name of its own where none is wanted; never over another."""
    path = out or Path(f"{model.model_id.replace('/', '-')}-{model.chip.replace(' ', '-')}.step-model.json")
    if path.exists():
        raise CommandError(f"{path}: is there already; choose another --out")
    return write_step_model(model, path)


def calibrate_runs(folders: Sequence[Path], facts: EngineFacts, bench: StepModel | None = None) -> StepModel:
    """From the requests of load runs.

    Raises:
        CalibrationError: they cannot tell.
        CommandError: a chip of which nobody said how many serve a replica.
    """
    identity = _identity(facts, _place(facts.chip), None)
    runs = [load_run(folder) for folder in folders]
    pages = [engine_page(run) for run in runs]
    steps = [with_page(observed_calls(run, facts.model), page) for run, page in zip(runs, pages, strict=True)]
    page, stated = joined(pages), _limits(facts)
    model = calibrate(steps, page.fill(stated), identity, bench=bench, replicas=facts.replicas, drift=facts.drift)
    notes = [*model.notes, *page.notes(stated), *(note for each in steps for note in split_note(each))]
    if model.chip == UNKNOWN:
        notes.append("chip not stated (--chip): no plan sizes a fleet with this model")
    return replace(model, notes=tuple(notes))


def _limits(facts: EngineFacts) -> EngineLimits:
    return EngineLimits(facts.max_num_seqs, facts.max_batched_tokens, facts.block_tokens, facts.kv_blocks)


def _place(chip: str | None) -> str:
    """The chip under its one name; a CPU is none of the table, and may say what it is."""
    return UNKNOWN if chip is None else "cpu" if chip.lower() == "cpu" else resolve_chip(chip)


def _identity(facts: EngineFacts, chip: str, chips: float | None, engine: str | None = None) -> Identity:
    """Who served. Runs do not say on how many chips, and one is never taken silently.

    Raises:
        CommandError: a chip that a plan can size, and nobody said how many of them a replica takes.
    """
    chips = facts.chips_per_replica or chips
    if chips is None and chip not in (UNKNOWN, "cpu"):
        hint = replica_hint(chip, facts.tp).replace("--chips-used", "--chips-per-replica")
        raise CommandError(f"--chip {chip}: how many of it serve one replica is not known; {hint}")
    today = datetime.now(UTC).date().isoformat()
    return Identity(
        facts.model, chip, facts.tp or 1, chips or 1.0, facts.engine or engine or "vllm", facts.version, today
    )


def _from_load_points(bench: Bench, facts: EngineFacts) -> StepModel:
    """From aggregates: a bench without single prefill and decode cases, imported from a load tool's file."""
    chip = None if facts.chip is None else _place(facts.chip)
    known = {row.model_id for row in bench.rows}
    wanted = Wanted(facts.model if facts.model in known else None, None, facts.tp, facts.engine)
    if chip is not None and any(row.chip is not None for row in bench.rows):
        wanted = replace(wanted, chip=chip)
    rows = load_rows(bench.rows, wanted)
    row = rows[0]
    tp = facts.tp or row.tp
    chips = None if row.chips_used is None else row.chips_used / (row.replicas or 1)
    full = replace(facts, model=row.model_id or facts.model, tp=tp)
    stated = json.loads(row.versions or "{}").get("engine")
    identity = _identity(full, row.chip or chip or UNKNOWN, chips, stated)
    model = step_model_of_points(rows, _limits(facts), identity)
    left = sum(each.barred for each in bench.rows)
    if left:
        model = replace(
            model, notes=(*model.notes, f"{left} of {len(bench.rows)} rows of the bench are flagged: not fitted")
        )
    return replace(model, inputs=(bench.bench_id,))


def _from_bench(wanted: str, facts: EngineFacts) -> StepModel:
    bench = load_bench(find_any(wanted)[1])
    phases = {row.phase for row in bench.rows}
    if not phases & {"prefill", "decode"} and "serve" in phases:
        return _from_load_points(bench, facts)
    engine = Engine(
        max_num_seqs=facts.max_num_seqs or BENCH_LIMITS[0],
        max_batched_tokens=facts.max_batched_tokens or BENCH_LIMITS[1],
        block_tokens=facts.block_tokens,
        kv_blocks=facts.kv_blocks or BENCH_LIMITS[2],
        name=facts.engine,
        chips_per_replica=facts.chips_per_replica,
        tp=facts.tp,
        chip=None if facts.chip is None else _place(facts.chip),
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
