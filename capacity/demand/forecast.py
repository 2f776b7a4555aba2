"""Demand as a distribution: a forecast's low, mid and high become quantiles, over the event's timeline, per region."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtri

from capacity.rows.figures import Levels
from capacity.rows.needs import RegionDemand
from capacity.simulator.memory import Memory, content_key
from capacity.simulator.requests import Floats
from scenarios.demand import curve, rate_per_s
from scenarios.loading import json_values
from scenarios.paths import draw_paths
from scenarios.schema import Range, Scenario, Stream

DAY_S = 86_400.0
PATH_STEP_S = 120.0
"""Grain of drawn paths: two minutes of a four-day event take 35 MB."""
POINTS_MAX = 480
"""Points of a timeline written into a plan; each holds the highest rate up to the next one."""


@dataclass(frozen=True)
class StreamDemand:
    """One stream in one region at the median demand, with the timeline that the plan prints."""

    timeline: RegionDemand
    starts: float  # over the event
    starts_busiest_day: float


def range_quantile(estimate: Range, probability: Floats | float) -> Floats:
    """Quantile of an estimate: two half log-normals that meet at the median and pass through low and high.

    Half normals where low is 0, cut at 0. A point estimate has one value.
    """
    share = ndtri(np.asarray(probability, dtype=np.float64)) / ndtri(0.5 + estimate.confidence / 2)
    if estimate.low == estimate.high:
        return np.full(share.shape, estimate.mid)
    if estimate.low > 0:
        down, up = math.log(estimate.mid / estimate.low), math.log(estimate.high / estimate.mid)
        values: Floats = estimate.mid * np.exp(np.where(share < 0, share * down, share * up))
        return values
    spread = np.where(share < 0, estimate.mid - estimate.low, estimate.high - estimate.mid)
    cut: Floats = np.maximum(0.0, estimate.mid + share * spread)
    return cut


def stratified(n: int, rng: np.random.Generator) -> Floats:
    """n uniforms, one in each nth of (0, 1), in random order: quantiles of what they drive hardly differ by seed.

    Source: Latin hypercube sampling (McKay, Beckman, Conover 1979).
    """
    return np.asarray((rng.permutation(n) + rng.random(n)) / n)


def levels(estimate: Range, factor: float = 1.0) -> Levels:
    """p50, p90 and p95 of an estimate, times a factor."""
    p50, p90, p95 = (float(value) * factor for value in range_quantile(estimate, np.array([0.5, 0.9, 0.95])))
    return Levels(p50, p90, p95)


def stream_demand(scenario: Scenario, name: str, stream: Stream) -> dict[str, StreamDemand]:
    """A stream's demand in every region: its timeline, its peak and how much it is over the event and its worst day."""
    resolved = json_values(scenario)
    counted = curve(resolved, stream=name, peak_per_s=1.0)
    knots_s = counted.knots_s
    between = np.sort(np.concatenate((knots_s, (knots_s[1:] + knots_s[:-1]) / 2)))
    ratios = rate_per_s(resolved, between[:-1], stream=name, peak_per_s=1.0)
    median = float(range_quantile(stream.peak_per_s, 0.5))
    day_s = min(DAY_S, scenario.event.length_s)
    by_region = {}
    for number, region in enumerate(counted.regions):
        cumulative = counted.cumulative[number]
        in_a_day = np.interp(knots_s + day_s, knots_s, cumulative) - cumulative
        timeline = _timeline(region, stream.peak_per_s, between[:-1], ratios[number])
        by_region[region] = StreamDemand(timeline, float(cumulative[-1]) * median, float(in_a_day.max()) * median)
    return by_region


@dataclass(frozen=True)
class DrawnDemand:
    """Joint draws [n] of one stream: its level over the median, and each region's peak (per second)."""

    level: Floats
    peaks_per_s: Mapping[str, Floats]


DRAWN: Memory[DrawnDemand] = Memory(64)
"""What this process drew: re-planning with another price, quota, SLO or service level draws no path again."""


def drawn_demand(scenario: Scenario, name: str, stream: Stream, draws: int, seed: int) -> DrawnDemand:
    """Joint draws of a stream as `_paths_drawn` makes them; those made before in this process are not drawn again."""
    event, demand = (part.model_dump_json(by_alias=True) for part in (scenario.event, scenario.demand))
    key = content_key(event, demand, name, stream, draws, seed)
    if '"file":"' in demand:  # a trace may change under its name
        return _paths_drawn(scenario, name, stream, draws, seed)
    return DRAWN.get(key, lambda: _paths_drawn(scenario, name, stream, draws, seed))


def _paths_drawn(scenario: Scenario, name: str, stream: Stream, draws: int, seed: int) -> DrawnDemand:
    """Whole paths drawn with the forecast's level, timing and shape noise; a region's peak is its path's maximum.

    The maximum is over the event, so over any warm-up lag too. Without noise it is the level times the curve's maximum.
    """
    resolved = json_values(scenario)
    median = float(range_quantile(stream.peak_per_s, 0.5))
    drawn = range_quantile(stream.peak_per_s, stratified(draws, np.random.default_rng([seed, *name.encode()])))
    noisy = stream.noise.timing_s_sd > 0 or stream.noise.shape_cv > 0
    if noisy and median > 0:
        step_s = max(1.0, min(PATH_STEP_S, scenario.event.length_s / 240))
        paths = draw_paths(resolved, draws=draws, seed=seed, stream=name, step_s=step_s, levels=drawn)
        highest = paths.rate_per_s.max(axis=2).astype(np.float64)
        peaks = {region: highest[:, number] for number, region in enumerate(paths.regions)}
        return DrawnDemand(np.asarray(paths.peak_per_s) / median, peaks)
    demands = stream_demand(scenario, name, stream)
    top = {region: demand.timeline.peak_interactions_per_s.p50 for region, demand in demands.items()}
    level = drawn / median if median else np.zeros(draws)
    return DrawnDemand(level, {region: level * peak for region, peak in top.items()})


def with_drawn_peaks(demand: dict[str, StreamDemand], drawn: DrawnDemand, stream: Stream) -> dict[str, StreamDemand]:
    """The same demand with peaks that hold the noise of whole paths; unchanged where the stream has none."""
    if stream.noise.timing_s_sd == 0 and stream.noise.shape_cv == 0:
        return demand
    by_region = {}
    for region, values in demand.items():
        peak = Levels(*map(float, np.quantile(drawn.peaks_per_s[region], [0.5, 0.9, 0.95])))
        by_region[region] = replace(values, timeline=replace(values.timeline, peak_interactions_per_s=peak))
    return by_region


def _timeline(region: str, peak: Range, offset_s: Floats, ratio: Floats) -> RegionDemand:
    edges = np.linspace(offset_s[0], offset_s[-1], min(POINTS_MAX, len(offset_s)), endpoint=False)
    starts = np.unique(np.searchsorted(offset_s, edges))
    highest = np.maximum.reduceat(ratio, starts)
    curves = levels(peak)
    return RegionDemand(
        region=region,
        peak_interactions_per_s=levels(peak, float(ratio.max())),
        offset_s=tuple(offset_s[starts].tolist()),
        interactions_per_s_p50=tuple((highest * curves.p50).tolist()),
        interactions_per_s_p90=tuple((highest * curves.p90).tolist()),
        interactions_per_s_p95=tuple((highest * curves.p95).tolist()),
    )
