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
from loadgen.run_info import Quantile

POINTS_MAX = 1_000
Z_95 = 1.959963984540054
"""Half-width, in standard deviations, of a 95% interval of a normal distribution."""
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


def waits(turns: pd.DataFrame, metric: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values of a latency metric, which of them are censored, and which rows they belong to.

    A turn that was not answered and waited (its E2E column says how long) counts with that wait, censored, unless
    the metric is known. Errors without a wait have no such time, and stay out.

    Returns:
        values float[n] and censored bool[n] of the rows that count, in their order; counts bool[rows].
    """
    waited = _waited(turns)
    values = turns[metric].to_numpy(dtype=float, na_value=np.nan)
    answered = (turns["status"] == "ok").to_numpy(dtype=bool)
    censored = np.zeros(len(values), dtype=bool)
    if metric.startswith("e2e"):
        censored = waited
    elif metric.startswith("ttft"):
        censored = waited & np.isnan(values)
        values = np.where(censored, turns["e2e_s"].to_numpy(dtype=float, na_value=np.nan), values)
    counts = (answered | waited) & np.isfinite(values)
    return values[counts], censored[counts], counts


def _waited(turns: pd.DataFrame) -> np.ndarray:
    """Turns that were not answered and have a time they waited."""
    return ((turns["status"] != "ok") & turns["e2e_s"].notna()).to_numpy(dtype=bool)


def quantiles(values: np.ndarray, censored: np.ndarray, shares: Sequence[float]) -> list[Quantile]:
    """Quantiles of a group, by the rule of the record's own (a test holds them equal).

    Product-limit estimate with censored samples (Kaplan and Meier 1958), 95% interval by Greenwood's variance, or by
    binomial ranks when nothing is censored. A quantile that only censored samples reach is `censored`: at least this.

    Args:
        values: float[n], seconds, or the time waited where censored.
        censored: bool[n].
        shares: 0.95 for p95.
    """
    n = len(values)
    if n == 0:
        return [Quantile(value=None, lo=None, hi=None, n=0, n_tail=0) for _ in shares]
    if not censored.any():
        return _uncensored(values, shares)
    ranked, gone = _ranked(values, censored)
    at_risk = np.arange(n, 0, -1)
    reached = 1.0 - np.cumprod(np.where(gone, 1.0, 1.0 - 1.0 / at_risk))
    return [_quantile(ranked, gone, at_risk, reached, share) for share in shares]


def _uncensored(values: np.ndarray, shares: Sequence[float]) -> list[Quantile]:
    """As `quantiles`, where every value is known: order statistics, of which only the needed ones are put in place."""
    n = len(values)
    wanted = [
        [_rank(n, at) for at in (share, share - half, share + half)]
        for share in shares
        for half in (Z_95 * float(np.sqrt(share * (1.0 - share) / n)),)
    ]
    ranked = np.partition(values, sorted({rank for ranks in wanted for rank in ranks}))
    values_at = [[float(ranked[rank]) for rank in ranks] for ranks in wanted]
    return [
        Quantile(value=value, lo=lo, hi=hi, n=n, n_tail=int(np.count_nonzero(values >= value)), censored=False)
        for value, lo, hi in values_at
    ]


def _rank(n: int, share: float) -> int:
    """The first of n values in order at which a share of them is reached."""
    reached = share - 1e-9
    rank = min(max(int(np.ceil(reached * n)) - 1, 0), n - 1)
    while rank > 0 and 1.0 - (1.0 - rank / n) >= reached:
        rank -= 1
    while rank < n - 1 and 1.0 - (1.0 - (rank + 1) / n) < reached:
        rank += 1
    return rank


def _ranked(values: np.ndarray, censored: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values in order, and which of them are censored; among equal ones those that are not come first."""
    ended, waited = np.sort(values[~censored]), np.sort(values[censored])
    places = np.searchsorted(ended, waited, side="right")
    return np.insert(ended, places, waited), np.insert(np.zeros(len(ended), dtype=bool), places, True)


def _quantile(ranked: np.ndarray, gone: np.ndarray, at_risk: np.ndarray, reached: np.ndarray, share: float) -> Quantile:
    n = len(ranked)
    half = Z_95 * _standard_error(gone, at_risk, reached, share)
    index = [min(int(np.searchsorted(reached, at - 1e-9)), n) for at in (share, share - half, share + half)]
    value, lo, hi = (float(ranked[min(i, n - 1)]) for i in index)
    n_tail = n - int(np.searchsorted(ranked, value, side="left"))
    return Quantile(value=value, lo=lo, hi=hi, n=n, n_tail=n_tail, censored=bool(index[0] >= n and gone[-1]))


def _standard_error(gone: np.ndarray, at_risk: np.ndarray, reached: np.ndarray, share: float) -> float:
    upto = (reached <= share) & ~gone & (at_risk > 1)
    return (1.0 - share) * float(np.sqrt(np.sum(1.0 / (at_risk[upto] * (at_risk[upto] - 1.0)))))


def by_group(rows: Rows, column: str, metric: str, label: str) -> dict[str, dict[str, Number]]:
    """Quantiles of a metric for each value of a column, largest groups first: `{group: {p50: Number, ...}}`."""
    sizes: Counter[str] = Counter()
    held: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    for turns in pieces_of(rows, list(dict.fromkeys((column, metric, "e2e_s", "status")))):
        codes, names = pd.factorize(turns[column])
        values, censored, counts = waits(turns, metric)
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
    for turns in pieces_of(rows, list(dict.fromkeys(("intended_start_s", metric, "e2e_s", "status")))):
        starts, values, e2e = (
            turns[name].to_numpy(dtype=float, na_value=np.nan) for name in ("intended_start_s", metric, "e2e_s")
        )
        if metric.startswith(("ttft", "e2e")):
            values = np.where(_waited(turns) & np.isnan(values), e2e, values)
        known = np.isfinite(starts) & np.isfinite(values)
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
