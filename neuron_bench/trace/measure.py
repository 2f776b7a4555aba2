"""Statistics of one case's raw samples: quantiles, an interval on the median, drift, and signs of other work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neuron_bench.trace.messages import Turn

WAITED_RATIO = 1.1
"""A single-threaded step whose wall time is this much above its CPU time waited for somebody."""
CONTENDED_SHARE = 0.1
"""Share of waiting samples above which a case is called contended."""
SLOWED_RATIO = 1.15
"""Slowest over fastest calibration of the turns, above which the machine changed speed during the case."""
CV_RATIO_MAX = 0.15
"""Spread of calibrated CPU times that no quiet machine showed us: somebody shares the caches."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The statistics of a case's samples; names are columns of a record."""

    n_samples: int
    duration_s: float
    wall_s_min: float
    wall_s_p50: float
    wall_s_p90: float
    wall_s_p95: float
    wall_s_p99: float
    wall_s_mean: float
    wall_s_p50_lo: float
    wall_s_p50_hi: float
    cpu_s_p50: float
    wall_over_cpu_ratio: float | None
    cv_ratio: float
    drift_ratio: float
    contended: bool


def summary(turns: Sequence[Turn], *, device_kind: str, seed: int) -> Summary:
    """The statistics columns of a case. CPU-time checks apply to `cpu` only: elsewhere the host merely waits."""
    wall = np.concatenate([turn.wall_s for turn in turns])
    cpu = np.concatenate([turn.cpu_s for turn in turns])
    low, high = median_interval([np.asarray(turn.wall_s) for turn in turns], seed=seed)
    p50, p90, p95, p99 = (float(value) for value in np.quantile(wall, (0.5, 0.9, 0.95, 0.99)))
    on_cpu = device_kind == "cpu"
    return Summary(
        n_samples=len(wall),
        duration_s=float(wall.sum()),
        wall_s_min=float(wall.min()),
        wall_s_p50=p50,
        wall_s_p90=p90,
        wall_s_p95=p95,
        wall_s_p99=p99,
        wall_s_mean=float(wall.mean()),
        wall_s_p50_lo=low,
        wall_s_p50_hi=high,
        cpu_s_p50=float(np.median(cpu)),
        wall_over_cpu_ratio=float(np.median(wall / np.maximum(cpu, 1e-9))) if on_cpu else None,
        cv_ratio=calibrated_cv(turns),
        drift_ratio=drift_ratio(turns),
        contended=contended(turns, on_cpu=on_cpu),
    )


def median_interval(
    turns: Sequence[npt.NDArray[np.float64]], *, seed: int, resamples: int = 500
) -> tuple[float, float]:
    """90% interval of the median, by bootstrap over turns: samples of one turn share what happened in it."""
    draw = np.random.default_rng(seed)
    medians = [
        np.median(np.concatenate([turns[k] for k in draw.integers(len(turns), size=len(turns))]))
        for _ in range(resamples)
    ]
    low, high = np.quantile(medians, (0.05, 0.95))
    return float(low), float(high)


def calibrated(turn: Turn) -> float:
    """Median CPU time of a turn in units of its own calibration product: steady when only the clock speed changed."""
    return float(np.median(turn.cpu_s) / turn.calibration_s)


def calibrated_cv(turns: Sequence[Turn]) -> float:
    """Standard deviation over mean of the turns' calibrated CPU times; 0 for one turn."""
    values = np.array([calibrated(turn) for turn in turns])
    return float(values.std(ddof=1) / values.mean()) if len(values) > 1 else 0.0


def drift_ratio(turns: Sequence[Turn]) -> float:
    """Median of the last third of the turns over that of the first third, less one."""
    third = max(1, len(turns) // 3)
    first = np.median(np.concatenate([turn.wall_s for turn in turns[:third]]))
    last = np.median(np.concatenate([turn.wall_s for turn in turns[-third:]]))
    return float(last / first - 1)


def waiting_share(turns: Sequence[Turn]) -> float:
    """Share of samples whose wall time exceeds their CPU time by more than 10%."""
    wall = np.concatenate([turn.wall_s for turn in turns])
    cpu = np.concatenate([turn.cpu_s for turn in turns])
    return float((wall > WAITED_RATIO * cpu).mean())


def contended(turns: Sequence[Turn], *, on_cpu: bool) -> bool:
    """Whether somebody else used the device: many samples waited, or speed changed between turns."""
    speeds = [turn.calibration_s for turn in turns]
    changed = max(speeds) > SLOWED_RATIO * min(speeds)
    waited = on_cpu and (waiting_share(turns) > CONTENDED_SHARE or calibrated_cv(turns) > CV_RATIO_MAX)
    return bool(changed or waited)
