"""The simulator fed block by block: days of traffic in the memory of one block, the same times as in one piece.

Between two blocks only requests that are not finished stay; they are moved to the front of the next block's arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from capacity.simulator.engine import job_amounts, job_rows, make_pool
from capacity.simulator.reference import check_fits
from capacity.simulator.requests import Floats, Ints, Requests, ServiceError
from capacity.windows import Windows
from neuron_bench.step_model import StepModel


@dataclass(frozen=True)
class Finished:
    """Requests that ended in a block, in order of arrival. Shape [n] each."""

    arrival_s: Floats
    first_s: Floats
    end_s: Floats
    output_tokens: Ints


@dataclass(frozen=True)
class Block:
    """Requests that arrive after those of the block before, and the replicas each may go to (see `oracle.simulate`)."""

    work: Requests
    candidates: Ints | None = None


def simulate_blocks(
    blocks: Iterable[Block],
    model: StepModel,
    *,
    decode_steps_max: int,
    replicas: int = 1,
    window_s: float = 300.0,
    slack: float = 0.0,
    signal_period_s: float = 0.0,
    preempts: bool = False,
    sink: Callable[[Finished], None] | None = None,
) -> Windows:
    """Serve blocks of requests in order and sketch their latencies by window.

    Args:
        decode_steps_max: longest answer of any block, in decode steps.
        sink: given every block's finished requests, where single times are wanted.
    Raises:
        ServiceError: a block that arrives before the one before it, or a longer answer than stated.
    """
    from capacity.simulator import kernel

    found, seen, signal_s, last_s = Windows(window_s), np.zeros(replicas, dtype=np.int64), 0.0, -np.inf
    pool = make_pool(model, 0, replicas, decode_steps_max, preempts)
    arrival_s, output_tokens = np.zeros(0), np.zeros(0, dtype=np.int64)

    def hand_over(over: Any) -> None:
        done = Finished(arrival_s[over], pool.first_s[over], pool.end_s[over], output_tokens[over])
        _sketch(found, done, model)
        if sink is not None:
            sink(done)

    for block in blocks:
        work = block.work
        _check(work, model, decode_steps_max, last_s)
        last_s = float(work.arrival_s[-1]) if len(work) else last_s
        kept = np.flatnonzero(np.isnan(pool.end_s))
        pool = _next_pool(pool, kept, work, model)
        arrival_s = np.concatenate([arrival_s[kept], work.arrival_s])
        output_tokens = np.concatenate([output_tokens[kept], work.output_tokens])
        options = np.zeros((1, 1), dtype=np.int64) if block.candidates is None else block.candidates
        period_s = signal_period_s if block.candidates is not None else 0.0
        signal_s = kernel.serve(
            pool, work.arrival_s, len(kept), np.ascontiguousarray(options, np.int64), float(slack), float(period_s),
            work.away_cached_tokens, np.zeros(len(work), dtype=np.int64), seen, signal_s,
        )  # fmt: skip
        hand_over(~np.isnan(pool.end_s))
    left = np.isnan(pool.end_s)
    kernel.drain(pool)
    hand_over(left)
    return found


def _check(work: Requests, model: StepModel, decode_steps_max: int, last_s: float) -> None:
    check_fits(work, model)
    if len(work) and (work.arrival_s[0] < last_s or int(work.decode_steps.max()) > decode_steps_max):
        raise ServiceError(
            f"a block begins at {work.arrival_s[0]:g} s with answers of up to {int(work.decode_steps.max()):,} steps: "
            f"blocks follow each other in time (the last ended at {last_s:g} s), none longer than {decode_steps_max:,}"
        )


def _next_pool(pool: Any, kept: Ints, work: Requests, model: StepModel) -> Any:
    """The same replicas with the unfinished requests renumbered from 0 and room for the block's after them."""
    from capacity.simulator import kernel as k

    number = np.full(len(pool.job) + 1, k.NONE, dtype=np.int64)  # the last place answers for NONE
    number[kept] = np.arange(len(kept))
    carried = pool.job[kept]
    for column in (k.NEXT, k.PREV, k.NEWER, k.OLDER):
        carried[:, column] = number[carried[:, column]]
    for column in (k.WAIT_HEAD, k.WAIT_TAIL, k.FILL_HEAD, k.FILL_TAIL, k.NEWEST):
        pool.state[:, column] = number[pool.state[:, column]]
    fresh = np.full(len(work), np.nan)
    return pool._replace(
        job=np.concatenate([carried, job_rows(work, model)]),
        amount=np.concatenate([pool.amount[kept], job_amounts(work)]),
        wheel=number[pool.wheel],
        first_s=np.concatenate([pool.first_s[kept], fresh]),
        end_s=np.concatenate([pool.end_s[kept], fresh]),
    )


def _sketch(found: Windows, done: Finished, model: StepModel) -> None:
    gaps = done.output_tokens - 1
    ttft_s = done.first_s - done.arrival_s + model.ttft_overhead_s
    decode_s = done.end_s - done.first_s + gaps * model.gap_overhead_s
    tpot_s = np.where(gaps > 0, decode_s / np.maximum(gaps, 1), np.nan)
    found.add(done.arrival_s, ttft_s, tpot_s, ttft_s + decode_s)
