"""What a provider's prompt cache leaves of calls: by content, model, region and clock, level by level.

A call's prompt is shared prefix, customer's part, the conversation's turns, then the tool results of its own turn; a
cache point stands after each level and at the tail. It reads the longest part that a call of the *same* model in the
same region left there within the level's lifetime, a use renewing it, and writes the rest. A part that ends below the
model's minimum is no cache point. Source: Bedrock user guide, prompt caching; the policy is `replay.Ttl`.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from capacity.caching.hit_ratio import TTL_S
from capacity.caching.replay import Ttl
from capacity.simulator.requests import Ints
from facts.reader import Model

LEVELS = ("shared", "customer", "conversation")


@dataclass(frozen=True)
class CachedCall:
    """One call: when, of which model and region, in whose session, and where the parts of its prompt end, in tokens.

    conversation: what identifies each part after the customer's, and its end; the last one ends the prompt.
    """

    at_s: float
    model: str
    region: int
    session: int
    shared: int
    customer: int
    conversation: Sequence[tuple[Hashable, int]]

    def levels(self, lap: int) -> dict[str, list[tuple[Hashable, int]]]:
        """The parts by level, each with all that its content depends on."""
        place = (self.model, self.region)
        whose = (*place, lap, self.session)
        return {
            "shared": [(place, self.shared)],
            "customer": [(whose, self.customer)] if self.customer > self.shared else [],
            "conversation": [((whose, part), end) for part, end in self.conversation],
        }


def read_tokens(
    calls: Sequence[CachedCall], models: Mapping[str, Model], lifetimes: Mapping[str, str], span_s: float
) -> Ints:
    """Tokens that each call reads [n]; nothing of a model without cache points. calls: in order of time.

    lifetimes: 5m or 1h by level; a model without 1h gives 5m. The calls go round once before they are counted, span_s
    earlier, so that what all of them share is as warm as in the middle of the event.
    """
    caches = {(level, ttl): Ttl(seconds, fixed=False) for level in LEVELS for ttl, seconds in TTL_S.items()}
    read: Ints = np.zeros(len(calls), dtype=np.int64)
    for lap, shift_s in enumerate((-span_s, 0.0)):
        for number, call in enumerate(calls):
            model = models[call.model]
            if model.cache.points:
                read[number] = _read(call, model, lifetimes, caches, call.at_s + shift_s, lap)
    return read


def _read(
    call: CachedCall,
    model: Model,
    lifetimes: Mapping[str, str],
    caches: Mapping[tuple[str, str], Ttl],
    now_s: float,
    lap: int,
) -> int:
    """Tokens one call reads; every level is served, which renews all it has, and hits end at the first miss."""
    least, read, unbroken = model.cache.min_tokens or 0, 0, True
    for level, parts in call.levels(lap).items():
        points = [(part, end) for part, end in parts if end >= least]
        ttl = lifetimes[level] if lifetimes[level] in model.cache.ttls else "5m"
        hits = caches[level, ttl].serve([part for part, _ in points], now_s)
        if unbroken and hits:
            read = points[hits - 1][1]
        unbroken = unbroken and hits == len(points)
    return min(read, call.conversation[-1][1])
