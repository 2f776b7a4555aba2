"""StepModel: how long one step of a continuous-batching engine takes. JSON file, read by capacity and the stand-ins.

    step_s = a + b*P + e*sum(P_i*ctx_i) + c*B + d*K

P: prefill tokens in the step; ctx_i: context each of them attends to; B: requests decoding; K: KV tokens of those.
Made by bench fits and by `peakday calibrate`. The page is docs/step-model.md.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from host.atomic import write_text
from host.errors import PeakdayError

SCHEMA = "peakday.step_model/1"


class StepModelError(PeakdayError, ValueError):
    """A step model file that cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class Coefficients:
    """Of one bucket. Seconds; seconds per token; per token x context token; per request; per KV token. All >= 0."""

    a: float
    b: float
    e: float
    c: float
    d: float
    bucket_tokens: int | None = None
    bucket_seqs: int | None = None

    def step_s(self, prefill_tokens: float, prefill_x_context: float, decoding: float, kv_tokens: float) -> float:
        """Duration of one step, in seconds."""
        return self.a + self.b * prefill_tokens + self.e * prefill_x_context + self.c * decoding + self.d * kv_tokens


@dataclass(frozen=True)
class HoldOut:
    """One row of the hold-out table: what was predicted for a case the fit never saw."""

    case: str
    metric: str
    measured: float
    predicted: float
    n: int

    @property
    def error_ratio(self) -> float:
        """(predicted - measured) / measured."""
        return (self.predicted - self.measured) / self.measured


@dataclass(frozen=True)
class StepModel:
    """Coefficients with everything needed to trust them, or not.

    `buckets` holds one entry where the engine does not pad. `covariance` is 5 x 5 in the order a, b, e, c, d of the
    first bucket; null when unknown. `relative_error` is the stated one-sigma model error of a predicted rate.
    `validity` gives [low, high] per input as seen by the fit; extrapolation beyond 1.1 x high is refused by capacity.
    """

    model_id: str
    chip: str
    tp: int
    chips_per_replica: float
    buckets: tuple[Coefficients, ...]
    max_num_seqs: int
    max_batched_tokens: int
    block_tokens: int
    kv_blocks: int
    ttft_overhead_s: float
    gap_overhead_s: float
    provenance: str
    relative_error: float
    engine: str
    version: str
    date: str
    source: str
    instance_type: str | None = None
    covariance: tuple[tuple[float, ...], ...] | None = None
    condition_number: float | None = None
    validity: dict[str, tuple[float, float]] = field(default_factory=dict)
    hold_out: tuple[HoldOut, ...] = ()
    inputs: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.buckets:
            raise StepModelError(f"{self.model_id} on {self.chip}: no coefficients")
        for bucket in self.buckets:
            for name in "abecd":
                value = getattr(bucket, name)
                if not (math.isfinite(value) and value >= 0):
                    raise StepModelError(
                        f"{self.model_id} on {self.chip}: coefficient {name} is {value}, expected >= 0"
                    )
        if wrong := self._wrong_number():
            raise StepModelError(f"{self.model_id} on {self.chip}: {wrong}")

    def _wrong_number(self) -> str | None:
        """The first number that no engine has, and what was expected; None where all are possible."""
        for name in ("relative_error", "ttft_overhead_s", "gap_overhead_s"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                return f"{name} is {value}, expected >= 0"
        for name in ("tp", "chips_per_replica", "max_num_seqs", "max_batched_tokens", "block_tokens", "kv_blocks"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                return f"{name} is {value}, expected > 0"
        for name, (low, high) in self.validity.items():
            if not (math.isfinite(high) and 0 <= low <= high):
                return f"validity of {name} is {low} to {high}, expected 0 <= low <= high"
        return None

    @property
    def coefficients(self) -> Coefficients:
        """Of the first, or only, bucket."""
        return self.buckets[0]

    @property
    def kv_tokens_max(self) -> int:
        """KV tokens one replica can hold."""
        return self.kv_blocks * self.block_tokens


def write_step_model(model: StepModel, path: Path) -> Path:
    """Write aside, then rename."""
    write_text(path, json.dumps({"schema": SCHEMA, **asdict(model)}, indent=1, allow_nan=False) + "\n")
    return path


def read_step_model(path: Path | str) -> StepModel:
    """Read and check a step model file; raises `StepModelError` in one line."""
    try:
        raw: dict[str, Any] = json.loads(Path(path).read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise StepModelError(f"{path}: cannot be read ({error})") from None
    return step_model_from(raw, where=str(path))


def step_model_from(raw: dict[str, Any], where: str = "step model") -> StepModel:
    """A `StepModel` from its JSON form."""
    raw = dict(raw)
    if raw.pop("schema", None) != SCHEMA:
        raise StepModelError(
            f"{where}: not a {SCHEMA} file; make one with `peakday calibrate` or `peakday bench import`"
        )
    try:
        raw["buckets"] = tuple(Coefficients(**bucket) for bucket in raw["buckets"])
        raw["hold_out"] = tuple(HoldOut(**row) for row in raw.get("hold_out", ()))
        raw["validity"] = {name: (low, high) for name, (low, high) in raw.get("validity", {}).items()}
        raw["inputs"] = tuple(raw.get("inputs", ()))
        raw["notes"] = tuple(raw.get("notes", ()))
        if raw.get("covariance") is not None:
            raw["covariance"] = tuple(tuple(row) for row in raw["covariance"])
        return StepModel(**raw)
    except (TypeError, KeyError, ValueError) as error:
        raise StepModelError(f"{where}: {error}") from None
