"""Rate per replica as a function of the workload: simulated where the draws are, interpolated between, never beyond."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
from scipy.interpolate import RegularGridInterpolator

from capacity.simulator.memory import Memory, content_key
from capacity.simulator.requests import Floats

FLOOR_RATIO = 0.02
"""What a point that meets the SLOs at no load counts for in an interpolation, as a share of the base rate."""
SIGMAS = 2.5
"""Design points reach this far to either side of the middle; 98.8% of normal draws lie within."""

_RATIOS: Memory[Floats] = Memory(256)


@dataclass(frozen=True)
class Surface:
    """ln(rate / base rate) on a grid of (ln prompt ratio, ln answer ratio, hit ratio over base), linear in between.

    axes: ascending, one value where an input does not vary. logs: shape of the axes.
    error: root mean square of what interpolating leaves, one sigma of ln(rate): part of the model error.
    impossible: share of design points where the SLOs are met at no load.
    """

    axes: tuple[Floats, Floats, Floats]
    logs: Floats
    error: float
    impossible: float

    def ratio(self, prompt: Floats, answer: Floats, hits: Floats) -> Floats:
        """Rate over the base rate. Arguments beyond the design are held to its edge: see `beyond`.

        One plan asks for the same draws some hundred times: the newest answers are kept, read-only.
        """
        return _RATIOS.get(content_key(self._key, prompt, answer, hits), lambda: self._ratio(prompt, answer, hits))

    @cached_property
    def _key(self) -> str:
        return content_key(self)

    def _ratio(self, prompt: Floats, answer: Floats, hits: Floats) -> Floats:
        held = [
            np.clip(values, axis[0], axis[-1])
            for values, axis in zip(_point(prompt, answer, hits), self.axes, strict=True)
        ]
        varied = [place for place, axis in enumerate(self.axes) if len(axis) > 1]
        if not varied:
            return np.ones(np.broadcast(prompt, answer, hits).shape)
        grid = RegularGridInterpolator([self.axes[place] for place in varied], self.logs.squeeze())
        points = np.stack(np.broadcast_arrays(*(held[place] for place in varied)), axis=-1)
        ratio = np.asarray(np.exp(grid(points)))
        ratio.flags.writeable = False
        return ratio

    def beyond(self, prompt: Floats, answer: Floats, hits: Floats) -> float:
        """Share of the arguments that lie beyond the design, where the rate of its edge stands in."""
        values = np.broadcast_arrays(*_point(prompt, answer, hits))
        outside = [
            (v < axis[0] - 1e-9) | (v > axis[-1] + 1e-9)
            for v, axis in zip(values, self.axes, strict=True)
            if len(axis) > 1
        ]
        return float(np.mean(np.any(outside, axis=0))) if outside else 0.0


FLAT = Surface((np.zeros(1), np.zeros(1), np.ones(1)), np.zeros((1, 1, 1)), 0.0, 0.0)
"""Of a workload that does not vary."""


def _point(prompt: Floats, answer: Floats, hits: Floats) -> tuple[Floats, Floats, Floats]:
    return np.log(prompt), np.log(answer), np.asarray(hits, dtype=np.float64)


def design(spread: float, hits: Floats) -> tuple[Floats, Floats, Floats]:
    """Axes where draws are: tokens log-normal with this one-sigma spread, and drawn hit ratios over their base."""
    reach = SIGMAS * spread
    edges = np.quantile(hits, [0.01, 0.2, 0.99]) if len(hits) > 1 else np.ones(3)
    return (
        np.array([-1, -0.5, 0.0, 0.25, 0.5, 0.75, 1.0]) * reach if reach else np.zeros(1),
        np.array([-1, 0.0, 1.0]) * reach if reach else np.zeros(1),
        np.unique(np.append(edges, 1.0)),
    )


def simulate_surface(
    rate_at: Callable[[float, float, float], float], axes: tuple[Floats, Floats, Floats], threads: int = 1
) -> Surface:
    """`rate_at(prompt ratio, answer ratio, hit ratio over base)` at every point of the design, so many at once.

    Raises:
        ValueError: the base point, ratios of one, serves nothing or is not in the design.
    """
    shape = tuple(len(axis) for axis in axes)

    def at_point(point: tuple[float, float, float]) -> float:
        return rate_at(float(np.exp(point[0])), float(np.exp(point[1])), float(point[2]))

    with ThreadPoolExecutor(threads) as pool:
        rates = np.array(list(pool.map(at_point, product(*axes)))).reshape(shape)
    base = rates[
        tuple(int(np.argmin(np.abs(axis - middle))) for axis, middle in zip(axes, (0.0, 0.0, 1.0), strict=True))
    ]
    if base <= 0:
        raise ValueError("the base workload meets its SLOs at no load: there is no surface around it")
    logs = np.log(np.maximum(rates / base, FLOOR_RATIO))
    return Surface(axes, logs, _error(logs, axes), float((rates <= 0).mean()))


def _error(logs: Floats, axes: tuple[Floats, Floats, Floats]) -> float:
    """What linear interpolation leaves: each inner point against its neighbours' line, over four.

    Halving the distance of the points divides the error of a line by four (Taylor's second term).
    """
    left = []
    for place, axis in enumerate(axes):
        along = np.moveaxis(logs, place, 0)
        for inner in range(1, len(axis) - 1):
            low, high = axis[inner - 1], axis[inner + 1]
            share = (axis[inner] - low) / (high - low)
            line = along[inner - 1] * (1 - share) + along[inner + 1] * share
            left.append(((along[inner] - line) / 4).ravel())
    return float(np.sqrt(np.mean(np.concatenate(left) ** 2))) if left else 0.0
