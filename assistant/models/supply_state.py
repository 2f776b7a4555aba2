"""What the assistant has seen of its models lately: how fast they begin to answer, and what is left of their quota."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from facts.quota_window import QuotaWindow
from facts.reader import Model
from facts.stack import Grant

HALF_LIFE_S = 10.0
"""An observation counts half as much after this long."""
FORGET_S = 30.0
"""Without a newer observation a forecast is dropped, so that an avoided model is tried again."""
REFUSED_S = 1.0
"""For this long after a refusal for quota nothing is left; longer would idle a minute's quota that has come free."""


@dataclass(slots=True)
class _Mean:
    value_s: float = 0.0
    weight: float = 0.0
    at_s: float = -math.inf


class TtftForecast:
    """Time to first token to expect of a model: the mean of what was seen, recent observations counting most."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._means: dict[str, _Mean] = {}

    def observe(self, model: str, ttft_s: float) -> None:
        """Take one call's time to first token."""
        now_s = self._clock()
        mean = self._means.setdefault(model, _Mean())
        kept = mean.weight * 0.5 ** ((now_s - mean.at_s) / HALF_LIFE_S) if mean.weight else 0.0
        mean.value_s = (mean.value_s * kept + ttft_s) / (kept + 1.0)
        mean.weight, mean.at_s = kept + 1.0, now_s

    def expected_s(self, model: str) -> float | None:
        """What to expect now; None when nothing recent is known."""
        mean = self._means.get(model)
        if mean is None or self._clock() - mean.at_s > FORGET_S:
            return None
        return mean.value_s


@dataclass(slots=True)
class _Minute:
    """One model's minute in one region: its tokens, its requests, and when it last refused."""

    tokens: QuotaWindow
    requests: QuotaWindow
    refused_s: float = -math.inf


class QuotaHeadroom:
    """Share of each model's minute quota still free, by our own count: the provider tells only by refusing.

    Reserved at the start: input and max tokens; settled at the end: input, cache writes, and output x burndown.
    Several processes on one account each see their own part only; a refusal tells them all.

    Args:
        limits: by model key, None where none is granted.
    """

    def __init__(self, limits: Mapping[str, Grant], clock: Callable[[], float]) -> None:
        self._limits = limits
        self._clock = clock
        self._minutes: dict[tuple[str, str], _Minute] = {}

    def begin(self, model: str, region: str, tokens: float) -> None:
        """A call starts and may use so many tokens."""
        minute = self._minute(model, region)
        minute.tokens.reserved += tokens
        minute.requests.charged += 1

    def end(self, model: Model, region: str, held_tokens: float, used: tuple[int, int] | None) -> None:
        """A call ended: `used` are its input tokens with cache writes, and its output tokens; None if it failed."""
        burndown = model.quota.output_burndown_ratio if model.quota else 1.0
        charge = 0.0 if used is None else used[0] + used[1] * burndown
        self._minute(model.key, region).tokens.settle(held_tokens, charge)

    def refused(self, model: str, region: str) -> None:
        """The provider refused a call for quota."""
        self._minute(model, region).refused_s = self._clock()

    def free_ratio(self, model: str, region: str) -> float:
        """What is left of the tightest quota of the running minute; 1 where none is known and none was refused."""
        if (model, region) not in self._minutes:
            return 1.0
        minute = self._minute(model, region)
        if self._clock() - minute.refused_s < REFUSED_S:
            return 0.0
        return min(minute.tokens.free_ratio(), minute.requests.free_ratio())

    def _minute(self, model: str, region: str) -> _Minute:
        key = (model, region)
        if key not in self._minutes:
            limits = self._limits.get(model, Grant())
            self._minutes[key] = _Minute(QuotaWindow(limits.tpm), QuotaWindow(limits.rpm))
        minute = self._minutes[key]
        minute.tokens.roll(self._clock())
        minute.requests.roll(self._clock())
        return minute


def quota_place(model: Model, region: str) -> str:
    """Where a model's quota is counted: by region on Bedrock; a self-hosted model has one pool."""
    return region if model.protocol == "converse" else ""
