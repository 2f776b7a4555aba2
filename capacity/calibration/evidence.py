"""What one load step tells about an engine: medians by kind of call, quantiles, and throughput, each with its error.

Medians of calls that are alike (by uncached prompt, by length of the answer, by how crowded the moment was) hold what
quantiles of the whole lose: that long prompts take longer. Scatter of single calls moves tails, and the median of what
is skewed, so a prediction is scattered by as much as the lightest load step is before it is compared. Where an engine's
own histograms split first tokens, their parts are figures too: the time from the queue to a first token holds no queue,
so a full load step tells it as well.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from capacity.calibration.observed import Observed
from capacity.simulator.rate_at_slo import Latencies
from capacity.simulator.requests import Floats, Ints, Requests

QUANTILES = (0.5, 0.75, 0.9, 0.95, 0.99)
TAIL_MIN = 10
"""Calls that must lie beyond a quantile before it is compared."""
GROUPS = 5
GROUP_MIN = 12
"""Fewest calls that make a median."""
FLOOR, TAIL_FLOOR, THROUGHPUT_FLOOR = 0.015, 0.05, 0.02
"""Errors of the model itself, as logarithms, below which no figure is trusted: median, beyond p75, tokens/s."""
QUEUE_FLOOR, FRONT_SHARE = 0.05, 0.01
"""Of a mean queue; and of a mean first token, what its parts may miss it by: the front end's time is the rest."""


@dataclass(frozen=True)
class Scatter:
    """Standard deviation of the logarithm of a call's time about the model, of first tokens and of gaps."""

    ttft: float = 0.1
    tpot: float = 0.1


class Evidence:
    """One load step, ready to be compared with many predictions of it."""

    def __init__(self, run: Observed) -> None:
        self.run = run
        self.work: Requests = run.requests()
        self.included = np.flatnonzero(run.included)
        uncached = (run.input_tokens - run.cached_tokens).astype(np.float64)
        more = run.output_tokens > 1
        self._in_more = run.included[more]
        crowd = _crowd(run)
        decoded = np.flatnonzero(run.decoded)
        self.ttft_groups = [_groups(uncached[self.included]), _groups(crowd[self.included], 3)]
        self.tpot_groups = [
            _groups(run.output_tokens[decoded].astype(np.float64), 3),
            _groups((run.input_tokens + run.output_tokens / 2)[decoded], 3),
            _groups(crowd[decoded]),
        ]
        self.shares = [
            np.array([share for share in QUANTILES if n * (1 - share) >= TAIL_MIN])
            for n in (len(self.included), len(decoded))
        ]
        normal = np.random.default_rng(0xCA11).standard_normal
        self._blur = normal(len(self.included)), normal(len(decoded))
        self.tokens = float(run.output_tokens.sum())
        self._gap_s = float(np.median(run.tpot_s)) if len(run.tpot_s) else 0.0
        self.measured = np.concatenate(
            [self._statistics(run.ttft_s[self.included], run.tpot_s, _last_s(run)), self._measured_parts()]
        )

    def predicted(self, times: Latencies, scatter: Scatter) -> Floats:
        """The same figures of a simulation, its single calls scattered as measured ones are."""
        ttft_s, tpot_s = self.calls(times)
        end_s = float((self.run.arrival_s + times.e2e_s).max())
        return np.concatenate([self._statistics(ttft_s, tpot_s, end_s, scatter), self._parts(times)])

    def calls(self, times: Latencies) -> tuple[Floats, Floats]:
        """Simulated TTFT and TPOT of the calls whose timings count."""
        return times.ttft_s[self.included], times.tpot_s[self._in_more]

    def errors(self, scatter: Scatter) -> Floats:
        """Standard deviation of each figure's logarithm: the model's own floor, and the luck of its calls."""
        parts = []
        for groups, shares, own in (
            (self.ttft_groups, self.shares[0], scatter.ttft),
            (self.tpot_groups, self.shares[1], scatter.tpot),
        ):
            n = len(self.included)
            parts += [np.hypot(FLOOR, 1.25 * own / np.sqrt(group.shape[1])) for group in groups for _ in group]
            parts += [
                np.hypot(FLOOR if share <= 0.75 else TAIL_FLOOR, 1.25 * own / np.sqrt(4 * n * share * (1 - share)))
                for share in shares
            ]
        if self.run.engine is None:
            return np.array([*parts, THROUGHPUT_FLOOR])
        luck = scatter.ttft / np.sqrt(len(self.included))
        mean_s = float(self.run.ttft_s[self.included].mean())
        front = FRONT_SHARE * mean_s / max(self._front_s, 1e-9)
        service = np.hypot(np.hypot(FLOOR, luck), scatter.ttft**2 / 2)
        return np.array([*parts, THROUGHPUT_FLOOR, np.hypot(QUEUE_FLOOR, luck), service, np.hypot(FLOOR, front)])

    @property
    def _front_s(self) -> float:
        """Mean of what the client waited for a first token beyond what the engine says of it."""
        assert self.run.engine is not None
        mean_s = float(self.run.ttft_s[self.included].mean())
        return mean_s - self.run.engine.queue_s - self.run.engine.prefill_s

    def _measured_parts(self) -> Floats:
        if self.run.engine is None:
            return np.zeros(0)
        return self._logs(self.run.engine.queue_s, self.run.engine.prefill_s, self._front_s)

    def _parts(self, times: Latencies) -> Floats:
        """Mean queue, from there to a first token, and the front end, of a simulation."""
        if self.run.engine is None:
            return np.zeros(0)
        front_s = times.front_s
        service_s = float((times.ttft_s - times.queue_s - front_s).mean())
        return self._logs(float(times.queue_s.mean()), service_s, float(front_s.mean()))

    def _logs(self, queue_s: float, service_s: float, front_s: float) -> Floats:
        """A queue shorter than a gap is none; a front end that takes nothing is taken for a microsecond."""
        return np.log([queue_s + self._gap_s, max(service_s, 1e-9), max(front_s, 1e-6)])

    @property
    def sizes(self) -> tuple[int, int]:
        """How many figures are of first tokens, and how many of gaps; one of throughput follows."""
        return sum(map(len, self.ttft_groups)) + len(self.shares[0]), sum(map(len, self.tpot_groups)) + len(
            self.shares[1]
        )

    def _statistics(self, ttft_s: Floats, tpot_s: Floats, end_s: float, scatter: Scatter | None = None) -> Floats:
        rows: list[Floats] = []
        blurs = (0.0, 0.0) if scatter is None else (scatter.ttft * self._blur[0], scatter.tpot * self._blur[1])
        for values, groups, shares, blur in (
            (ttft_s, self.ttft_groups, self.shares[0], blurs[0]),
            (tpot_s, self.tpot_groups, self.shares[1], blurs[1]),
        ):
            logs = np.log(np.maximum(values, 1e-9))
            # Scatter moves the median of what is skewed, too; a mirrored pair of draws keeps its own luck small.
            pair = [_figures(logs + blur, groups, shares), _figures(logs - blur, groups, shares)] if scatter else []
            rows.append(np.mean(pair, axis=0) if pair else _figures(logs, groups, shares))
        span_s = end_s - float(self.run.arrival_s[0])
        return np.concatenate([*rows, [np.log(self.tokens / max(span_s, 1e-9))]])


def _figures(logs: Floats, groups: list[Ints], shares: Floats) -> Floats:
    medians = [np.sort(logs[group], axis=1)[:, group.shape[1] // 2] for group in groups if group.size]
    return np.concatenate([*medians, _quantiles(logs, shares)])


def _quantiles(values: Floats, shares: Floats) -> Floats:
    if not len(shares) or not len(values):
        return np.zeros(0)
    ordered = np.sort(values)
    return np.asarray(np.interp(shares * (len(ordered) - 1), np.arange(len(ordered)), ordered))


def _groups(values: Floats, number: int = GROUPS) -> Ints:
    """Calls in groups of equal size by a value [groups, size]; fewer groups where there are few calls or few values."""
    number = min(number, len(values) // GROUP_MIN)
    if number < 1:
        return np.zeros((0, 0), dtype=np.int64)
    if np.ptp(values) == 0:
        number = 1
    size = len(values) // number
    return np.asarray(np.argsort(values, kind="stable")[: number * size].reshape(number, size))


def _crowd(run: Observed) -> Floats:
    """Calls that arrived in the time before each call in which half of the calls are answered."""
    window_s = max(float(np.median(run.ttft_s + run.decode_s)), 1e-6)
    before = np.searchsorted(run.arrival_s, run.arrival_s - window_s)
    return np.asarray(np.arange(len(run.arrival_s)) - before, dtype=np.float64)


def _last_s(run: Observed) -> float:
    return float((run.arrival_s + run.ttft_s + run.decode_s).max())
