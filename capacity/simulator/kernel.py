"""The compiled simulator behind `engine.py`: every step of every replica, without walking every token.

A decode makes one step of progress per engine step, so the step at which it ends is known at its first token. A wheel
keyed by step number holds the decodes; between two events (an end, an arrival, a full KV store) every step has the
same batch and its KV grows by the same amount, so any number of them is summed in closed form. Work per request is
constant whatever its length. Numba compiles it; with NUMBA_DISABLE_JIT=1 the same source runs in plain Python.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numba import njit

from capacity.simulator.requests import Floats, Ints

# Columns of Pool.job. Queues are linked through the jobs themselves; NONE ends a list.
PROMPT, CACHED, STEPS, DONE, COMPUTED, TO_COMPUTE, NEXT, PREV, STARTED, BEGAN, NEWER, OLDER, KEPT = range(13)
GROWTH, HELD = range(2)  # columns of Pool.amount
# Columns of Pool.state and Pool.level, one row a replica.
WAIT_HEAD, WAIT_TAIL, FILL_HEAD, FILL_TAIL, NEWEST, LOAD, RUNNING, DECODING, STEP, PREEMPTIONS, STEPS_RUN = range(11)
CLOCK, BUSY, KV_HELD, KV_READ, KV_GROWTH = range(5)
BUCKET_A, BUCKET_B, BUCKET_E, BUCKET_C, BUCKET_D, BUCKET_TOKENS, BUCKET_SEQS = range(7)
NONE = -1
ROOM = 1e-6  # tokens of float noise in the KV account
_Function = TypeVar("_Function", bound=Callable[..., object])
_OPTIONS: dict[str, Any] = {"cache": True, "_nrt": False}


def compiled(function: _Function) -> _Function:
    """Compile without reference counts: nothing below `serve` allocates, and counting them takes 3 x the time."""
    quick: _Function = njit(**_OPTIONS)(function)
    return quick


class Pool(NamedTuple):
    """Everything the replicas share: job [n, 13], amount [n, 2], state [R, 11], level [R, 5], wheel [R, power of 2]."""

    job: Ints
    amount: Floats
    state: Ints
    level: Floats
    wheel: Ints
    first_s: Floats
    end_s: Floats
    admitted_s: Floats
    buckets: Floats
    max_num_seqs: int
    max_batched_tokens: int
    kv_tokens: float
    preempts: bool


@njit(cache=True, nogil=True)
def serve(
    pool: Pool,
    arrival_s: Floats,
    first: int,
    candidates: Ints,
    slack: float,
    signal_period_s: float,
    away: Ints,
    placed: Ints,
    loads: Ints,
    signal_s: float,
) -> float:
    """Take in the arrivals of jobs first, first + 1, ...; running requests stay where they are. The next signal's time.

    away [n]: their away_cached_tokens. loads [R]: as the router last saw them, kept between calls.
    """
    replicas, columns = pool.state.shape[0], candidates.shape[1]
    for index in range(arrival_s.size):
        now_s = arrival_s[index]
        if signal_period_s > 0:
            while signal_s <= now_s:
                for replica in range(replicas):
                    advance(pool, replica, signal_s)
                    loads[replica] = pool.state[replica, LOAD]
                signal_s += signal_period_s
        chosen, least, home = 0, np.inf, True
        for column in range(columns):
            replica = candidates[index % candidates.shape[0], column]
            advance(pool, replica, now_s)
            if signal_period_s <= 0:
                loads[replica] = pool.state[replica, LOAD]
            score = loads[replica] - (slack if column == 0 else 0.0)
            if score < least:
                chosen, least, home = replica, score, column == 0
        placed[index] = chosen
        if not home:
            pool.job[first + index, CACHED] = away[index]
            if not pool.job[first + index, STARTED]:
                pool.job[first + index, COMPUTED] = away[index]
        if pool.state[chosen, LOAD] == 0:
            pool.level[chosen, CLOCK] = max(pool.level[chosen, CLOCK], now_s)
        pool.state[chosen, LOAD] += 1
        _append(pool, chosen, first + index, WAIT_HEAD, WAIT_TAIL)
    return signal_s


@njit(cache=True, nogil=True)
def drain(pool: Pool) -> None:
    """Run every replica until it is empty."""
    for replica in range(pool.state.shape[0]):
        advance(pool, replica, np.inf)


@compiled
def advance(pool: Pool, replica: int, until_s: float) -> None:
    """Run every step that begins before until_s."""
    state, level = pool.state, pool.level
    while state[replica, LOAD] > 0 and level[replica, CLOCK] < until_s:
        gave_way = pool.preempts and _preempt(pool, replica)
        if not gave_way:
            _admit(pool, replica)
        if state[replica, FILL_HEAD] == NONE:
            _decode(pool, replica, 1.0 if gave_way else np.inf, until_s)
        else:
            _prefill_step(pool, replica)


@compiled
def _preempt(pool: Pool, replica: int) -> bool:
    """The newest requests give up their KV until one more token fits for every decoding one."""
    job, state, level = pool.job, pool.state, pool.level
    gave_way = False
    while level[replica, KV_HELD] + level[replica, KV_GROWTH] > pool.kv_tokens + ROOM:
        last = state[replica, NEWEST]
        _leave_batch(pool, replica, last)
        if job[last, COMPUTED] < job[last, TO_COMPUTE]:
            _unlink_fill(pool, replica, last)
        else:
            _unlink_wheel(pool, replica, last)
            _stop_decoding(pool, replica, last)
        job[last, COMPUTED] = job[last, CACHED]
        job[last, TO_COMPUTE] = job[last, PROMPT]
        if job[last, STARTED]:
            job[last, TO_COMPUTE] += 1 + int(job[last, DONE] * pool.amount[last, GROWTH])
        _push_front(pool, replica, last)
        state[replica, PREEMPTIONS] += 1
        gave_way = True
    return gave_way


@compiled
def _admit(pool: Pool, replica: int) -> None:
    job, state, level = pool.job, pool.state, pool.level
    while state[replica, WAIT_HEAD] != NONE and state[replica, RUNNING] < pool.max_num_seqs:
        index = state[replica, WAIT_HEAD]
        need = float(job[index, TO_COMPUTE] if pool.preempts else job[index, KEPT])
        begun = job[index, COMPUTED] == job[index, TO_COMPUTE]  # it brings its KV, and decodes in this very step
        growth = level[replica, KV_GROWTH] + (pool.amount[index, GROWTH] if begun else 0.0)
        if level[replica, KV_HELD] + need + (growth if pool.preempts else 0.0) > pool.kv_tokens + ROOM:
            return
        state[replica, WAIT_HEAD] = job[index, NEXT]
        if state[replica, WAIT_HEAD] == NONE:
            state[replica, WAIT_TAIL] = NONE
        if math.isnan(pool.admitted_s[index]):
            pool.admitted_s[index] = level[replica, CLOCK]
        pool.amount[index, HELD] = need
        level[replica, KV_HELD] += need
        state[replica, RUNNING] += 1
        job[index, OLDER], job[index, NEWER] = state[replica, NEWEST], NONE
        if state[replica, NEWEST] != NONE:
            job[state[replica, NEWEST], NEWER] = index
        state[replica, NEWEST] = index
        if begun:
            _decode_on(pool, replica, index)
        else:
            _append(pool, replica, index, FILL_HEAD, FILL_TAIL)


@compiled
def _decode(pool: Pool, replica: int, most_steps: float, until_s: float) -> None:
    """Jump to the next end of a decode, the first step boundary at or after until_s, or a full KV store."""
    state, level, wheel = pool.state, pool.level, pool.wheel
    mask = wheel.shape[1] - 1
    decoding, step, growth = state[replica, DECODING], state[replica, STEP], level[replica, KV_GROWTH]
    bucket = _bucket(pool.buckets, 0, decoding)
    first_step_s = (
        pool.buckets[bucket, BUCKET_A]
        + pool.buckets[bucket, BUCKET_C] * decoding
        + pool.buckets[bucket, BUCKET_D] * level[replica, KV_READ]
    )
    slower_s = pool.buckets[bucket, BUCKET_D] * growth
    most = most_steps
    if pool.preempts and growth > 0:
        most = min(most, math.floor((pool.kv_tokens + ROOM - level[replica, KV_HELD]) / growth))
    if until_s < np.inf:
        most = min(most, _steps_until(until_s - level[replica, CLOCK], first_step_s, slower_s))
    steps = 1
    while steps < most and wheel[replica, (step + steps) & mask] == NONE:
        steps += 1
    spent_s = steps * first_step_s + slower_s * (steps * (steps - 1) / 2)
    _tick(pool, replica, steps, spent_s)
    _finish_due(pool, replica)


@compiled
def _steps_until(wait_s: float, first_step_s: float, slower_s: float) -> float:
    """Fewest steps that last wait_s or longer; each is slower_s longer than the one before."""
    half = first_step_s - slower_s / 2
    root = half + math.sqrt(half * half + 2 * slower_s * wait_s)
    if root <= 0:
        return np.inf
    steps = max(1.0, math.ceil(2 * wait_s / root))
    while steps * first_step_s + slower_s * (steps * (steps - 1) / 2) < wait_s:
        steps += 1
    while steps > 1 and (steps - 1) * first_step_s + slower_s * ((steps - 1) * (steps - 2) / 2) >= wait_s:
        steps -= 1
    return steps


@compiled
def _prefill_step(pool: Pool, replica: int) -> None:
    """One step in which prompts are computed beside the decodes."""
    job, state, level = pool.job, pool.state, pool.level
    decoding = state[replica, DECODING]
    budget = pool.max_batched_tokens - decoding
    tokens, x_context, index = 0, 0.0, state[replica, FILL_HEAD]
    while index != NONE and budget > 0:
        part = min(budget, job[index, TO_COMPUTE] - job[index, COMPUTED])
        x_context += part * (job[index, COMPUTED] + part / 2)
        job[index, COMPUTED] += part
        tokens += part
        budget -= part
        if job[index, COMPUTED] < job[index, TO_COMPUTE]:
            break
        index = job[index, NEXT]
    bucket = _bucket(pool.buckets, tokens, decoding)
    row = pool.buckets[bucket]
    step_s = (
        row[BUCKET_A]
        + row[BUCKET_B] * tokens
        + row[BUCKET_E] * x_context
        + row[BUCKET_C] * decoding
        + row[BUCKET_D] * level[replica, KV_READ]
    )
    _tick(pool, replica, 1, step_s)
    _finish_due(pool, replica)
    while state[replica, FILL_HEAD] != index:
        done = state[replica, FILL_HEAD]
        _unlink_fill(pool, replica, done)
        _start_decoding(pool, replica, done)


@compiled
def _start_decoding(pool: Pool, replica: int, index: int) -> None:
    """The prompt is computed: its first token is out, or the next one after a preemption."""
    job, level = pool.job, pool.level
    if job[index, STARTED]:
        job[index, DONE] += 1
    else:
        job[index, STARTED] = 1
        pool.first_s[index] = level[replica, CLOCK]
    if job[index, STEPS] <= job[index, DONE]:
        _finish(pool, replica, index)
        return
    _decode_on(pool, replica, index)


@compiled
def _decode_on(pool: Pool, replica: int, index: int) -> None:
    """Join the batch of decodes from the next step on."""
    job, state, level = pool.job, pool.state, pool.level
    left = job[index, STEPS] - job[index, DONE]
    growth = pool.amount[index, GROWTH]
    state[replica, DECODING] += 1
    level[replica, KV_READ] += job[index, PROMPT] + 1 + job[index, DONE] * growth
    level[replica, KV_GROWTH] += growth
    job[index, BEGAN] = state[replica, STEP]
    slot = (state[replica, STEP] + left) & (pool.wheel.shape[1] - 1)
    head = pool.wheel[replica, slot]
    job[index, NEXT], job[index, PREV] = head, NONE
    if head != NONE:
        job[head, PREV] = index
    pool.wheel[replica, slot] = index


@compiled
def _stop_decoding(pool: Pool, replica: int, index: int) -> None:
    """Take a decode out of the batch's totals and note its progress."""
    job, state, level = pool.job, pool.state, pool.level
    growth = pool.amount[index, GROWTH]
    job[index, DONE] += state[replica, STEP] - job[index, BEGAN]
    state[replica, DECODING] -= 1
    level[replica, KV_READ] -= job[index, PROMPT] + 1 + job[index, DONE] * growth
    level[replica, KV_GROWTH] -= growth
    if pool.preempts:
        level[replica, KV_HELD] -= growth * (state[replica, STEP] - job[index, BEGAN])
    if state[replica, DECODING] == 0:
        level[replica, KV_READ] = 0.0
        level[replica, KV_GROWTH] = 0.0


@compiled
def _finish_due(pool: Pool, replica: int) -> None:
    """End the decodes whose last step this was."""
    slot = pool.state[replica, STEP] & (pool.wheel.shape[1] - 1)
    index = pool.wheel[replica, slot]
    pool.wheel[replica, slot] = NONE
    while index != NONE:
        after = pool.job[index, NEXT]
        _stop_decoding(pool, replica, index)
        _finish(pool, replica, index)
        index = after


@compiled
def _finish(pool: Pool, replica: int, index: int) -> None:
    pool.end_s[index] = pool.level[replica, CLOCK]
    pool.state[replica, LOAD] -= 1
    _leave_batch(pool, replica, index)


@compiled
def _leave_batch(pool: Pool, replica: int, index: int) -> None:
    job, state = pool.job, pool.state
    older, newer = job[index, OLDER], job[index, NEWER]
    if newer == NONE:
        state[replica, NEWEST] = older
    else:
        job[newer, OLDER] = older
    if older != NONE:
        job[older, NEWER] = newer
    state[replica, RUNNING] -= 1
    pool.level[replica, KV_HELD] -= pool.amount[index, HELD]


@compiled
def _tick(pool: Pool, replica: int, steps: int, spent_s: float) -> None:
    """Time, step number and KV move on."""
    grown = pool.level[replica, KV_GROWTH] * steps
    pool.level[replica, CLOCK] += spent_s
    pool.level[replica, BUSY] += spent_s
    pool.level[replica, KV_READ] += grown
    if pool.preempts:
        pool.level[replica, KV_HELD] += grown
    pool.state[replica, STEP] += steps
    pool.state[replica, STEPS_RUN] += steps


@compiled
def _bucket(buckets: Floats, prefill_tokens: int, decoding: int) -> int:
    """The first bucket that holds the step; the last one where none does."""
    for number in range(buckets.shape[0]):
        if prefill_tokens <= buckets[number, BUCKET_TOKENS] and decoding <= buckets[number, BUCKET_SEQS]:
            return number
    return int(buckets.shape[0] - 1)


@compiled
def _append(pool: Pool, replica: int, index: int, head: int, tail: int) -> None:
    """At the end of a replica's waiting or prefill queue."""
    last = pool.state[replica, tail]
    pool.job[index, NEXT], pool.job[index, PREV] = NONE, last
    if last == NONE:
        pool.state[replica, head] = index
    else:
        pool.job[last, NEXT] = index
    pool.state[replica, tail] = index


@compiled
def _push_front(pool: Pool, replica: int, index: int) -> None:
    """At the head of a replica's waiting queue."""
    first = pool.state[replica, WAIT_HEAD]
    pool.job[index, NEXT], pool.job[index, PREV] = first, NONE
    if first == NONE:
        pool.state[replica, WAIT_TAIL] = index
    else:
        pool.job[first, PREV] = index
    pool.state[replica, WAIT_HEAD] = index


@compiled
def _unlink_fill(pool: Pool, replica: int, index: int) -> None:
    before, after = pool.job[index, PREV], pool.job[index, NEXT]
    if before == NONE:
        pool.state[replica, FILL_HEAD] = after
    else:
        pool.job[before, NEXT] = after
    if after == NONE:
        pool.state[replica, FILL_TAIL] = before
    else:
        pool.job[after, PREV] = before


@compiled
def _unlink_wheel(pool: Pool, replica: int, index: int) -> None:
    job = pool.job
    before, after = job[index, PREV], job[index, NEXT]
    if after != NONE:
        job[after, PREV] = before
    if before != NONE:
        job[before, NEXT] = after
        return
    due = job[index, BEGAN] + job[index, STEPS] - job[index, DONE]
    pool.wheel[replica, due & (pool.wheel.shape[1] - 1)] = after
