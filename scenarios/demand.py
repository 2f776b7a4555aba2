"""How many interactions a second, per region and moment: the rate, its integral, and the integral's inverse.

A stream's rate in region r is `peak * share_r * shape_r(t) / max over the event of sum_r share_r * shape_r`, so that
the busiest moment over all regions has exactly the stated peak. Takes a resolved scenario (JSON values), so that a
load worker needs numpy and the standard library only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache, partial
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from scenarios.counts import step_counts
from scenarios.resolved import Resolved, ShapeValues, StreamValues, TraceValues

Floats = NDArray[np.float64]
Window = tuple[float, float]
LocalHour = Callable[[Floats], Floats]

INTERACTIONS = "interactions"
BACKGROUND = ("planner_queries", "price_ticks")
STEP_S_MAX = 60.0
# Gauss-Legendre: exact for a cubic between two knots, and never evaluated on a jump.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(3)


@dataclass(frozen=True)
class Curve:
    """Expected starts over a window, per region.

    Attributes:
        regions: names, in the scenario's order.
        knots_s: (K,) seconds from the event's start, increasing; between two knots the rate is taken as constant.
        cumulative: (R, K) expected starts from the window's start.
    """

    regions: tuple[str, ...]
    knots_s: Floats
    cumulative: Floats

    @property
    def total(self) -> float:
        """Expected starts in the window, over all regions."""
        return float(self.cumulative[:, -1].sum())

    def counts_at(self, region: int, t_s: Floats) -> Floats:
        """Expected starts of one region from the window's start to each moment."""
        return _floats(np.interp(t_s, self.knots_s, self.cumulative[region]))

    def times_of(self, region: int, counts: Floats) -> Floats:
        """The moments at which one region's expected starts reach `counts`: the inverse of `counts_at`."""
        # Where the rate is zero the integral is flat: no start ever falls inside the flat.
        right = np.searchsorted(self.cumulative[region], counts, side="right").clip(1, len(self.knots_s) - 1)
        below, above = self.cumulative[region][right - 1], self.cumulative[region][right]
        share = np.divide(counts - below, above - below, out=np.ones_like(counts), where=above > below)
        left_s = self.knots_s[right - 1]
        return _floats(left_s + share.clip(0, 1) * (self.knots_s[right] - left_s))


def stream_of(resolved: Resolved, stream: str = INTERACTIONS) -> StreamValues | None:
    """The keys of one stream: `interactions`, `planner_queries` or `price_ticks`; None when the scenario has none."""
    demand = resolved["demand"]
    if stream == INTERACTIONS:
        return demand["interactions"]
    return demand["background"]["planner_queries" if stream == "planner_queries" else "price_ticks"]


def rate_per_s(
    resolved: Resolved, t_s: Floats, *, stream: str = INTERACTIONS, peak_per_s: float | None = None
) -> Floats:
    """The expected rate at each moment.

    Args:
        resolved: the scenario as JSON values.
        t_s: (T,) seconds from the event's start.
        stream: a kind of demand.
        peak_per_s: the level over all regions; the stream's mid when None.
    Returns:
        (R, T) starts per second, zero for a stream the scenario lacks.
    """
    keys = stream_of(resolved, stream)
    t_s = np.asarray(t_s, dtype=np.float64)
    if keys is None:
        return np.zeros((len(resolved["event"]["regions"]), len(t_s)))
    top = _busiest(resolved, keys)
    level = keys["peak_per_s"]["mid"] if peak_per_s is None else peak_per_s
    return _weighted(resolved, keys["shape"], t_s) * (level / top if top > 0 else 0.0)


def curve(
    resolved: Resolved,
    *,
    stream: str = INTERACTIONS,
    window: Window | None = None,
    scale: float = 1.0,
    peak_per_s: float | None = None,
) -> Curve:
    """The stream's integral over a window (the whole event when None), thinned to `scale` of its rate."""
    event = resolved["event"]
    start_s, end_s = window or (0.0, event["length_s"])
    keys = stream_of(resolved, stream)
    knots = _knots(keys["shape"] if keys else {"kind": "constant"}, start_s, end_s)
    mid, half = (knots[1:] + knots[:-1]) / 2, np.diff(knots) / 2
    nodes = (mid[:, None] + half[:, None] * _NODES[None, :]).ravel()
    rates = rate_per_s(resolved, nodes, stream=stream, peak_per_s=peak_per_s)
    areas = (rates.reshape(len(rates), -1, len(_NODES)) * _WEIGHTS).sum(axis=2) * half * scale
    cumulative = np.concatenate((np.zeros((len(rates), 1)), np.cumsum(areas, axis=1)), axis=1)
    return Curve(regions=tuple(event["regions"]), knots_s=knots, cumulative=cumulative)


def _busiest(resolved: Resolved, keys: StreamValues) -> float:
    """The largest sum over regions of share x shape during the event."""
    knots = _knots(keys["shape"], 0.0, resolved["event"]["length_s"])
    width = np.diff(knots)
    inside = knots[:-1, None] + width[:, None] * np.array([1e-9, 0.5, 1 - 1e-9])
    t_s = np.concatenate((knots, inside.ravel()))
    return float(_weighted(resolved, keys["shape"], t_s).sum(axis=0).max())


def _weighted(resolved: Resolved, shape: ShapeValues, t_s: Floats) -> Floats:
    """(R, T) share x shape."""
    event = resolved["event"]
    rows = [
        region["share"] * _ratio(shape, t_s, partial(_local_hour, event["start"], region["time_zone"]))
        for region in event["regions"].values()
    ]
    return np.array(rows)


def _local_hour(start: str, time_zone: str, t_s: Floats) -> Floats:
    """Hour of the local day, daylight saving included, at seconds from an ISO start."""
    last_hour = int(max(float(t_s.max(initial=0.0)), 0.0) // 3600) + 1
    offsets = np.array(_utc_offsets_s(start, time_zone, last_hour))
    begin = datetime.fromisoformat(start).timestamp()
    hour = np.clip(t_s // 3600, 0, last_hour).astype(np.int64)
    return _floats(((begin + t_s + offsets[hour]) % 86400.0) / 3600.0)


@lru_cache(maxsize=256)
def _utc_offsets_s(start: str, time_zone: str, hours: int) -> tuple[float, ...]:
    """UTC offset of a zone at each hour from the start."""
    zone, begin = ZoneInfo(time_zone), datetime.fromisoformat(start)
    moments = ((begin + timedelta(hours=i)).astimezone(zone).utcoffset() for i in range(hours + 1))
    return tuple(offset.total_seconds() if offset else 0.0 for offset in moments)


def _floats(values: object) -> Floats:
    return np.asarray(values, dtype=np.float64)


def _pulse(t_s: Floats, at_s: float, rise_s: float, hold_s: float, decay_s: float) -> Floats:
    """0, then a straight rise to 1, a hold, and an exponential fading."""
    since = t_s - at_s
    rising = since / rise_s if rise_s > 0 else np.ones_like(since)
    fading = np.exp(-np.maximum(since - rise_s - hold_s, 0.0) / decay_s)
    return np.where(since < 0, 0.0, np.minimum(rising, 1.0) * fading)


def _ratio(shape: ShapeValues, t_s: Floats, local_hour: LocalHour) -> Floats:
    """One piece, or a sum or product of pieces, at each moment."""
    if shape["kind"] == "sum" or shape["kind"] == "product":
        pieces = np.array([_ratio(piece, t_s, local_hour) for piece in shape["of"]])
        return _floats(pieces.sum(axis=0) if shape["kind"] == "sum" else pieces.prod(axis=0))
    if shape["kind"] == "constant":
        return np.full_like(t_s, shape.get("ratio", 1.0))
    if shape["kind"] == "diurnal":
        phase = 2 * np.pi * (local_hour(t_s) - shape["peak_hour_local"]) / 24.0
        return _floats(shape["trough_ratio"] + (1 - shape["trough_ratio"]) * (1 + np.cos(phase)) / 2)
    if shape["kind"] == "ramp":
        return _floats(np.interp(t_s, [shape["from_s"], shape["to_s"]], [shape["from_ratio"], shape["to_ratio"]]))
    if shape["kind"] == "step":
        return _floats(np.where(t_s < shape["at_s"], shape["before_ratio"], shape["after_ratio"]))
    if shape["kind"] == "deal_drops":
        lift = sum(_pulse(t_s, at_s, shape["rise_s"], 0.0, shape["decay_s"]) for at_s in shape["at_s"])
        return _floats(1.0 + shape["boost_ratio"] * np.asarray(lift))
    if shape["kind"] == "flash_spike":
        pulse = _pulse(t_s, shape["at_s"], shape["rise_s"], shape["hold_s"], shape["decay_s"])
        return _floats(1.0 + shape["height_ratio"] * pulse)
    if shape["kind"] == "cool_down":
        fading = np.exp(-np.maximum(t_s - shape["from_s"], 0.0) / shape["decay_s"])
        return _floats(shape["floor_ratio"] + (1 - shape["floor_ratio"]) * fading)
    return _traced(shape, t_s)


def _traced(shape: TraceValues, t_s: Floats) -> Floats:
    counts = step_counts(shape["file"], shape["time_column"], shape["count_column"], shape["step_s"]).counts
    step = np.floor((t_s + shape["offset_s"]) / shape["step_s"]).astype(np.int64)
    inside = (step >= 0) & (step < len(counts))
    top = counts.max() or 1.0
    return _floats(np.where(inside, counts[np.clip(step, 0, len(counts) - 1)], 0.0) / top)


_RISE = np.linspace(0.0, 1.0, 17)
_FADE = np.concatenate((np.linspace(0.0, 1.0, 17), np.linspace(1.0, 4.0, 25)[1:], np.linspace(4.0, 12.0, 17)[1:]))


def _knots(shape: ShapeValues, start_s: float, end_s: float) -> Floats:
    """Moments that enclose every kink and jump, close together where the rate bends, at most STEP_S_MAX apart."""
    steps = max(64, int(np.ceil((end_s - start_s) / STEP_S_MAX)))
    even = np.linspace(start_s, end_s, steps + 1)
    bends = np.concatenate([np.zeros(0), *_bends(shape, start_s, end_s)])
    return np.unique(np.concatenate((even, bends[(bends > start_s) & (bends < end_s)])))


def _bends(shape: ShapeValues, start_s: float, end_s: float) -> list[Floats]:
    if shape["kind"] == "sum" or shape["kind"] == "product":
        return [bend for piece in shape["of"] for bend in _bends(piece, start_s, end_s)]
    if shape["kind"] == "ramp":
        return [shape["from_s"] + _RISE * (shape["to_s"] - shape["from_s"])]
    if shape["kind"] == "step":
        return [np.array([shape["at_s"]])]
    if shape["kind"] == "cool_down":
        return [shape["from_s"] + _FADE * shape["decay_s"]]
    if shape["kind"] == "deal_drops":
        return [_pulse_bends(at_s, shape["rise_s"], 0.0, shape["decay_s"]) for at_s in shape["at_s"]]
    if shape["kind"] == "flash_spike":
        return [_pulse_bends(shape["at_s"], shape["rise_s"], shape["hold_s"], shape["decay_s"])]
    if shape["kind"] == "trace":
        first = np.ceil((start_s + shape["offset_s"]) / shape["step_s"])
        last = np.floor((end_s + shape["offset_s"]) / shape["step_s"])
        return [np.arange(first, last + 1) * shape["step_s"] - shape["offset_s"]]
    return []


def _pulse_bends(at_s: float, rise_s: float, hold_s: float, decay_s: float) -> Floats:
    return at_s + np.concatenate((_RISE * rise_s, rise_s + hold_s + _FADE * decay_s))
