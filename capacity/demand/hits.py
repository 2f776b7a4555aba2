"""Hit ratios that somebody states in place of what a run measured or a replay found: what if 60% were read?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from capacity.demand.calls import Calls
from capacity.plan import PlanError
from capacity.simulator.requests import Ints

WEAKER = ("simulated", "schema_example")
"""Provenances that a stated ratio does not improve."""


def with_hit_ratios(calls: Calls, ratios: Mapping[str, float]) -> Calls:
    """The calls with this share of a model's input tokens read from cache; prompts and answers stay as they are.

    Reads shrink in proportion, and what is missed is written where the model writes, else it is plain input. They
    grow out of what was written and plain, in proportion. Of rounded tokens: exact to half a token a call.

    Raises:
        PlanError: a model that no call is of.
    """
    for model, ratio in ratios.items():
        mask = calls.of(model)
        if not mask.any():
            known = ", ".join(sorted(set(calls.model.tolist())))
            raise PlanError(f"capacity.hit_ratios.{model}: no call is of this model; called: {known}")
        calls = _with_ratio(calls, model, mask, ratio)
    return calls


def _with_ratio(calls: Calls, model: str, mask: npt.NDArray[np.bool_], ratio: float) -> Calls:
    prompt, read = calls.prompt_tokens[mask], calls.cache_read_tokens[mask]
    total, now = float(prompt.sum()), float(read.sum())
    if ratio * total <= now:
        wanted = read * (ratio * total / now if now else 0.0)
    else:
        wanted = read + (prompt - read) * (ratio * total - now) / (total - now)
    after = np.minimum(np.rint(wanted).astype(np.int64), prompt)
    short, long = calls.cache_write_tokens_5m[mask], calls.cache_write_tokens_1h[mask]
    rest, before = prompt - after, np.maximum(prompt - read, 1)
    if after.sum() > read.sum():  # grown out of the rest, in proportion
        short, long = (np.rint(part * (rest / before)).astype(np.int64) for part in (short, long))
    elif (short + long).any():
        short = short + (read - after)
    short_left = np.minimum(short, rest)
    long_left = np.minimum(long, rest - short_left)
    origin = calls.provenance.get(model, "assumed")
    provenance = {**calls.provenance, model: origin if origin in WEAKER else "assumed"}
    return replace(
        calls,
        cache_read_tokens=_placed(calls.cache_read_tokens, mask, after),
        cache_write_tokens_5m=_placed(calls.cache_write_tokens_5m, mask, short_left),
        cache_write_tokens_1h=_placed(calls.cache_write_tokens_1h, mask, long_left),
        input_tokens=_placed(calls.input_tokens, mask, rest - short_left - long_left),
        provenance=provenance,
        source=f"{calls.source}; hits of {model} as stated",
    )


def _placed(column: Ints, mask: npt.NDArray[np.bool_], values: Ints) -> Ints:
    placed = column.copy()
    placed[mask] = values
    return placed
