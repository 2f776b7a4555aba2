"""A run against its SLOs: limit, what was measured with its interval, and met, missed, or not enough tail.

An SLO on a percentile is one on a share of turns: it is settled by counting misses with exact bounds (`slo.bounds`),
by the same rule as the gate, so that a page and a check of one run cannot disagree.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from dashboards.numbers.run import Number, find
from dashboards.numbers.stored import Rows
from dashboards.numbers.units import UNKNOWN, show
from loadgen.record import Run
from slo.bounds import Bounds, batches_of, share_bounds, turns_to_show
from slo.slo import LATENCIES, RATIOS, WAITED_COLUMN, Slo, SloError, slos_of

ALPHA = 0.05
"""Each bound is wrong in one run of twenty, as at the gate."""
MET, MISSED, UNDECIDED = "met", "missed", "not enough tail"


@dataclass(frozen=True)
class SloResult:
    """One SLO of one run. `measured`: the run's own number, where it has one; `bounds`: of the share that missed."""

    slo: Slo
    measured: Number | None
    bounds: Bounds

    @property
    def result(self) -> str:
        """met: surely no more miss than may; missed: surely more; else too few turns lie in the tail to tell."""
        allowed = self.slo.allowed_ratio
        if allowed is None or self.bounds.ratio is None:
            return UNDECIDED
        if self.bounds.upper <= allowed:
            return MET
        return MISSED if self.bounds.lower > allowed else UNDECIDED

    @property
    def unit(self) -> str:
        """Of the limit."""
        return "ratio" if self.slo.metric in RATIOS else "s"

    @property
    def limit(self) -> str:
        """`<= 1.5 s`."""
        return f"{self.slo.operator} {show(self.slo.limit, self.unit)}"

    @property
    def value(self) -> str:
        """The measured quantile or share, with the marks of every number."""
        if self.measured is not None:
            return self.measured.text
        return show(self.bounds.ratio, "ratio") if self.slo.metric in RATIOS else UNKNOWN

    @property
    def interval(self) -> str:
        """95% interval of a quantile; the two one-sided bounds of a share."""
        if self.measured is not None and self.measured.interval:
            return self.measured.interval
        if self.slo.metric in RATIOS and self.bounds.ratio is not None:
            return f"{show(self.bounds.lower, 'ratio')} to {show(self.bounds.upper, 'ratio')}"
        return ""

    @property
    def evidence(self) -> str:
        """`12 of 2,400 turns missed, 5.00% may`, and how many turns it would take where they are too few."""
        allowed, bounds = self.slo.allowed_ratio or 0.0, self.bounds
        counted = f"{bounds.missed:,} of {bounds.turns:,} {self.slo.unit} missed, {show(allowed, 'ratio')} may"
        if self.result == UNDECIDED and not bounds.missed and allowed:
            return f"{counted}; without a miss it takes {turns_to_show(allowed, ALPHA):,}"
        return counted


def _telling(turns: Rows, slo: Slo) -> pd.DataFrame:
    """The columns that tell whether a turn missed it."""
    names = {"intended_start_s", "status", slo.metric, WAITED_COLUMN.get(slo.metric)}
    return turns[[name for name in turns.columns if name in names]]


def slo_results(run: Run, numbers: list[Number]) -> list[SloResult]:
    """Every SLO of the run's scenario that turns can miss, in the scenario's order; none without turns."""
    if run.info.scenario is None or not len(run.turns):
        return []
    try:
        slos = slos_of(run.info.scenario.slo)
    except SloError:  # a record of other SLOs than this version knows
        return []
    window = run.info.window or (0.0, 0.0)
    length_s = max(window[1] - window[0], float(run.turns["intended_start_s"].max()) + 1e-6)
    return [
        SloResult(
            slo,
            find(numbers, slo.name) if slo.metric not in RATIOS else None,
            share_bounds(batches_of(_telling(run.turns, slo), slo, 0.0, length_s), ALPHA),
        )
        for slo in slos
        if slo.metric in (*LATENCIES, *RATIOS) and slo.metric in (*run.turns.columns, *RATIOS)
    ]
