"""The compiled loop behind `throttling.py`: quota buckets a second at a time."""

from __future__ import annotations

import numpy as np
from numba import njit

from capacity.simulator.requests import Floats, Ints

NEVER = -1.0


@njit(cache=True)
def run(
    counts: Ints,
    reserved: Floats,
    settled: Floats,
    grants: Floats,
    period_s: Floats,
    hold_steps: int,
    step_s: float,
    gives_back: bool,
) -> tuple[Ints, Floats]:
    """Refused calls by kind [kinds], and when each kind first refused one [kinds], NEVER if it did not.

    counts [steps]: calls in each step. reserved, settled [kinds]: what a call takes at its start, and is charged
    at its end: less than it reserved, or more where its answer burns more than its max_tokens.
    """
    kinds, steps = grants.size, counts.size
    left, held = grants.copy(), np.zeros(kinds)
    admitted = np.zeros(steps, np.int64)
    refused, first_s = np.zeros(kinds, np.int64), np.full(kinds, NEVER)
    for step in range(steps):
        ended = admitted[step - hold_steps] if gives_back and step >= hold_steps else 0
        room, tight = counts[step], -1
        for kind in range(kinds):
            left[kind] = min(grants[kind] - held[kind], left[kind] + grants[kind] / period_s[kind] * step_s)
            if ended and reserved[kind] != settled[kind]:
                held[kind] -= ended * reserved[kind]
                left[kind] = min(grants[kind] - held[kind], left[kind] + ended * (reserved[kind] - settled[kind]))
            fits = int(max(0.0, left[kind]) / reserved[kind] + 1e-9)
            if fits < room:
                room, tight = fits, kind
        admitted[step] = room
        for kind in range(kinds):
            left[kind] -= room * reserved[kind]
            if gives_back and reserved[kind] != settled[kind]:
                held[kind] += room * reserved[kind]
        if tight >= 0:
            refused[tight] += counts[step] - room
            if first_s[tight] == NEVER:
                first_s[tight] = step * step_s
    return refused, first_s
