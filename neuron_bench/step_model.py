"""StepModel: how long one step of a continuous-batching engine takes. JSON file, read by capacity and the emulator.

    step_s = a + b*P + e*sum(P_i*ctx_i) + c*B + d*K

P: prefill tokens in the step; ctx_i: context each of them attends to; B: requests decoding; K: KV tokens of those.
Made by bench fits and by `peakday calibrate`. The page is docs/step-model.md.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from host.atomic import write_text
from host.errors import PeakdayError
from host.json_text import read_json_object

SCHEMA = "peakday.step_model/3"
READABLE = ("peakday.step_model/1", "peakday.step_model/2", SCHEMA)
"""Files of older versions are read, and what they do not know is unknown."""
_SINCE = {"pace_sigma": "peakday.step_model/2", "ttft_overhead_s_per_token": SCHEMA}

_COUNTS = ("tp", "chips_per_replica", "max_num_seqs", "max_batched_tokens", "block_tokens", "kv_blocks")


class StepModelError(PeakdayError, ValueError):
    """A step model file that cannot be used; the message says why and what to do."""

    page = "step-model"


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
    """One row of the hold-out table: what was predicted for a case the fit never saw.

    sigma: one standard deviation of the logarithm of such a prediction, by what coefficients and pace leave open; None
    where that was not drawn.
    """

    case: str
    metric: str
    measured: float
    predicted: float
    n: int
    sigma: float | None = None

    @property
    def error_ratio(self) -> float:
        """(predicted - measured) / measured."""
        return (self.predicted - self.measured) / self.measured


@dataclass(frozen=True)
class StepModel:
    """Coefficients with everything needed to trust them, or not.

    `buckets` holds one entry where the engine does not pad. `covariance` is 5 x 5 in the order a, b, e, c, d of the
    first bucket; null when unknown. `relative_error` is the stated one-sigma model error of a predicted rate.
    `ttft_overhead_s_per_token`: of the server in front, for each prompt token (it reads and splits text beside the
    engine's steps). `pace_sigma` is the spread of the machine's pace between load steps (one sigma of its logarithm);
    null when unknown.
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
    pace_sigma: float | None = None
    ttft_overhead_s_per_token: float = 0.0

    def __post_init__(self) -> None:
        if not self.buckets:
            raise StepModelError(f"{self.model_id} on {self.chip}: no coefficients")
        for bucket in self.buckets:
            for name in "abecd":
                value = getattr(bucket, name)
                if not (math.isfinite(value) and value >= 0):
                    raise StepModelError(
                        f"{self.model_id} on {self.chip}: coefficient {name} is {value:g}, expected >= 0"
                    )
        if wrong := self._wrong_number():
            raise StepModelError(f"{self.model_id} on {self.chip}: {wrong}")

    def _wrong_number(self) -> str | None:
        """The first number that no engine has, and what was expected; None where all are possible."""
        for name in ("relative_error", "ttft_overhead_s", "ttft_overhead_s_per_token", "gap_overhead_s"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                return f"{name} is {value:g}, expected >= 0"
        for name in _COUNTS:
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                return f"{name} is {value:g}, expected > 0"
        for name, (low, high) in self.validity.items():
            if not (math.isfinite(high) and 0 <= low <= high):
                return f"validity of {name} is {low:g} to {high:g}, expected 0 <= low <= high"
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
    return step_model_from(read_json_object(Path(path), error=StepModelError), where=str(path))


def step_model_from(raw: Mapping[str, object], where: str = "step model") -> StepModel:
    """A `StepModel` from its JSON form."""
    if raw.get("schema") not in READABLE:
        raise StepModelError(
            f"{where}: not a {SCHEMA} file; make one with `peakday calibrate` or `peakday bench import`"
        )
    try:
        content = {name: value for name, value in raw.items() if name != "schema"}
        for name, since in _SINCE.items():
            if content.get(name) is not None and str(raw["schema"]) < since:
                raise StepModelError(f"{where}: {name} is of {since}; this file says {raw['schema']}")
        return _DECODE.validate_python(content, extra="forbid")
    except ValidationError as error:
        raise StepModelError(f"{where}: {_first_problem(error, raw)}") from None


_DECODE = TypeAdapter(StepModel)


def _first_problem(error: ValidationError, raw: Mapping[str, object]) -> str:
    """What is wrong first, by the name of the key: our own words where a check of ours refused."""
    first = error.errors()[0]
    own = first.get("ctx", {}).get("error")
    if isinstance(own, StepModelError):
        return str(own)
    name = ".".join(str(part) for part in first["loc"])
    of = f"{raw.get('model_id')} on {raw.get('chip')}"
    if first["type"] in ("missing", "unexpected_keyword_argument", "extra_forbidden"):
        return f"{of}: {name}: {first['msg'].lower()}"
    sign = "> 0" if name in _COUNTS else "a valid value"
    return f"{of}: {name} is {first['input']}, expected {sign} ({first['msg'].lower()})"
