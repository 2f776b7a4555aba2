"""When sessions and background events start: point processes under a time-varying rate, and replay of real ones.

Every process is drawn on the integral of the rate, where it has rate one, and mapped back (time change), so that its
expected count over any span is the integral itself. numpy and the standard library only: load workers import this.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scenarios.demand import INTERACTIONS, Curve, Floats, Window, curve, stream_of
from scenarios.errors import ScenarioError
from scenarios.resolved import ArrivalsValues, ClientValues, Resolved
from scenarios.seeds import random_stream
from scenarios.traces import arrivals as traces
from scenarios.traces.arrivals import Replay

STARTS_MAX = 100_000_000
Gaps = Callable[[int], Floats]


@dataclass(frozen=True)
class Starts:
    """Starts in order of time.

    Attributes:
        offset_s: (n,) seconds from the window's start.
        region: (n,) index into the scenario's regions.
        client: (n,) index into the stream's clients; 0 when it has none.
    """

    offset_s: Floats
    region: NDArray[np.int16]
    client: NDArray[np.int16]

    def __len__(self) -> int:
        """How many."""
        return len(self.offset_s)


def session_starts(resolved: Resolved, *, window: Window, scale: float, seed: int) -> Starts:
    """Starts of chat sessions: the rate of interactions over the mean interactions per session.

    Args:
        resolved: the scenario as JSON values (`Scenario.model_dump(mode="json", by_alias=True)`).
        window: seconds from the event's start.
        scale: factor on the rate; burstiness (CV) stays as stated.
        seed: of the arrival streams; the same seed gives the same starts whatever the number of workers.
    Raises:
        ScenarioError: a window outside the event, or more starts than memory should hold.
    """
    per_session = resolved["mix"]["interactions_per_session"]["mean"]
    return stream_starts(resolved, INTERACTIONS, window=window, scale=scale / per_session, seed=seed)


def stream_starts(resolved: Resolved, stream: str, *, window: Window, scale: float, seed: int) -> Starts:
    """Starts of one kind of demand: `interactions` themselves, `planner_queries` or `price_ticks`."""
    _check_window(window, resolved["event"]["length_s"], scale)
    keys = stream_of(resolved, stream)
    if keys is None:
        return _merged([])
    rate = curve(resolved, stream=stream, window=window, scale=scale)
    return _starts(rate, keys["arrivals"], keys["clients"], window, ("arrivals", stream), seed)


def constant_rate(
    rate_per_s: float, for_s: float, *, resolved: Resolved, seed: int, stream: str = INTERACTIONS
) -> Starts:
    """Session starts at a steady rate in place of the event: `--rate 60/s --for 15s`.

    Args:
        rate_per_s: interactions per second over all regions; divided by interactions per session.
        for_s: length of the window.
        resolved: gives region shares, the arrival process and the client mix.
    Raises:
        ScenarioError: a rate or length that is not positive.
    """
    for name, value in (("--rate", rate_per_s), ("--for", for_s)):
        if not (math.isfinite(value) and value > 0):
            raise ScenarioError(f"{name} is {value:g}, expected a number above 0")
    keys = stream_of(resolved, stream)
    per_session = resolved["mix"]["interactions_per_session"]["mean"] if stream == INTERACTIONS else 1.0
    regions = resolved["event"]["regions"]
    shares = np.array([region["share"] for region in regions.values()])
    totals = shares[:, None] * (rate_per_s / per_session) * np.array([0.0, for_s])
    steady = Curve(regions=tuple(regions), knots_s=np.array([0.0, for_s]), cumulative=totals)
    arrivals: ArrivalsValues = keys["arrivals"] if keys else {"process": "poisson"}
    clients = keys["clients"] if keys else {}
    return _starts(steady, arrivals, clients, (0.0, for_s), ("arrivals", stream, "constant"), seed)


def read_replay(path: str | Path, window: Window | None = None) -> Replay:
    """Rows of a real service's log whose time, from the file's first row, lies in the window (end excluded).

    Raises:
        ScenarioError: no such file, no timestamp column, or a cell that is no time or no count.
    """
    return traces.read_replay(path, window)


def _check_window(window: Window, length_s: float, scale: float) -> None:
    start_s, end_s = window
    if not 0 <= start_s < end_s <= length_s + 1e-6:
        raise ScenarioError(
            f"window {start_s:g}s:{end_s:g}s: not inside the event, which lasts {length_s:g} s; use 0s:{length_s:g}s"
        )
    if not (math.isfinite(scale) and scale > 0):
        raise ScenarioError(f"scale is {scale:g}, expected a number above 0, such as 0.01")


def _starts(
    rate: Curve,
    arrivals: ArrivalsValues,
    clients: Mapping[str, ClientValues],
    window: Window,
    names: tuple[str, ...],
    seed: int,
) -> Starts:
    """Draw every region and client apart, and merge."""
    if rate.total > STARTS_MAX:
        raise ScenarioError(f"{rate.total:.3g} starts expected in this window; lower --scale or shorten --window")
    sources = [(client["share"], client["cv"]) for client in clients.values()] or [(1.0, arrivals.get("cv", 1.0))]
    parts = []
    alone = len(rate.regions) * len(sources) == 1
    for r, region in enumerate(rate.regions):
        for c, (share, cv) in enumerate(sources):
            rng = random_stream(seed, *names, region, c)
            offset_s = _points(rate, r, share, arrivals, cv, rng, alone=alone) - window[0]
            parts.append((offset_s, r, c))
    return _merged(parts)


def _merged(parts: list[tuple[Floats, int, int]]) -> Starts:
    offset_s = np.concatenate([np.zeros(0), *(part[0] for part in parts)])
    order = np.argsort(offset_s, kind="stable")
    region = np.concatenate([np.zeros(0, np.int16), *(np.full(len(p[0]), p[1], np.int16) for p in parts)])
    client = np.concatenate([np.zeros(0, np.int16), *(np.full(len(p[0]), p[2], np.int16) for p in parts)])
    return Starts(offset_s=offset_s[order], region=region[order], client=client[order])


def _points(
    rate: Curve, region: int, share: float, process: ArrivalsValues, cv: float, rng: np.random.Generator, *, alone: bool
) -> Floats:
    """Times of one source: a unit-rate process on the integral, mapped back to time."""
    if process["process"] == "mmpp":
        return _modulated(rate, region, share, process, rng)
    total = rate.cumulative[region, -1] * share
    if process["process"] == "replay":
        points = _log_pattern(str(process["file"]), total, 0.0 if alone else rng.random())
    else:
        points = _renewal(process["process"], cv, total, rng)
    return rate.times_of(region, points / share if share > 0 else points)


def _renewal(process: str, cv: float, total: float, rng: np.random.Generator) -> Floats:
    """A stationary renewal process of rate one on [0, total): its count has mean `total` exactly.

    The first gap is drawn from the equilibrium distribution (a uniform part of a length-biased gap), or a bursty
    process would start every window in the same place. Source: Cox, Renewal Theory (1962), section 5.
    """
    if total <= 0:
        return np.zeros(0)
    gap, biased_gap = _GAPS[process](cv, rng)
    points = np.array([float(biased_gap(1)[0] * rng.random())])
    while points[-1] < total:
        left = total - points[-1]
        size = int(left + 4 * max(cv, 1.0) * math.sqrt(left)) + 64
        points = np.concatenate((points, points[-1] + np.cumsum(gap(size))))
    return points[: np.searchsorted(points, total)]


def _log_pattern(path: str, total: float, phase: float) -> Floats:
    """A log's arrivals at rate one on [0, total), from a share `phase` of it on, round and round.

    A mean gap after the last row closes the circle.
    """
    unit = _unit_log(path, os.stat(path).st_mtime_ns)
    n = len(unit)
    laps = np.arange(math.floor(total / n + phase) + 1)
    points: Floats = (laps[:, None] * n + unit[None, :]).ravel() - phase * n
    return points[(points >= 0) & (points < total)]


@lru_cache(maxsize=4)
def _unit_log(path: str, _: int) -> Floats:
    """A log's times with mean gap one, the first at 0; read once however many regions follow it."""
    offset_s = read_replay(path).offset_s
    if len(offset_s) < 2 or offset_s[-1] <= 0:
        raise ScenarioError(f"{path}: too few arrivals for a pattern; give a log of a minute or more")
    unit: Floats = offset_s * ((len(offset_s) - 1) / offset_s[-1])
    unit.setflags(write=False)
    return unit


def _constant_gaps(_: float, __: np.random.Generator) -> tuple[Gaps, Gaps]:
    return np.ones, np.ones


def _poisson_gaps(_: float, rng: np.random.Generator) -> tuple[Gaps, Gaps]:
    return rng.standard_exponential, lambda n: rng.standard_gamma(2.0, n)


def _gamma_gaps(cv: float, rng: np.random.Generator) -> tuple[Gaps, Gaps]:
    shape = 1.0 / cv**2
    return lambda n: rng.standard_gamma(shape, n) / shape, lambda n: rng.standard_gamma(shape + 1, n) / shape


def _weibull_gaps(cv: float, rng: np.random.Generator) -> tuple[Gaps, Gaps]:
    shape = weibull_shape(cv)
    width = 1.0 / math.gamma(1 + 1 / shape)
    return (
        lambda n: width * rng.weibull(shape, n),
        lambda n: width * rng.standard_gamma(1 + 1 / shape, n) ** (1 / shape),
    )


_GAPS = {"constant": _constant_gaps, "poisson": _poisson_gaps, "gamma": _gamma_gaps, "weibull": _weibull_gaps}


def weibull_shape(cv: float) -> float:
    """The Weibull shape whose coefficient of variation is `cv`, by bisection; cv in [0.05, 50]."""
    low, high = 0.1, 30.0
    for _ in range(80):
        mid = math.sqrt(low * high)
        ratio = math.lgamma(1 + 2 / mid) - 2 * math.lgamma(1 + 1 / mid)
        low, high = (low, mid) if math.exp(ratio) - 1 < cv**2 else (mid, high)
    return math.sqrt(low * high)


def _modulated(rate: Curve, region: int, share: float, process: ArrivalsValues, rng: np.random.Generator) -> Floats:
    """A Poisson process whose rate jumps between calm and burst, with mean one: bursts last in real time."""
    burst_share, burst_s = process["burst_share"], process["burst_length_s"]
    calm = 1.0 / (1 - burst_share + burst_share * process["burst_ratio"])
    calm_s = burst_s * (1 - burst_share) / burst_share
    start_s, end_s = float(rate.knots_s[0]), float(rate.knots_s[-1])
    cycles = int(1.2 * (end_s - start_s) / (burst_s + calm_s)) + 16
    bursting = bool(rng.random() < burst_share)
    switch_s = [np.array([start_s])]
    while switch_s[-1][-1] < end_s:
        means = np.tile([burst_s, calm_s] if bursting else [calm_s, burst_s], cycles)
        switch_s.append(switch_s[-1][-1] + np.cumsum(rng.standard_exponential(2 * cycles) * means))
    switches_s = np.concatenate(switch_s).clip(max=end_s)
    factor = np.where((np.arange(len(switches_s) - 1) % 2 == 0) == bursting, calm * process["burst_ratio"], calm)
    at = rate.counts_at(region, switches_s)
    modulated = np.concatenate(([0.0], np.cumsum(np.diff(at) * factor))) * share
    points = _renewal("poisson", 1.0, float(modulated[-1]), rng)
    right = np.searchsorted(modulated, points, side="right").clip(1, len(switches_s) - 1)
    width = modulated[right] - modulated[right - 1]
    return rate.times_of(region, at[right - 1] + (points - modulated[right - 1]) / width * (at[right] - at[right - 1]))
