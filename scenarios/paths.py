"""Draws of whole demand paths: what the forecast does not know, as so many possible events.

Three kinds of ignorance, each from the scenario: the level of the peak (`peak_per_s`), the timing of the curve and a
slow wobble of its shape (`noise`). A stream's draws depend on (seed, stream) only. numpy and stdlib only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from scenarios.demand import INTERACTIONS, Floats, rate_per_s, stream_of
from scenarios.resolved import NoiseValues, RangeValues, Resolved
from scenarios.seeds import random_stream


@dataclass(frozen=True)
class Paths:
    """Possible courses of one stream over the event.

    Attributes:
        regions: names, in the scenario's order.
        offset_s: (T,) start of each step, from the event's start.
        rate_per_s: (N, R, T) rate of each draw in each region during each step, single precision.
        peak_per_s: (N,) the drawn level of the peak over all regions, noise apart.
    """

    regions: tuple[str, ...]
    offset_s: Floats
    rate_per_s: NDArray[np.float32]
    peak_per_s: Floats


def draw_paths(
    resolved: Resolved,
    *,
    draws: int,
    seed: int,
    stream: str = INTERACTIONS,
    step_s: float = 60.0,
    levels: Floats | None = None,
) -> Paths:
    """Draw whole paths of one stream.

    Args:
        resolved: the scenario as JSON values.
        draws: how many; 1,000 of a 4-day event in 3 regions at 1-minute grain hold 70 MB.
        seed: of the draws.
        stream: a kind of demand that the scenario has.
        step_s: grain; the rate is that at the middle of each step.
        levels: (draws,) of the peak, in place of drawn ones.
    Raises:
        KeyError: the scenario has no such stream.
    """
    keys = stream_of(resolved, stream)
    if keys is None:
        raise KeyError(stream)
    rng = random_stream(seed, "paths", stream)
    drawn = draw_levels(keys["peak_per_s"], draws, rng)
    levels = drawn if levels is None else levels
    offset_s = np.arange(0.0, resolved["event"]["length_s"], step_s)
    base = rate_per_s(resolved, offset_s + step_s / 2, stream=stream, peak_per_s=1.0).astype(np.float32)
    noise = keys["noise"]
    rates = np.repeat(base[None], draws, axis=0)
    if noise["timing_s_sd"] > 0:
        rates = _shifted(base, rng.standard_normal(draws) * noise["timing_s_sd"] / step_s)
    if noise["shape_cv"] > 0:
        _wobble(rates, noise, step_s, rng)
    rates *= levels[:, None, None].astype(np.float32)
    return Paths(tuple(resolved["event"]["regions"]), offset_s, rates, levels)


def draw_levels(estimate: RangeValues, draws: int, rng: np.random.Generator) -> Floats:
    """Levels of a `Range`: two half log-normals that meet at the median and pass through low and high.

    Half normals cut at 0 where low is 0. So low and high are the quantiles (1 -+ confidence) / 2.
    """
    low, mid, high = float(estimate["low"]), float(estimate["mid"]), float(estimate["high"])
    z = rng.standard_normal(draws) / NormalDist().inv_cdf(0.5 + estimate["confidence"] / 2)
    if low > 0:
        exponents = np.where(z < 0, z * math.log(mid / low), z * math.log(high / mid))
        return np.asarray(mid * np.exp(exponents), dtype=np.float64)
    return np.maximum(0.0, mid + np.where(z < 0, z * (mid - low), z * (high - mid)))


def _shifted(base: NDArray[np.float32], shift_steps: Floats) -> NDArray[np.float32]:
    """(N, R, T) the curve moved in time by so many steps, later for a positive shift; its ends are held."""
    steps = np.arange(base.shape[1])
    full = np.floor(shift_steps).astype(int)
    share = (shift_steps - full).astype(np.float32)
    shifted = np.empty((len(shift_steps), *base.shape), np.float32)
    for i, (by, part) in enumerate(zip(full.tolist(), share.tolist(), strict=True)):
        at, before = (steps - by).clip(0, len(steps) - 1), (steps - by - 1).clip(0, len(steps) - 1)
        shifted[i] = (1 - part) * base[:, at] + part * base[:, before]
    return shifted


def _wobble(rates: NDArray[np.float32], noise: NoiseValues, step_s: float, rng: np.random.Generator) -> None:
    """Multiply in place by exp of a stationary first-order autoregression with mean-one level and the stated CV."""
    draws, regions, steps = rates.shape
    sigma2 = math.log1p(noise["shape_cv"] ** 2)
    keep = math.exp(-step_s / noise["shape_correlation_s"])
    common = math.sqrt(noise["region_correlation_ratio"])
    own = math.sqrt(1 - noise["region_correlation_ratio"])
    state = np.zeros((draws, regions), np.float32)
    for step in range(steps):
        shock = own * rng.standard_normal((draws, regions), dtype=np.float32)
        shock += common * rng.standard_normal((draws, 1), dtype=np.float32)
        state = shock if step == 0 else keep * state + math.sqrt(1 - keep**2) * shock
        rates[:, :, step] *= np.exp(math.sqrt(sigma2) * state - sigma2 / 2)
