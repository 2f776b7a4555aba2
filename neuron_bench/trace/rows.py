"""From timed cases to rows of a bench record."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace

from neuron_bench import checks
from neuron_bench.models.shapes import Shape
from neuron_bench.record import CaseRow
from neuron_bench.trace import measure, roofline
from neuron_bench.trace.cases import Case, Effort
from neuron_bench.trace.messages import Loaded, Turn, Warmed

TURNS_KEPT = 3
"""An interrupted case keeps its place in the record from so many turns on, with a flag."""


@dataclass
class Timed:
    """One case while and after it is measured."""

    case: Case
    artifact_key: str = ""
    loaded: Loaded | None = None
    warmed: Warmed | None = None
    turns: list[Turn] = field(default_factory=list)
    error: str | None = None

    @property
    def samples(self) -> int:
        """Steps timed so far."""
        return sum(len(turn.wall_s) for turn in self.turns)

    def needed(self, effort: Effort) -> int:
        """Samples that finish it: fewer where steps are slow."""
        return effort.samples_needed(self.warmed.step_s) if self.warmed else effort.samples_min

    def finished(self, effort: Effort) -> bool:
        """Whether it has the samples and the seconds its suite asks for (what a step waits for the clock: 2%)."""
        seconds = sum(sum(turn.wall_s) for turn in self.turns)
        return self.error is None and self.samples >= self.needed(effort) and seconds >= effort.seconds_min * 0.98

    def kept(self, effort: Effort, *, interrupted: bool) -> bool:
        """Whether it has a row: finished, or stopped by hand with enough turns to say something."""
        return self.finished(effort) or (interrupted and self.error is None and len(self.turns) >= TURNS_KEPT)

    def why_unfinished(self, effort: Effort) -> str:
        """The reason it has no row, in a few words."""
        if self.error is not None:
            return self.error
        step = f"; a step takes {self.warmed.step_s:.3g} s" if self.warmed else ""
        return f"stopped at {self.samples} of {self.needed(effort)} samples{step}"


def case_rows(timed: Timed, shape: Shape, base: CaseRow, effort: Effort, *, quick: bool) -> list[CaseRow]:
    """The case's row, its load row, and its compile row where this bench compiled it."""
    case, loaded = timed.case, timed.loaded or Loaded(None, None, None)
    shared = replace(
        base,
        label=case.label,
        artifact_key=timed.artifact_key,
        versions=json.dumps(loaded.versions),
        batch=case.batch,
        input_tokens=case.input_tokens,
        context_tokens=case.context_tokens,
        bucket_tokens=case.bucket_tokens,
        bucket_seqs=case.batch,
    )
    rows = [_timing(timed, shape, shared, effort, quick=quick)]
    for phase, seconds in (("compile", loaded.compile_s), ("load", loaded.load_s)):
        if seconds is not None:
            named = replace(
                shared, record_id=f"{case.label}-{phase}", phase=phase, flags=checks.raised({"quick": quick})
            )
            rows.append(replace(named, compile_s=seconds) if phase == "compile" else replace(named, load_s=seconds))
    return rows


def samples_of(timed: Timed) -> list[dict[str, object]]:
    """Raw samples of a case."""
    return [
        {
            "record_id": timed.case.label,
            "turn": place,
            "wall_s": wall,
            "cpu_s": cpu,
            "calibration_s": turn.calibration_s,
        }
        for place, turn in enumerate(timed.turns)
        for wall, cpu in zip(turn.wall_s, turn.cpu_s, strict=True)
    ]


def _timing(timed: Timed, shape: Shape, shared: CaseRow, effort: Effort, *, quick: bool) -> CaseRow:
    statistics = measure.summary(timed.turns, device_kind=shared.device_kind or "", seed=0)
    p50 = statistics.wall_s_p50
    top = roofline.peaks(shared.chip, shared.cores_used or 1, timed.case.dtype)
    done = roofline.work(shape, timed.case)
    mfu, mbu = roofline.shares(done, p50, top)
    flags = {
        "quick": quick,
        "contended": statistics.contended,
        "few_samples": statistics.n_samples < effort.samples_min,
        "interrupted": not timed.finished(effort),
        "not_settled": timed.warmed is not None and not timed.warmed.settled,
        "above_roofline": max(mfu or 0, mbu or 0) > 1,
    }
    return replace(
        shared,
        **asdict(statistics),
        record_id=timed.case.label,
        phase=timed.case.phase,
        mfu_ratio=mfu,
        mbu_ratio=mbu,
        work=json.dumps(asdict(done)),
        n_warmup=timed.warmed.n_warmup if timed.warmed else None,
        device_mem_bytes=timed.loaded.device_mem_bytes if timed.loaded else None,
        output_tokens_per_s=timed.case.batch / p50 if timed.case.phase == "decode" else None,
        flags=checks.raised(flags),
    )


def unfinished_cases(timed: Sequence[Timed], effort: Effort, *, interrupted: bool) -> dict[str, str]:
    """Cases without a row, each with its reason."""
    return {
        case.case.label: case.why_unfinished(effort) for case in timed if not case.kept(effort, interrupted=interrupted)
    }
