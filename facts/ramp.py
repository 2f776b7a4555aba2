"""How a model's traffic on Amazon Bedrock is raised: start at the target, halve on 503, hold, add half, repeat.

Source: Amazon Bedrock user guide, Scaling and throughput best practices (read 2026-11-28): "for example" 50% down until
requests succeed consistently, 15 minutes of hold, 50% up, another hold, until the target; ramp rates are
not adjustable. Throughput grows with sustained use, and no page says how fast: this is the rule, and no forecast.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

HOLD_S = 900.0
DOWN_RATIO = 0.5
UP_RATIO = 1.5


@dataclass(frozen=True)
class Ramp:
    """Where a ramp stands. `rate`: of the next step, in the unit of `target`; `holding`: it lasts a whole hold."""

    target: float
    rate: float
    holding: bool = False
    reached: bool = False

    @classmethod
    def towards(cls, target: float) -> Ramp:
        """The first step: the target itself, looked at before it is held."""
        return cls(target, target)

    def after(self, refused: bool) -> Ramp:
        """The next step, by whether this one met a 503."""
        if refused:
            return replace(self, rate=self.rate * DOWN_RATIO, holding=False)
        if not self.holding:
            return replace(self, holding=True)
        if self.rate >= self.target:
            return replace(self, reached=True)
        return replace(self, rate=min(self.rate * UP_RATIO, self.target))


def holds(steady: float, target: float) -> int:
    """Holds before the target is served: one at the steady rate and one after each raise short of the target.

    Raises:
        ValueError: a rate that is not above zero.
    """
    if steady <= 0 or target <= 0:
        raise ValueError(f"a ramp from {steady:g} to {target:g}: both must be above zero")
    # 1.5 ** 2 x 1000 is 2250 exactly, but a logarithm of it is not 2: rounding first keeps noise from adding a hold.
    return max(0, math.ceil(round(math.log(target / steady) / math.log(UP_RATIO), 9)))
