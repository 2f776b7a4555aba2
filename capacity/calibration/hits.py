"""Prefix hits that no client sees, told by first tokens: some prompts take what they hold, others almost nothing.

In a light load step a first token takes o + b P, of the P prompt tokens that are computed. Where a prefix cache holds
most of some prompts, two lines of first tokens over prompt lengths show, which meet where there is no prompt; where
calls only wait for one another, the second line runs beside the first. The likelier of both decides. Of a share that is
the same of every prompt nothing shows: no first token tells it from a quicker prompt token, and `b` is that of a prompt
token as it is sent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, log_expit

from capacity.calibration.observed import Bools, Observed
from capacity.simulator.requests import Floats, Ints, Requests
from neuron_bench.step_model import StepModel

QUEUED = 3.0
"""A load step whose tail of first tokens is this many times the least has a queue, and single calls tell nothing."""
CLEARER = 12.0
"""Two slopes are believed over two intercepts when they raise the log-likelihood by this much."""
APART = 3.0
"""And when a prompt of median length is so many times its scatter quicker with the hit."""
SLOPE_MAX = 0.7
"""Of the slope of those that miss: a hit of less than the rest is none that counts."""
FEWEST, SAMPLE = 0.02, 1_500
UPPER = (0.75, 0.95)
"""Quantiles of first tokens that are of misses: where few prompts hit, and where most do."""
OUTLIERS, WIDE, LEAST_SCATTER = 0.02, 1.5, 0.02
HIT_RATIO = "hit_ratio"
"""In a step model's validity: share of prompt tokens that hit and that its clients did not report."""
UNSEEN_HITS_MIN = 0.02
"""Of prompt tokens: fewer hits than this change no first token by more than its scatter."""
UNSEEN_HITS_ERROR = 0.05
"""Added to the error of a rate where only the mean share of prefix hits is known: a judgement."""


def with_hits(sweep: Sequence[Observed]) -> tuple[list[Observed], float | None]:
    """The load steps with hits that no client reported, and their share of all prompt tokens; None where none show.

    First tokens tell those of each call where no queue stands. Where they do not, the share that the server counted
    stands for every prompt of its step, and without counters that of the steps whose calls tell.
    """
    if any(run.hits_reported or run.cached_tokens.any() for run in sweep):
        return list(sweep), None
    told = _told(sweep)
    light = [(run, cached) for run, cached in zip(sweep, told, strict=True) if cached is not None]
    share = sum(int(cached.sum()) for _, cached in light) / max(sum(int(run.input_tokens.sum()) for run, _ in light), 1)
    found = [
        shared(run.input_tokens, share if run.hit_ratio is None else run.hit_ratio) if cached is None else cached
        for run, cached in zip(sweep, told, strict=True)
    ]
    hit = sum(int(cached.sum()) for cached in found) / sum(int(run.input_tokens.sum()) for run in sweep)
    if hit < UNSEEN_HITS_MIN:
        return list(sweep), None
    return [replace(run, cached_tokens=cached) for run, cached in zip(sweep, found, strict=True)], hit


def _told(sweep: Sequence[Observed]) -> list[Ints | None]:
    """Hits of each call of the load steps without a queue; None of the others, and of all where no two lines show."""
    classes = _hit_lines(min(sweep, key=lambda run: run.rate_per_s))
    if classes is None:
        return [None] * len(sweep)
    tails = [float(np.quantile(run.ttft_s[run.included], 0.95)) for run in sweep]
    return [
        _cached(run, classes) if tail <= QUEUED * min(tails) else None for run, tail in zip(sweep, tails, strict=True)
    ]


def hit_notes(sweep: Sequence[Observed], share: float | None) -> tuple[str, ...]:
    """What the fit made of hits, or what it cannot know of them."""
    if share is not None:
        how = "by the server's counters" if any(run.hit_ratio is not None for run in sweep) else "told by first tokens"
        return (f"prefix hits of {share:.0%} of prompt tokens, {how}: no client reported them",)
    if any(run.hits_reported or run.cached_tokens.any() for run in sweep):
        return ()
    return (
        "no client reports prefix hits: where a cache holds the same share of every prompt, b is of a prompt token as "
        "sent and too low by that share; scrape the server, or let it report cached tokens",
    )


def as_measured(work: Requests, model: StepModel) -> Requests:
    """Requests of which nobody says what hits, with the share that their step model was measured at."""
    hits = measured_hits(work.input_tokens, work.cached_tokens, model)
    return work if hits is work.cached_tokens else replace(work, cached_tokens=hits, away_cached_tokens=hits)


def measured_hits(input_tokens: Ints, cached_tokens: Ints, model: StepModel) -> Ints:
    """The same of prompts and what is known to hit of them; both [n]."""
    low, high = model.validity.get(HIT_RATIO, (0.0, 0.0))
    return cached_tokens if high == 0.0 or cached_tokens.any() else shared(input_tokens, (low + high) / 2)


def shared(input_tokens: Ints, share: float) -> Ints:
    """Cached tokens where only their share is known: the same of every prompt, whose last token is always computed."""
    return np.minimum((share * input_tokens).astype(np.int64), input_tokens - 1)


Lines = tuple[float, float, float, float, float]
"""Seconds before a prompt, a prompt token's, the slope of hits as a share of it, scatter, share of calls that hit."""


def _hit_lines(run: Observed) -> Lines | None:
    """Of the lightest load step; None where waiting explains its first tokens as well."""
    tokens = run.input_tokens[run.included].astype(np.float64)[:SAMPLE]
    logs = np.log(np.maximum(run.ttft_s[run.included][:SAMPLE], 1e-9))
    lines = [line for upper in UPPER if (line := _upper_line(tokens, np.exp(logs), upper))[1] > 0]
    if not lines:
        return None

    log_tokens = np.log(tokens)

    def hits(x: Floats) -> tuple[Floats, Floats]:
        slope = x[1] + log_tokens
        return np.logaddexp(x[0], slope), np.logaddexp(x[0], slope + math.log(SLOPE_MAX) + log_expit(x[2]))

    def waits(x: Floats) -> tuple[Floats, Floats]:
        line = np.logaddexp(x[0], x[1] + log_tokens)
        return np.logaddexp(line, x[2]), line

    firsts = [[math.log(max(base_s, 1e-6)), math.log(slope_s)] for base_s, slope_s in lines]
    found = [
        _likeliest(logs, hits, [*first, each, -2.0, mix])
        for first in firsts for each in (-2.0, 1.0) for mix in (-1.5, 1.5)
    ]  # fmt: skip
    cost, x = min(found, key=lambda pair: pair[0])
    mean_s = float(np.exp(logs).mean())
    others = [
        _likeliest(logs, waits, [*first, math.log(part * mean_s), -2.0, mix])
        for first in firsts for part in (0.1, 0.7) for mix in (-1.5, 1.5)
    ]  # fmt: skip
    other = min(cost for cost, _ in others)
    slow, quick = hits(x)
    scatter, mix = LEAST_SCATTER + float(np.exp(x[3])), float(expit(x[4]))
    clear = float(np.median(slow - quick)) > APART * scatter
    if cost > other - CLEARER or not clear or not FEWEST < mix < 1 - FEWEST:
        return None
    return float(np.exp(x[0])), float(np.exp(x[1])), SLOPE_MAX * float(expit(x[2])), scatter, mix


def _likeliest(
    logs: Floats, lines: Callable[[Floats], tuple[Floats, Floats]], start: list[float]
) -> tuple[float, Floats]:
    """Negative log-likelihood and place of two classes of calls, one on each line, and a few strays on neither.

    All in logarithms, lines too: the search goes where exponentials have no number.
    """

    def cost(x: Floats) -> float:
        slow, quick = lines(x)
        scatter = LEAST_SCATTER + math.exp(min(x[3], 0.0))  # beyond a factor of e no line shows
        of_slow = log_expit(-x[4]) + _log_normal(logs - slow, scatter)
        of_quick = log_expit(x[4]) + _log_normal(logs - quick, scatter)
        stray = math.log(OUTLIERS) + _log_normal(logs - slow, WIDE)
        return -float(np.logaddexp(math.log1p(-OUTLIERS) + np.logaddexp(of_slow, of_quick), stray).sum())

    end = minimize(cost, np.array(start), method="Nelder-Mead", options={"maxiter": 500, "xatol": 1e-3, "fatol": 0.05})
    return float(end.fun), np.asarray(end.x)


def _cached(run: Observed, lines: Lines) -> Ints:
    """Of each call, prompt tokens that its first token leaves no time for; none of calls on the line of misses."""
    base_s, slope_s, share, scatter, mix = lines
    tokens, logs = run.input_tokens.astype(np.float64), np.log(np.maximum(run.ttft_s, 1e-9))
    miss = math.log1p(-mix) + _log_normal(logs - np.log(base_s + slope_s * tokens), scatter)
    hit = math.log(mix) + _log_normal(logs - np.log(base_s + share * slope_s * tokens), scatter)
    quicker = logs < np.log(base_s + slope_s * tokens) - APART * scatter
    hits: Bools = np.asarray((hit > miss) & run.included & quicker)
    left = np.clip((run.ttft_s - base_s) / slope_s, 1.0, tokens)
    return np.where(hits, tokens - left, 0.0).astype(np.int64)


def _upper_line(tokens: Floats, ttft_s: Floats, upper: float) -> tuple[float, float]:
    """Through a high quantile of first tokens of short and of long prompts."""
    order = np.argsort(tokens, kind="stable")
    short, long = order[: len(order) // 3], order[-(len(order) // 3) :]
    (x1, y1), (x2, y2) = (
        (float(np.median(tokens[part])), float(np.quantile(ttft_s[part], upper))) for part in (short, long)
    )
    slope_s = (y2 - y1) / max(x2 - x1, 1.0)
    return max(y1 - slope_s * x1, 0.1 * y1), slope_s


def _log_normal(values: Floats, sigma: float) -> Floats:
    return np.asarray(-0.5 * (values / sigma) ** 2 - math.log(sigma * math.sqrt(2 * math.pi)))
