"""From timed cases to rows of a bench record."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from neuron_bench.models.presets import Shape
from neuron_bench.trace import measure, roofline
from neuron_bench.trace.cases import Case, Effort


@dataclass
class Timed:
    """One case while and after it is measured."""

    case: Case
    artifact_key: str = ""
    loaded: dict[str, Any] = field(default_factory=dict)
    warmed: dict[str, Any] = field(default_factory=dict)
    turns: list[measure.Turn] = field(default_factory=list)
    error: str | None = None

    def finished(self, effort: Effort) -> bool:
        """Whether it has the samples and the seconds its suite asks for (what a step waits for the clock: 2%)."""
        samples = sum(len(turn.wall_s) for turn in self.turns)
        seconds = sum(sum(turn.wall_s) for turn in self.turns)
        return self.error is None and samples >= effort.samples_min and seconds >= effort.seconds_min * 0.98


def case_rows(one: Timed, shape: Shape, base: dict[str, Any], *, quick: bool) -> list[dict[str, Any]]:
    """The case's row, its load row, and its compile row where this bench compiled it."""
    case = one.case
    shared = base | {
        "label": case.label,
        "artifact_key": one.artifact_key,
        "versions": json.dumps(one.loaded["versions"]),
        "batch": case.batch,
        "input_tokens": case.input_tokens,
        "context_tokens": case.context_tokens,
        "bucket_tokens": case.bucket_tokens,
        "bucket_seqs": case.batch,
    }
    rows = [shared | _timing(one, shape, base, quick=quick) | {"record_id": case.label, "phase": case.phase}]
    for phase in ("compile", "load"):
        seconds = one.loaded[f"{phase}_s"]
        if seconds is not None:
            name = {"record_id": f"{case.label}-{phase}", "phase": phase, "flags": "quick" if quick else ""}
            rows.append(shared | name | {f"{phase}_s": seconds})
    return rows


def samples_of(one: Timed) -> list[dict[str, Any]]:
    """Raw samples of a case."""
    return [
        {"record_id": one.case.label, "turn": place, "wall_s": wall, "cpu_s": cpu, "calibration_s": turn.calibration_s}
        for place, turn in enumerate(one.turns)
        for wall, cpu in zip(turn.wall_s, turn.cpu_s, strict=True)
    ]


def _timing(one: Timed, shape: Shape, base: dict[str, Any], *, quick: bool) -> dict[str, Any]:
    statistics = measure.summary(one.turns, device_kind=base["device_kind"], seed=0)
    p50 = statistics["wall_s_p50"]
    top = roofline.peaks(base["chip"], base["chips_used"] or 1, one.case.dtype)
    done = roofline.work(shape, one.case)
    reached = roofline.shares(done, p50, top)
    flags = {
        "quick": quick,
        "contended": statistics["contended"],
        "not_settled": not one.warmed["settled"],
        "above_roofline": any((share or 0) > 1 for share in reached.values()),
    }
    return statistics | reached | {
        "work": json.dumps(asdict(done)),
        "n_warmup": one.warmed["n_warmup"],
        "device_mem_bytes": one.loaded["device_mem_bytes"],
        "output_tokens_per_s": one.case.batch / p50 if one.case.phase == "decode" else None,
        "flags": ";".join(name for name, raised in flags.items() if raised),
    }  # fmt: skip
