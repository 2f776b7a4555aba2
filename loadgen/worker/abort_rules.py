"""When a run must stop by itself: abort rules over the last seconds, and what of the budget a worker holds."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from typing import TypedDict

from slo.histogram import Histogram

ENDED_MIN = 20
"""Turns that must have ended in the window before a rule speaks."""
ENDS = ("completed", "failed", "abandoned", "censored")


class Rules(TypedDict):
    """A scenario's `abort_if`; a rule that is None does not apply."""

    window_s: float
    error_ratio: float | None
    ttft_s_p50: float | None


class AbortRules:
    """The scenario's `abort_if` over a sliding window of cumulative counts."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._past: deque[tuple[float, Mapping[str, float], Histogram]] = deque()

    def reason(self, now_s: float, counters: Mapping[str, float], ttft: Histogram) -> str | None:
        """Why to stop now; None to go on. `counters` and `ttft` are cumulative.

        `ttft` holds turns that waited in vain at the time they waited. Where nobody was answered, all have failed.
        """
        self._past.append((now_s, dict(counters), Histogram(ttft.counts.copy())))
        window_s = self._rules["window_s"]
        while len(self._past) > 1 and self._past[1][0] <= now_s - window_s:
            self._past.popleft()
        since_s, before, ttft_before = self._past[0]
        ended = sum(counters.get(name, 0) - before.get(name, 0) for name in ENDS)
        if now_s - since_s < 0.5 * window_s or ended < ENDED_MIN:
            return None
        answered = counters.get("completed", 0) - before.get("completed", 0)
        failed = (counters.get("failed", 0) - before.get("failed", 0)) / ended if answered else 1.0
        limit = self._rules.get("error_ratio")
        if limit is not None and failed > limit:
            over_s = now_s - since_s
            return f"abort_if.error_ratio: {failed:.0%} of turns failed in the last {over_s:.0f} s, limit {limit:.0%}"
        return self._slow(Histogram(ttft.counts - ttft_before.counts), now_s - since_s)

    def _slow(self, recent: Histogram, over_s: float) -> str | None:
        limit_s = self._rules.get("ttft_s_p50")
        median_s = recent.quantile(0.5)
        if limit_s is None or median_s is None or median_s <= limit_s:
            return None
        return f"abort_if.ttft_s_p50: {median_s:.2f} s in the last {over_s:.0f} s, limit {limit_s:g} s"


def believable_usd(reported: object, output_tokens: object) -> float | None:
    """What a turn cost by its target's word; None where that cannot be, so that its whole reserve stays spent.

    A target that says less than nothing, no number, or nothing for an answer of so many tokens, does not lower what a
    run has spent.
    """
    if isinstance(reported, bool) or not isinstance(reported, int | float) or not math.isfinite(reported):
        return None
    if reported < 0 or (reported == 0 and output_tokens):
        return None
    return float(reported)


class OverBoundError(RuntimeError):
    """A turn cost more than the bound that was reserved for it."""


class Budget:
    """What one worker may still spend. A turn's upper bound is reserved before it starts and settled at its end.

    More is requested before it is needed. A worker without enough for a turn hands back what it has and asks urgently;
    its turns wait, which their start lag shows, until it is granted or refused (`loadgen.coordinator.budget`).

    Args:
        grant_usd: what it holds from the start; None is no limit.
        turn_usd_max: upper bound of one turn.
        ask: asks for more, `ask(returned_usd, urgent)`; it must not block. None: nobody grants more.
    """

    def __init__(
        self, grant_usd: float | None, turn_usd_max: float, ask: Callable[[float, bool], None] | None = None
    ) -> None:
        self._left_usd = grant_usd
        self._turn_usd_max = turn_usd_max
        self._low_usd = max(2 * turn_usd_max, (grant_usd or 0.0) / 4)
        self._ask = ask
        self._requested = False
        self._waiting = False
        self.exhausted = False

    def reserve(self) -> bool:
        """Take a turn's upper bound. False when not that much is left: wait for a grant, unless it is exhausted."""
        if self._left_usd is None:
            return True
        if self.exhausted:
            return False
        if self._left_usd < self._turn_usd_max:
            self._need()
            return False
        self._left_usd -= self._turn_usd_max
        if self._left_usd < self._low_usd and self._ask is not None and not self._requested:
            self._requested = True
            self._ask(0.0, False)
        return True

    def _need(self) -> None:
        """Ask urgently, with all there is: less than a turn's bound helps more where it is added up."""
        if self._ask is None:
            self.exhausted = True
        elif not self._waiting:
            self._waiting = True
            returned_usd, self._left_usd = self._left_usd or 0.0, 0.0
            self._ask(returned_usd, True)

    def settle(self, spent_usd: float | None) -> None:
        """Give back what the turn did not spend; an unknown cost keeps the whole reserve.

        Raises:
            OverBoundError: it cost more than its bound. That is accounted for; the budget may be exceeded by as much.
        """
        if self._left_usd is None or spent_usd is None:
            return
        self._left_usd += self._turn_usd_max - spent_usd
        if spent_usd > self._turn_usd_max:
            raise OverBoundError(
                f"a turn cost {spent_usd:.4g} USD, its upper bound was {self._turn_usd_max:.4g} USD: "
                "the budget may be exceeded"
            )

    def grant(self, usd: float, *, urgent: bool) -> None:
        """What was requested has come, or nothing has; nothing on an urgent request is the end of the budget.

        After a portion of nothing the next request is an urgent one: asking early again would only be noise.
        """
        assert self._left_usd is not None
        self._left_usd += usd
        if urgent:
            self._waiting = False
            self.exhausted = self._left_usd < self._turn_usd_max
        self._requested = usd == 0

    def give_back(self) -> float:
        """Part with what others need more: all but one turn's bound, or all where that is not there. Returns it."""
        assert self._left_usd is not None
        keep_usd = self._turn_usd_max if self._left_usd >= self._turn_usd_max else 0.0
        returned_usd, self._left_usd = self._left_usd - keep_usd, keep_usd
        return returned_usd
