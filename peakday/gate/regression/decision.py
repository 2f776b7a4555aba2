"""The regression gate's arithmetic: is the candidate slower than the baseline by more than its margin?

Each pair is a baseline run and a candidate run next to each other in time, in the order ABBA, so that slow drifts of
the machine cancel. A pair gives one log ratio per metric, turned so that above zero is worse. Looks are taken after so
many pairs; the error allowed is spent over them (Pocock's function, Lan and DeMets 1983) and shared by the metrics
(Holm 1979).

fail: lower bound > half the margin, and mean > the margin. pass: upper bound < the margin. Else more pairs are needed,
and at the last look the answer is inconclusive.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy.special import stdtr, stdtrit

from peakday.gate.metrics import LOWER_IS_WORSE
from peakday.gate.verdicts import Verdict

TAIL_MIN = 100
_SPREAD_MIN = 1e-9


@dataclass(frozen=True)
class Decision:
    """One metric at one look. `mean`, `lo`, `hi` are changes, 0.1 = 10% worse; each bound at the error of this look."""

    metric: str
    verdict: Verdict
    pairs: int
    mean: float
    lo: float
    hi: float
    why: str


def spend(alpha: float, looks: Sequence[int]) -> list[float]:
    """The part of `alpha` each look may use; they add up to it.

    Source: alpha(t) = alpha ln(1 + (e - 1) t), t = pairs so far over pairs at most (Lan and DeMets 1983).
    """
    used = [alpha * math.log1p((math.e - 1) * look / looks[-1]) for look in looks]
    return [now - before for now, before in zip(used, [0.0, *used[:-1]], strict=True)]


def order(pairs: int) -> list[str]:
    """A B B A A B B A …: the builds in the order they run."""
    return [build for pair in range(pairs) for build in ("AB" if pair % 2 == 0 else "BA")]


def log_margin(metric: str, margin: float) -> float:
    """A margin on the scale of `worse_by`: a throughput that may fall by 5% has 1 / 0.95 of room."""
    return -math.log1p(-margin) if metric in LOWER_IS_WORSE else math.log1p(margin)


def decide(ratios: Mapping[str, Sequence[float]], margins: Mapping[str, float], alpha: float) -> list[Decision]:
    """Every metric at one look.

    Args:
        ratios: metric -> one log ratio per pair, above zero is worse.
        margins: metric -> the share by which it may get worse.
        alpha: error of this look, of all metrics together.
    """
    looks = {metric: _Look.of(metric, values, margins[metric]) for metric, values in ratios.items()}
    rejected = _holm({metric: look.p_value() for metric, look in looks.items()}, alpha)
    return [look.decision(alpha, len(looks), metric in rejected) for metric, look in looks.items()]


def settled(decisions: Sequence[Decision]) -> bool:
    """Whether the gate may stop: something failed, or everything passed."""
    verdicts = {decision.verdict for decision in decisions}
    return Verdict.FAIL in verdicts or verdicts == {Verdict.PASS}


def _holm(p_values: Mapping[str, float], alpha: float) -> set[str]:
    rejected: set[str] = set()
    for rank, (metric, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        if p > alpha / (len(p_values) - rank):
            break
        rejected.add(metric)
    return rejected


@dataclass(frozen=True)
class _Look:
    metric: str
    n: int
    mean: float
    error: float
    margin: float
    """All on the log scale."""

    @classmethod
    def of(cls, metric: str, values: Sequence[float], margin: float) -> _Look:
        n = len(values)
        mean = math.fsum(values) / n
        spread = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1)) if n > 1 else math.inf
        return cls(metric, n, mean, max(spread, _SPREAD_MIN) / math.sqrt(n), log_margin(metric, margin))

    def p_value(self) -> float:
        """Of the hypothesis that the true change is at most half the margin."""
        return float(stdtr(self.n - 1, -(self.mean - self.margin / 2) / self.error))

    def decision(self, alpha: float, metrics: int, rejected: bool) -> Decision:
        lo = self.mean - float(stdtrit(self.n - 1, 1 - alpha / metrics)) * self.error
        hi = self.mean + float(stdtrit(self.n - 1, 1 - alpha)) * self.error
        verdict, why = Verdict.INCONCLUSIVE, "the pairs scatter too much to tell; more of them, or longer runs, would"
        if rejected and self.mean > self.margin:
            verdict, why = Verdict.FAIL, f"worse than its margin of {self._change(self.margin):.0%}, and not by chance"
        elif hi < self.margin:
            verdict, why = Verdict.PASS, f"surely within its margin of {self._change(self.margin):.0%}"
        mean, low, high = (self._change(x) for x in (self.mean, lo, hi))
        return Decision(self.metric, verdict, self.n, mean, low, high, why)

    def _change(self, worse_log: float) -> float:
        """Back to a share, above zero is worse."""
        return -math.expm1(-worse_log) if self.metric in LOWER_IS_WORSE else math.expm1(worse_log)
