"""What a provider's prompt cache leaves of calls: by content, model, region and clock, level by level.

A call's prompt is shared prefix, customer's part, the conversation's turns, then the tool results of its own turn; a
cache point stands after each level and at the tail. It reads the longest part that a call of the *same* model in the
same region left there within the level's lifetime, a use renewing it, and writes the rest. A part that ends below the
model's minimum is no cache point. Source: Bedrock user guide, prompt caching; the policy is that of `replay.Ttl`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from capacity.caching.hit_ratio import TTL_S
from capacity.simulator.requests import Floats, Ints
from facts.reader import Model

LEVELS = ("shared", "customer", "conversation")
_SHARED, _CUSTOMER, _CONVERSATION = range(3)


@dataclass(frozen=True)
class CachedCalls:
    """Calls [n] in order of time: when, of which model, region and session, and where the parts of each prompt end.

    parts [n]: how many parts follow the customer's. part, end [sum of parts]: what identifies each within its session,
    and where it ends, in tokens, call after call; the last part of a call ends its prompt.
    """

    at_s: Floats
    model: npt.NDArray[np.object_]
    region: Ints
    session: Ints
    shared: Ints
    customer: Ints
    parts: Ints
    part: Ints
    end: Ints


def read_tokens(calls: CachedCalls, models: Mapping[str, Model], lifetimes: Mapping[str, str], span_s: float) -> Ints:
    """Tokens that each call reads [n]; nothing of a model without cache points.

    lifetimes: 5m or 1h by level; a model without 1h gives 5m. The calls went round once before, span_s earlier, so that
    what all of them share is as warm as in the middle of the event; customers and conversations are new in each round.
    """
    n = len(calls.at_s)
    if n == 0:
        return np.zeros(0, dtype=np.int64)
    names, code = np.unique(calls.model.astype(str), return_inverse=True)
    rules = [models[str(name)].cache for name in names]
    least = np.array(
        [rule.min_tokens or 0 if rule.points else np.iinfo(np.int64).max for rule in rules], dtype=np.int64
    )
    ttl_s = np.array(
        [[TTL_S[lifetimes[level] if lifetimes[level] in rule.ttls else "5m"] for level in LEVELS] for rule in rules]
    )
    call, level, end, part = _points(calls)
    is_point = end >= least[code[call]]
    call, level, end, part = call[is_point], level[is_point], end[is_point], part[is_point]
    whose = np.where(level == _SHARED, -1, calls.session[call])
    since_s = _since_last_s(calls.at_s[call], (part, level, whose, calls.region[call], code[call]), level, span_s)
    return _read(n, call, end, since_s <= ttl_s[code[call], level], calls)


def _points(calls: CachedCalls) -> tuple[Ints, Ints, Ints, Ints]:
    """Every place of a cache point, in the order of the calls and of their prompts: call, level, end and part."""
    numbers, of_part = np.arange(len(calls.at_s)), np.repeat(np.arange(len(calls.at_s)), calls.parts)
    personal = numbers[calls.customer > calls.shared]
    call = np.concatenate([numbers, personal, of_part])
    level = np.repeat([_SHARED, _CUSTOMER, _CONVERSATION], [len(numbers), len(personal), len(of_part)])
    end = np.concatenate([calls.shared, calls.customer[personal], calls.end])
    part = np.concatenate([np.full(len(numbers) + len(personal), -1), calls.part])
    order = np.lexsort((np.arange(len(call)), level, call))
    return call[order], level[order], end[order], part[order]


def _since_last_s(at_s: Floats, keys: tuple[Ints, ...], level: Ints, span_s: float) -> Floats:
    """Seconds since the same content was last used [points]; what all share was last used in the round before."""
    order = np.lexsort((np.arange(len(at_s)), *keys))
    sorted_at, sorted_keys = at_s[order], np.stack([key[order] for key in keys])
    first = np.ones(len(order), dtype=bool)
    first[1:] = np.any(sorted_keys[:, 1:] != sorted_keys[:, :-1], axis=0)
    before = np.concatenate([[0.0], sorted_at[:-1]])
    starts = np.flatnonzero(first)
    last = np.concatenate([starts[1:], [len(order)]])[: len(starts)] - 1
    before[starts] = np.where(level[order][starts] == _SHARED, sorted_at[last] - span_s, -np.inf)
    since_s = np.empty(len(order))
    since_s[order] = sorted_at - before
    return since_s


def _read(n: int, call: Ints, end: Ints, hit: npt.NDArray[np.bool_], calls: CachedCalls) -> Ints:
    """The end of the last point before a call's first miss, within its prompt."""
    misses = np.cumsum(~hit)
    first = np.searchsorted(call, np.arange(n))
    before = np.concatenate([[0], misses])[first]
    unbroken = misses == before[call]
    read: Ints = np.zeros(n, dtype=np.int64)
    read[call[unbroken]] = end[unbroken]  # of several, the last one stays
    return np.minimum(read, calls.end[np.cumsum(calls.parts) - 1])
