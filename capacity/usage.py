"""Usage: what an account's models did, minute by minute, as the planner reads it. Values only; files are others' work.

One `ModelUsage` per model and region. Token columns mean what the columns of a run's calls mean: `input_tokens` are the
uncached ones (CloudWatch's InputTokenCount), cache reads and writes stand beside them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np

from capacity.plan import PlanError
from capacity.requests import Floats, Ints

MINUTE_S = 60.0
COUNTS = (
    "invocations",
    "throttles",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens_5m",
    "cache_write_tokens_1h",
)


@dataclass(frozen=True)
class ModelUsage:
    """One model in one region. All arrays have one element a minute; minutes without a call may be left out.

    model: key of models.yaml. minute_s: Unix seconds of the minute's start, rising, multiples of 60.
    invocations: answered calls; throttles: refused ones, not among the invocations.
    latency_s, ttft_s: mean of the minute's calls, start to last and to first token; NaN = not known.
    """

    model: str
    region: str
    minute_s: Ints
    invocations: Floats
    throttles: Floats
    input_tokens: Floats
    output_tokens: Floats
    cache_read_tokens: Floats
    cache_write_tokens_5m: Floats
    cache_write_tokens_1h: Floats
    latency_s: Floats
    ttft_s: Floats

    def __post_init__(self) -> None:
        """Refuse what no counter can show; raises `PlanError`."""
        where = f"usage of {self.model} in {self.region}"
        for each in fields(self)[2:]:
            if np.shape(getattr(self, each.name)) != np.shape(self.minute_s):
                raise PlanError(f"{where}: {each.name} has another length than minute_s; one value a minute")
        if (np.diff(self.minute_s) <= 0).any() or (self.minute_s % int(MINUTE_S)).any():
            raise PlanError(f"{where}: minutes must rise and start on whole minutes; sort them and add up repeats")
        for name in COUNTS:
            values = getattr(self, name)
            if not np.isfinite(values).all() or (values < 0).any():
                raise PlanError(f"{where}: {name} is negative or not a number in some minute; leave that minute out")

    @property
    def calls(self) -> float:
        """Answered calls of all minutes."""
        return float(self.invocations.sum())

    def per_call(self, name: str) -> float:
        """Mean of a token count over the answered calls; 0 without calls."""
        return float(getattr(self, name).sum()) / self.calls if self.calls else 0.0


@dataclass(frozen=True)
class Usage:
    """An account's usage. interactions: how many the same minutes served, where the user knows it."""

    source: str  # the file, and the time it covers, as a plan prints it
    models: tuple[ModelUsage, ...]
    interactions: float | None = None
    provenance: str = "measured"

    def of(self, model: str) -> tuple[ModelUsage, ...]:
        """A model's usage in every region."""
        return tuple(row for row in self.models if row.model == model)

    def totals(self) -> Mapping[str, float]:
        """Answered calls by model, all regions."""
        found: dict[str, float] = {}
        for row in self.models:
            found[row.model] = found.get(row.model, 0.0) + row.calls
        return found
