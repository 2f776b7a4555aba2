"""Rows of a run to the few points a chart can show: bins over time, quantiles by group, thinning that keeps peaks."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from dashboards.numbers.run import Number, quantile_number
from dashboards.numbers.stored import Rows, pieces_of
from slo.quantiles import censored_values, quantiles
from slo.slo import WAITED_COLUMN

POINTS_MAX = 1_000
_NICE_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)
_BINS = 120


def bin_width_s(span_s: float) -> int:
    """Width of a time bin that cuts `span_s` into at most about 120 round pieces."""
    return next((width for width in _NICE_S if span_s / width <= _BINS), _NICE_S[-1])


def thin(x: np.ndarray, y: np.ndarray, points: int = POINTS_MAX) -> tuple[np.ndarray, np.ndarray]:
    """At most `points` of a line, keeping the lowest and the highest of every interval: no peak is lost.

    Args:
        x: float[n], sorted.
        y: float[n]; NaN is a gap and is dropped.
    """
    known = np.isfinite(y)
    x, y = x[known], y[known]
    if len(x) <= points:
        return x, y
    edges = np.linspace(0, len(x), points // 2 + 1).astype(int)
    pairs = [
        sorted({lo + int(np.argmin(y[lo:hi])), lo + int(np.argmax(y[lo:hi]))}) for lo, hi in itertools.pairwise(edges)
    ]
    keep = np.fromiter((index for pair in pairs for index in pair), dtype=int)
    return x[keep], y[keep]


def _columns(metric: str) -> tuple[str, ...]:
    """What `censored_values` reads."""
    return metric, WAITED_COLUMN.get(metric, metric), "status"


def by_group(rows: Rows, column: str, metric: str, label: str) -> dict[str, dict[str, Number]]:
    """Quantiles of a metric for each value of a column, largest groups first: `{group: {p50: Number, ...}}`."""
    sizes: Counter[str] = Counter()
    held: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    for turns in pieces_of(rows, list(dict.fromkeys((column, *_columns(metric))))):
        codes, names = pd.factorize(turns[column])
        values, censored, counts = censored_values(turns, metric)
        for code, name in enumerate(map(str, names)):
            sizes[name] += int(np.count_nonzero(codes == code))
            inside = codes[counts] == code
            held.setdefault(name, []).append((values[inside], censored[inside]))
    result = {}
    for name, _ in sizes.most_common():
        parts = held.pop(name)
        values, censored = (np.concatenate([part[place] for part in parts]) for place in (0, 1))
        del parts
        estimates = quantiles(values, censored, [int(name[1:]) / 100 for name in _GROUP_QUANTILES])
        result[name] = {
            share: quantile_number(metric, label, share, quantile)
            for share, quantile in zip(_GROUP_QUANTILES, estimates, strict=True)
        }
    return result


_GROUP_QUANTILES = ("p50", "p95", "p99")


def quantiles_over_time(
    rows: Rows, metric: str, shares: Sequence[float], width_s: float, span_s: float
) -> tuple[np.ndarray, dict[float, np.ndarray], np.ndarray]:
    """Quantiles of turns by the bin of their intended start.

    Returns:
        bin starts float[b], {share: float[b]} with NaN where a bin is empty, and samples int[b].
    """
    edges = np.arange(0, span_s + width_s, width_s)
    parts = [(np.zeros(0, np.int16), np.zeros(0))]
    for turns in pieces_of(rows, list(dict.fromkeys(("intended_start_s", *_columns(metric))))):
        values, _, counted = censored_values(turns, metric)
        starts = turns["intended_start_s"].to_numpy(dtype=float, na_value=np.nan)[counted]
        known = np.isfinite(starts)
        bins = np.clip(np.searchsorted(edges, starts[known], side="right") - 1, 0, len(edges) - 1)
        parts.append((bins.astype(np.int16), values[known]))
    bins, ranked = (np.concatenate([part[place] for part in parts]) for place in (0, 1))
    del parts
    ranked, counts = ranked[np.argsort(bins, kind="stable")], np.bincount(bins, minlength=len(edges))
    firsts = np.concatenate(([0], np.cumsum(counts)[:-1]))
    for first, count in zip(firsts.tolist(), counts.tolist(), strict=True):
        if count:
            ranked[first : first + count].partition([max(math.ceil(share * count) - 1, 0) for share in shares])
    by_share = {}
    for share in shares:
        ranks = firsts + np.maximum(np.ceil(share * counts).astype(int) - 1, 0)
        by_share[share] = (
            np.where(counts > 0, ranked[np.minimum(ranks, max(len(ranked) - 1, 0))], np.nan)
            if len(ranked)
            else np.full(len(edges), np.nan)
        )
    return edges, by_share, counts


def per_second(generator: pd.DataFrame, columns: Sequence[str], width_s: int, how: str) -> pd.DataFrame:
    """The generator's rows of all workers, joined by second and then by bin: rates per second, or worst values.

    Args:
        how: `rate` (sum over workers, mean per second of the bin), `max`, or `level` (sum over workers, highest).
    """
    seconds = generator.groupby("second")[list(columns)]
    joined = seconds.max() if how == "max" else seconds.sum()
    bins = (joined.index.to_numpy() // width_s) * width_s
    grouped = joined.groupby(bins)
    return grouped.sum() / width_s if how == "rate" else grouped.max()


def cache_levels(calls: pd.DataFrame) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Tokens of each call by level of the prompt: those read from cache, and all.

    The prompt is tools and system (shared), then the customer's memory, then the conversation; a cache reads a prefix,
    so what was read covers the levels in that order.

    Yields:
        level, read float[n], total float[n]; n is the number of calls.
    """
    column = {name: calls[name].to_numpy(dtype=float, na_value=0.0) for name in PROMPT}
    prompt = np.sum([column[name] for name in PROMPT[:4]], axis=0)
    read = np.minimum(column["cache_read_tokens"], prompt)
    shared = np.minimum(column["prefix_shared_tokens"], prompt)
    bars = {
        "shared": shared,
        "customer": np.minimum(np.maximum(column["prefix_customer_tokens"], shared), prompt),
        "conversation": prompt,
    }
    below = np.zeros(len(calls))
    for level, bar in bars.items():
        yield level, np.clip(read - below, 0, bar - below), bar - below
        below = bar


PROMPT = (
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens_5m",
    "cache_write_tokens_1h",
    "prefix_shared_tokens",
    "prefix_customer_tokens",
)
