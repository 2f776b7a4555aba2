"""`Slo`: a limit on a metric of turns, how it is written, and which turns of a run miss it.

An SLO on a percentile is an SLO on a share: `ttft_s_p95 <= 1.2` says that at most 5% of the turns may wait longer than
1.2 s. So it is settled by counting misses, which needs no quantile of a thin tail. Everything here that says "miss"
(the gate, max-rate, goodput, first limit exceeded, charts) asks `misses`, so that they cannot disagree.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from host.errors import PeakdayError

if TYPE_CHECKING:
    import pandas as pd

ERROR_STATUSES = ("http_error", "stream_error", "malformed", "throttled", "timeout", "dropped")
"""Turns that the target failed, those over the in-flight cap with them: they make `error_ratio`, wherever it is shown.
A customer who left is in `abandoned_ratio`; a turn that the run's end cut off is unknown."""
CENSORED = "censored"
"""A turn that the run's end cut off: it waited at least so long."""
LATENCIES = ("ttft_s", "e2e_s", "tpot_s", "ttft_from_send_s", "e2e_from_send_s", "route_s")
WAITED_COLUMN = {
    "ttft_s": "e2e_s",
    "e2e_s": "e2e_s",
    "ttft_from_send_s": "e2e_from_send_s",
    "e2e_from_send_s": "e2e_from_send_s",
}
"""Latency -> the column that holds how long an unanswered turn waited; null where it did not wait."""
RATIOS = ("error_ratio", "abandoned_ratio")
COST = "cost_usd_per_interaction"
MEANS = (
    "goodput_per_s", "achieved_rate_per_s", "cache_hit_token_ratio", COST, "cost_usd_per_turn", "model_calls_per_turn",
)  # fmt: skip
_TEXT = re.compile(r"\s*([a-z][a-z0-9_.]*)\s*(<=|>=|<|>)\s*([0-9.eE+-]+)\s*")
_QUANTILE = re.compile(r"(\w+)_p(\d\d?(?:\.\d+)?)")

Floats = npt.NDArray[np.float64]


class SloError(PeakdayError):
    """An SLO that says nothing that can be held against a run."""

    page = "scenarios"


@dataclass(frozen=True)
class Slo:
    """`ttft_s` with quantile 0.95 and limit 1.2: at most 5% of the turns wait longer than 1.2 s for the first token.

    `quantile` None: the metric is a share of turns (`RATIOS`) or one value of a run (`MEANS`).
    """

    metric: str
    quantile: float | None
    limit: float
    operator: str = "<="

    @property
    def name(self) -> str:
        """As scenarios write it: `ttft_s_p95`."""
        return self.metric if self.quantile is None else f"{self.metric}_p{round(self.quantile * 100, 9):g}"

    @property
    def upper(self) -> bool:
        """Whether values must stay below."""
        return self.operator.startswith("<")

    @property
    def unit(self) -> str:
        """What is counted."""
        return "interactions" if self.metric == COST else "turns"

    @property
    def allowed_ratio(self) -> float | None:
        """Share of turns that may miss it; None for what is one value of a run."""
        if self.quantile is not None:
            return round(1 - self.quantile, 12)
        return self.limit if self.metric in RATIOS and self.upper else None

    def met_by(self, value: float) -> bool:
        """Whether one value lies within the limit."""
        met = {"<=": value <= self.limit, "<": value < self.limit, ">=": value >= self.limit}
        return met.get(self.operator, value > self.limit)

    def __str__(self) -> str:
        return f"{self.name} {self.operator} {self.limit:g}"


def parse_slo(text: str, where: str = "slo") -> Slo:
    """`ttft_s_p95 <= 1.2` as a value.

    Raises:
        SloError: not of that form, or a metric nobody measures.
    """
    match = _TEXT.fullmatch(text)
    if not match:
        raise SloError(f"{where}: {text!r}: expected METRIC <= NUMBER, such as ttft_s_p95 <= 1.2")
    name, operator, number = match.groups()
    try:
        limit = float(number)
    except ValueError:
        raise SloError(f"{where}: {text!r}: {number!r} is no number") from None
    metric, quantile = _split(name)
    if metric.endswith("_ratio") and not 0 <= limit <= 1:
        raise SloError(f"{where}: {text!r}: a share lies between 0 and 1, such as 0.05 for 5%")
    if quantile is not None and metric in (*LATENCIES, COST):
        if not operator.startswith("<"):
            raise SloError(f"{where}: {text!r}: a percentile is limited from above, with <=")
        return Slo(metric, quantile, limit, operator)
    if quantile is None and metric in (*RATIOS, *MEANS):
        return Slo(metric, None, limit, operator)
    known = ", ".join([*(f"{latency}_p95" for latency in (*LATENCIES, COST)), *RATIOS, *MEANS])
    raise SloError(f"{where}: {name!r} is no metric with an SLO; known: {known}")


def slos_of(limits: Mapping[str, float | None]) -> tuple[Slo, ...]:
    """The SLOs of a scenario's `slo` block that are set.

    Raises:
        SloError: a name that is no metric with an SLO.
    """
    return tuple(parse_slo(f"{name} <= {limit!r}") for name, limit in limits.items() if limit is not None)


def _split(name: str) -> tuple[str, float | None]:
    match = _QUANTILE.fullmatch(name)
    return (match[1], round(float(match[2]) / 100, 12)) if match else (name, None)


def misses(turns: pd.DataFrame, slo: Slo) -> Floats:
    """float64[n]: 1 for a miss, 0 for a turn that met it, NaN where the turn does not tell.

    A turn that was not answered (failed, timed out, dropped, given up) misses every latency SLO, however quickly it
    failed. One that the run's end cut off before the limit is unknown, as is an answer without the metric (no TPOT
    below two tokens).

    Raises:
        SloError: the SLO is about one value of a run or an interaction, which no single turn can miss.
    """
    status = turns["status"]
    ok = status.eq("ok").to_numpy(dtype=bool)
    cut = status.eq(CENSORED).to_numpy(dtype=bool)
    if slo.metric in RATIOS:
        counted = status.isin(ERROR_STATUSES) if slo.metric == "error_ratio" else status.eq("abandoned")
        return np.where(cut, np.nan, counted.to_numpy(dtype=np.float64))
    if slo.metric not in LATENCIES:
        raise SloError(f"{slo}: one value of a run, not a limit that a turn can miss")
    values = turns[slo.metric].to_numpy(dtype=np.float64, na_value=np.nan)
    beyond = values >= slo.limit if slo.operator == "<" else values > slo.limit
    if slo.metric in WAITED_COLUMN:
        waited_s = turns[WAITED_COLUMN[slo.metric]].to_numpy(dtype=np.float64, na_value=np.nan)
        beyond |= cut & ~np.isfinite(values) & (waited_s > slo.limit)
        if slo.metric.startswith("e2e"):  # of a turn that was cut off this column is the wait, and no end
            values = np.where(cut, np.nan, values)
    unknown = (ok | cut) & ~np.isfinite(values) & ~beyond
    return np.where(unknown, np.nan, (beyond | ~(ok | cut)).astype(np.float64))


def good(turns: pd.DataFrame, slos: Iterable[Slo]) -> npt.NDArray[np.bool_]:
    """bool[n]: turns that were answered and miss no latency SLO. Their number over the window is the goodput."""
    good_turns = turns["status"].eq("ok").to_numpy(dtype=bool, copy=True)
    for slo in slos:
        if slo.metric in LATENCIES:
            good_turns &= misses(turns, slo) != 1
    return good_turns
