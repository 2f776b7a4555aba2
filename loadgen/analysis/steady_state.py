"""Was the run steady, how sure are its quantiles when turns are not independent, and do its two counts of load agree?

Turns that overlap share queues, so they are correlated and an interval from order statistics is too narrow. Batch means
cut the window into stretches of time and let the spread between them speak. All is null where the run is too short.
Sources: batch means, Law 2015 (9.5.3); trend, Mann 1945 and Kendall 1975 with ties, slope by Sen 1968; Little 1961.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from loadgen.record import Run
from loadgen.run_info import BatchMean, LittlesLaw, SteadyState, Trend
from slo.quantiles import censored_values, quantile
from slo.slo import ERROR_STATUSES

if TYPE_CHECKING:
    import pandas as pd

BATCHES = 10
BATCH_TURNS_MIN = 20
BATCH_TAIL_MIN = 2
"""Samples that a batch's quantile needs at or above it: with fewer, it is the batch's maximum and no quantile."""
TREND_P_MAX = 0.01
TREND_CHANGE_MIN = 0.2
"""Chance makes a reported trend less often than this, and it moved the figure by this share over the window."""
LITTLE_TOLERANCE_RATIO = 0.05
NEAR_S = 0.05
"""The generator counts within so long of the whole second: a few of its heartbeats."""
_T_975 = {4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}
"""Student's t at 97.5% by degrees of freedom."""
FAILED_CHANGE_MIN = 0.05
"""A change of the share of failures between the halves of a run that explains a moving level."""
SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


def batch_means(turns: pd.DataFrame, length_s: float) -> dict[str, dict[str, BatchMean | None]]:
    """Interval of every quantile from batches of equal time, by metric and `p50`, `p95`, `p99`.

    `value` is the mean of the batches' quantiles, which is not the quantile of the whole; lo and hi are its 95%
    interval by Student's t. None: too few turns, or a batch's quantile lies among turns that were not answered.
    """
    batches = _batches(turns, length_s)
    means: dict[str, dict[str, BatchMean | None]] = {}
    for metric in ("ttft_s", "e2e_s", "tpot_s"):
        pairs = [censored_values(batch, metric)[:2] for batch in batches]
        means[metric] = {name: _interval(pairs, share) for name, share in SHARES.items()}
    return means


def _batches(turns: pd.DataFrame, length_s: float) -> list[pd.DataFrame]:
    """Turns by stretch of their intended start; none where a stretch would be too thin."""
    if len(turns) < BATCHES * BATCH_TURNS_MIN or length_s <= 0:
        return []
    number = np.minimum((turns["intended_start_s"].to_numpy() * BATCHES / length_s).astype(int), BATCHES - 1)
    return [turns[number == batch] for batch in range(BATCHES)]


def _interval(pairs: list[tuple[np.ndarray, np.ndarray]], share: float) -> BatchMean | None:
    """One quantile's interval over batches."""
    if not pairs or min(len(values) for values, _ in pairs) * (1 - share) < BATCH_TAIL_MIN:
        return None
    estimates = [quantile(values, gone, share) for values, gone in pairs]
    if any(estimate.censored for estimate in estimates):
        return None
    values = np.array([estimate.value for estimate in estimates], dtype=np.float64)
    half = _T_975[BATCHES - 1] * float(values.std(ddof=1)) / math.sqrt(BATCHES)
    mean = float(values.mean())
    return BatchMean(mean, max(0.0, mean - half), mean + half, BATCHES)


# --- trend -----------------------------------------------------------------------------------------------------------


def steady_state(run: Run, length_s: float) -> SteadyState:
    """Whether latency and the number in flight kept a level; `steady` None: not known.

    A run whose own rate changes (an event's shape) is not expected to be steady, and is not judged.
    """
    batches = _batches(run.turns, length_s)
    if not batches:
        need = BATCHES * BATCH_TURNS_MIN
        return SteadyState(None, f"steady state not tested: fewer than {need} turns")
    levels = {"turns offered": np.array([len(batch) for batch in batches], dtype=np.float64)}
    pairs = [censored_values(batch, "ttft_s")[:2] for batch in batches]
    if all(len(values) for values, _ in pairs):
        levels["TTFT p50"] = np.array([quantile(*pair, 0.5).value for pair in pairs], dtype=np.float64)
    flying = _in_flight(run.generator, length_s)
    if flying is not None:
        levels["turns in flight"] = flying
    trends = {name: trend(values) for name, values in levels.items()}
    moving = [name for name, level in trends.items() if level.moves]
    if "turns offered" in moving:
        return SteadyState(None, "the offered rate changed, so no steady state is expected", trends)
    if not moving:
        return SteadyState(True, f"steady: {', '.join(trends)} kept their level over the window", trends)
    moves = ", ".join(f"{name} moved by {trends[name].change_ratio:+.0%}" for name in moving)
    sentence = (
        f"no steady state: {moves} over the window{_cause(run, length_s, trends)}; quantiles depend on its length"
    )
    return SteadyState(False, sentence, trends)


def _cause(run: Run, length_s: float, trends: Mapping[str, Trend]) -> str:
    """Why a level moved, where the record says so: failures that came or went, work that piles up, or a warm-up."""
    batches = _batches(run.turns, length_s)
    failed = np.array([batch["status"].isin(ERROR_STATUSES).mean() for batch in batches])
    early, late = float(failed[: BATCHES // 2].mean()), float(failed[BATCHES // 2 :].mean())
    if abs(late - early) >= FAILED_CHANGE_MIN:
        return f", as failures {'rose' if late > early else 'fell'} from {early:.0%} to {late:.0%} of turns"
    flying, ttft = trends.get("turns in flight"), trends.get("TTFT p50")
    if flying is not None and flying.moves and flying.change_ratio > 0:
        return ", as turns came faster than they were answered"
    if ttft is not None and ttft.moves and ttft.change_ratio < 0:
        return ", as the target got quicker: it warmed up, or its cache did"
    if ttft is not None and ttft.moves:
        return ", as the target got slower at the same load"
    return ""


def _in_flight(generator: pd.DataFrame, length_s: float) -> np.ndarray | None:
    """Mean turns in flight of all workers, by batch; None where a batch holds no second."""
    level = _in_flight_by_second(generator, length_s)
    if len(level) < BATCHES:
        return None
    return np.array([part.mean() for part in np.array_split(level, BATCHES)])


def _in_flight_by_second(generator: pd.DataFrame, length_s: float) -> np.ndarray:
    """Turns in flight of all workers at the end of each whole second of the window."""
    inside = generator[generator["second"] + 1 <= length_s + 1e-9]
    return inside.groupby("second")["in_flight"].sum().to_numpy(dtype=np.float64)


def trend(levels: np.ndarray) -> Trend:
    """Mann and Kendall's test of a trend in a short series, with Sen's slope as a share of the median over its length.

    p is two-sided: exact without ties, else by the normal distribution with a correction for them.
    """
    from scipy.stats import kendalltau, theilslopes  # half a second to import, which no start should pay

    x = np.arange(len(levels), dtype=np.float64)
    median = float(np.median(levels))
    if np.ptp(levels) == 0:
        return Trend(1.0, 0.0, False)
    p = float(kendalltau(x, levels).pvalue)
    change = float(theilslopes(levels, x).slope) * (len(levels) - 1) / median if median else 0.0
    return Trend(p, change, p < TREND_P_MAX and abs(change) >= TREND_CHANGE_MIN)


# --- Little's law ----------------------------------------------------------------------------------------------------


def littles_law(run: Run, length_s: float) -> LittlesLaw | None:
    """The generator's count of turns in flight against what the turns' own times say: two records of one thing.

    L is the generator's count at the end of each whole second; against it stands the number in flight at those moments
    by the turns' own times. Both look at the same moments, so regular arrivals that beat with the second deceive
    neither. The figures shown are means over the window: the integral of the turns in flight, and rate times time.
    Whatever a turn's row lacks, or the counter does, shows as a difference; only moments of ending differ by chance.
    """
    counts = _in_flight_by_second(run.generator, length_s)
    sent = run.turns[run.turns["start_lag_s"].notna() & run.turns["e2e_from_send_s"].notna()]
    if len(counts) < BATCHES or sent.empty:
        return None
    over_s = float(len(counts))
    start_s = (sent["intended_start_s"] + sent["start_lag_s"]).to_numpy(dtype=np.float64)
    end_s = start_s + sent["e2e_from_send_s"].to_numpy(dtype=np.float64)
    at_s = np.arange(1, len(counts) + 1, dtype=np.float64)
    by_rows = _in_flight_at(start_s, end_s, at_s)
    inside_s = np.minimum(end_s, over_s) - np.minimum(start_s, over_s)
    timed = float(inside_s.sum()) / over_s
    counted, sampled = float(counts.mean()), float(by_rows.mean())
    near = np.abs(_in_flight_at(start_s, end_s, at_s + NEAR_S) - by_rows)
    near = np.maximum(near, np.abs(_in_flight_at(start_s, end_s, at_s - NEAR_S) - by_rows))
    allowed = max(LITTLE_TOLERANCE_RATIO * max(counted, sampled), float(near.mean()), 1 / over_s)
    holds = abs(counted - sampled) <= allowed
    mean = max(0.0, timed + counted - sampled)  # what both counts share of the sampling drops out
    return LittlesLaw(
        in_flight_mean=mean,
        rate_per_s=len(sent[start_s < over_s]) / over_s,
        rate_times_time=timed,
        holds=holds,
        sentence=f"Little's law: {mean:.2f} turns in flight counted, {timed:.2f} by rate times time"
        + ("" if holds else "; they disagree, so the record misses turns or times"),
    )


def _in_flight_at(start_s: np.ndarray, end_s: np.ndarray, at_s: np.ndarray) -> np.ndarray:
    """Turns begun and not ended at each of these moments, float64[n]."""
    begun = np.searchsorted(np.sort(start_s), at_s, side="right")
    return (begun - np.searchsorted(np.sort(end_s), at_s, side="right")).astype(np.float64)
