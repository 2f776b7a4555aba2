"""The SLO gate: is a promise kept, broken, or is there too little to say?

A limit on a percentile is a limit on a share: `ttft_s_p95 <= 1.2` promises that at most 5% of the turns wait longer
than 1.2 s. So it is judged by counting turns beyond the limit, which needs no quantile of a thin tail. Runs (or blocks
of one run) are the units: where their shares scatter more than chance alone would, the count is discounted by that
much. Other metrics have one value per run and a one-sided t bound over the runs.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from peakday.errors import CommandError
from peakday.gate.verdicts import Line, Verdict

if TYPE_CHECKING:
    from loadgen.record import Run

GATE = "slo"
CONFIDENCE = 0.95
TAIL_MIN = 100
_LIMIT = re.compile(r"\s*([a-z][a-z0-9_]*)\s*(<=|>=|<|>)\s*([0-9.eE+-]+)\s*")
LATENCIES = ("ttft_s", "e2e_s", "tpot_s", "ttft_from_send_s", "e2e_from_send_s", "route_s", "cost_usd_per_interaction")
SHARE_METRICS = ("error_ratio", "abandoned_ratio")
MEANS = (
    "goodput_per_s", "achieved_rate_per_s", "cache_hit_token_ratio", "cost_usd_per_interaction", "cost_usd_per_turn",
    "model_calls_per_turn",
)  # fmt: skip


@dataclass(frozen=True)
class Limit:
    """`metric <= value`, say. `share`: the part of turns that may be beyond it; None for what is no percentile."""

    metric: str
    operator: str
    value: float
    share: float | None = None

    @property
    def upper(self) -> bool:
        """Whether values must stay below."""
        return self.operator.startswith("<")

    @property
    def unit(self) -> str:
        """What is counted."""
        return "interactions" if self.column == "cost_usd_per_interaction" else "turns"

    @property
    def column(self) -> str:
        """The metric without its percentile."""
        return re.sub(r"_p\d\d?$", "", self.metric)

    def __str__(self) -> str:
        return f"{self.metric} {self.operator} {self.value:g}"


@dataclass(frozen=True)
class Count:
    """Turns of one run or block: n that count, and how many of them are beyond the limit."""

    beyond: int
    n: int


def parse_limit(text: str, where: str = "slo") -> Limit:
    """`ttft_s_p95 <= 1.2` as a value.

    Raises:
        CommandError: not of that form, or a metric nobody measures.
    """
    match = _LIMIT.fullmatch(text)
    if not match:
        raise CommandError(f"{where}: {text!r}: expected METRIC <= NUMBER, such as ttft_s_p95 <= 1.2")
    metric, operator, number = match.groups()
    try:
        value = float(number)
    except ValueError:
        raise CommandError(f"{where}: {text!r}: {number!r} is no number") from None
    percentile = re.search(r"_p(\d\d?)$", metric)
    column = metric[: percentile.start()] if percentile else metric
    if metric.endswith("_ratio") and not 0 <= value <= 1:
        raise CommandError(f"{where}: {text!r}: a share lies between 0 and 1, such as 0.05 for 5%")
    if percentile and column in LATENCIES:
        if not operator.startswith("<"):
            raise CommandError(f"{where}: {text!r}: a percentile is limited from above, with <=")
        return Limit(metric, operator, value, share=1 - int(percentile[1]) / 100)
    if not percentile and metric in (*SHARE_METRICS, *MEANS):
        return Limit(metric, operator, value)
    known = ", ".join([*(f"{name}_p95" for name in LATENCIES), *SHARE_METRICS, *MEANS])
    raise CommandError(f"{where}: {metric!r} is no metric with an SLO; known: {known}")


def limits_of(slo: Mapping[str, float | None]) -> list[Limit]:
    """The promises of a scenario's `slo` block."""
    return [parse_limit(f"{name} <= {value}") for name, value in slo.items() if value is not None]


def judge(limit: Limit, runs: Sequence[Run], length_s: float) -> Line:
    """One limit over the runs of one build; a single run is cut into time blocks."""
    from peakday.gate.metrics import beyond_limit, run_value

    if not sum(len(run.turns) for run in runs):
        why = "zero traffic: no turn was asked for, so nothing was promised or kept"
        return Line(GATE, limit.metric, Verdict.INCONCLUSIVE, why, str(limit))
    if limit.share is not None:
        return judge_share(limit, beyond_limit(limit, runs, length_s), limit.share)
    if limit.metric in SHARE_METRICS and limit.upper:
        return judge_share(limit, beyond_limit(limit, runs, length_s), limit.value)
    values = [run_value(run, limit.metric) for run in runs]
    if any(value is None for value in values):
        why = f"{limit.metric} is missing in {sum(value is None for value in values)} of {len(runs)} runs: vanished"
        return Line(GATE, limit.metric, Verdict.INCONCLUSIVE, why, str(limit))
    return judge_mean(limit, [value for value in values if value is not None])


def judge_share(limit: Limit, counts: Sequence[Count], share: float) -> Line:
    """Whether at most `share` of the turns are beyond the limit, by exact binomial bounds on a discounted count.

    Source: Clopper and Pearson 1934; the discount is the design effect of cluster sampling (Kish 1965).
    """
    from scipy.stats import beta

    n = sum(count.n for count in counts)
    beyond = sum(count.beyond for count in counts)
    if not n:
        why = "no turn was answered and none waited: nothing to judge"
        return Line(GATE, limit.metric, Verdict.INCONCLUSIVE, why, str(limit))
    effect = design_effect(counts)
    k, size = beyond / effect, n / effect
    low = float(beta.ppf(1 - CONFIDENCE, k, size - k + 1)) if k else 0.0
    high = float(beta.ppf(CONFIDENCE, k + 1, size - k)) if size - k > 1e-9 else 1.0
    what = "failed" if limit.metric in SHARE_METRICS else "were beyond it"
    said = f"{beyond} of {n} {limit.unit} {what}; {share:.3g} may, bounds {low:.3g} to {high:.3g}"
    said += f" (discounted x{effect:.1f}: the runs differ)" if effect > 1.05 else ""
    tail = "" if limit.share is None or n * limit.share >= TAIL_MIN else "~"
    shown = f"{tail}{beyond / n:.3g} beyond" if limit.share is not None else beyond / n
    if high <= share:
        return Line(GATE, limit.metric, Verdict.PASS, said, str(limit), shown)
    if low > share:
        return Line(GATE, limit.metric, Verdict.FAIL, said, str(limit), shown)
    return Line(GATE, limit.metric, Verdict.INCONCLUSIVE, f"{said}; {_remedy(limit, beyond, share)}", str(limit), shown)


def _remedy(limit: Limit, beyond: int, share: float) -> str:
    """What it takes to be sure. Source: none of n beyond shows a share of at most 1 - 0.05^(1/n) (Clopper, Pearson)."""
    if not share:
        return f"no number of {limit.unit} shows that none ever will; allow a share, such as 0.001"
    if beyond:
        return "more runs would tell"
    needed = math.ceil(math.log(1 - CONFIDENCE) / math.log1p(-share)) if share < 1 else 1
    return f"with none beyond it takes {needed} {limit.unit} to pass"


def design_effect(counts: Sequence[Count]) -> float:
    """How much more the shares of the runs scatter than chance alone would make them; at least 1."""
    kept = [count for count in counts if count.n]
    n, beyond = sum(count.n for count in kept), sum(count.beyond for count in kept)
    if len(kept) < 2 or beyond in (0, n):
        return 1.0
    p = beyond / n
    spread = sum((count.beyond - count.n * p) ** 2 / (count.n * p * (1 - p)) for count in kept) / (len(kept) - 1)
    return max(1.0, spread)


def judge_mean(limit: Limit, values: Sequence[float]) -> Line:
    """One value per run against a limit, by a one-sided t bound."""
    mean, low, high = t_bounds(values, 1 - CONFIDENCE)
    if len(values) < 2:
        why = f"one run gives {mean:.4g} and no idea of its scatter; ask for more runs"
        return Line(GATE, limit.metric, Verdict.INCONCLUSIVE, why, str(limit), mean)
    worst, best = (high, low) if limit.upper else (low, high)
    said = f"mean of {len(values)} runs {mean:.4g}, bounds {low:.4g} to {high:.4g}"
    if _kept(limit, worst):
        return Line(GATE, limit.metric, Verdict.PASS, said, str(limit), mean)
    verdict = Verdict.INCONCLUSIVE if _kept(limit, best) else Verdict.FAIL
    return Line(GATE, limit.metric, verdict, said, str(limit), mean)


def _kept(limit: Limit, value: float) -> bool:
    checks = {"<=": value <= limit.value, "<": value < limit.value, ">=": value >= limit.value}
    return checks.get(limit.operator, value > limit.value)


def t_bounds(values: Sequence[float], alpha: float) -> tuple[float, float, float]:
    """Mean, and its one-sided lower and upper bounds, each at `alpha`; infinite for a single value."""
    from scipy.stats import t

    n = len(values)
    mean = math.fsum(values) / n
    if n < 2:
        return mean, -math.inf, math.inf
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    half = float(t.ppf(1 - alpha, n - 1)) * spread / math.sqrt(n)
    return mean, mean - half, mean + half
