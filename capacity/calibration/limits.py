"""What an engine was started with, read from what it did: plateaus of requests and of KV tokens, and who waited.

A limit that binds leaves a mark: the number of requests that decode at once stops at a ceiling while others wait for
their first token. One that was never reached leaves none, and then only its lower bound is known.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from capacity.calibration.observed import Observed
from capacity.plan import PlanError
from capacity.simulator.requests import Floats

PLATEAU_SHARE = 0.05
"""Share of a load step's time with somebody waiting that can show a ceiling."""
WAITING_MIN = 2.0
"""Requests without a first token that make a queue."""
NEAR = 0.85
"""Within this share of the ceiling counts as at it."""
STILLER = 0.8
TOKEN_LIMITS = (256, 512, 1024, 2048, 4096, 8192, 16384)
USUAL_BUDGET = 2048
GENEROUS = 4.0
"""A limit that never bound is taken as this many times the most that was ever needed."""
CONTRADICTED = 1.1


class CalibrationError(PlanError):
    """Timings that cannot be calibrated from; the message names the measurement to take next."""


@dataclass(frozen=True)
class EngineLimits:
    """What each replica was started with; None = read it from the data.

    token_buckets, seq_buckets: sizes to which an engine with static graphs pads a step's prompt tokens and requests.
    """

    max_num_seqs: int | None = None
    max_batched_tokens: int | None = None
    block_tokens: int = 16
    kv_blocks: int | None = None
    token_buckets: tuple[int, ...] = ()
    seq_buckets: tuple[int, ...] = ()


@dataclass(frozen=True)
class Ceiling:
    """The most requests, or KV tokens, that a replica held at once, and whether it stopped there while others waited.

    usual: it held more for a twentieth of the time only. wobble: how much the level moves while somebody waits, as a
    share of it.
    """

    most: float
    usual: float
    wobble: float
    plateau: bool
    waiting: float
    name: str


def ceilings(runs: Sequence[Observed], replicas: int = 1) -> tuple[Ceiling, Ceiling]:
    """Of requests that decode, and of the KV tokens they keep, over all load steps; of one replica."""
    pairs = [_ceilings(run, replicas) for run in runs]
    seqs, held = _highest([pair[0] for pair in pairs]), _highest([pair[1] for pair in pairs])
    # What binds stands still, and the other follows the lengths of those inside; where both do, the fit decides.
    if seqs.plateau and held.plateau and seqs.wobble < STILLER * held.wobble:
        held = replace(held, plateau=False)
    elif seqs.plateau and held.plateau and held.wobble < STILLER * seqs.wobble:
        seqs = replace(seqs, plateau=False)
    return seqs, held


def _highest(found: Sequence[Ceiling]) -> Ceiling:
    plateaus = [each for each in found if each.plateau]
    return max(plateaus or found, key=lambda each: each.most)


def _ceilings(run: Observed, replicas: int) -> tuple[Ceiling, Ceiling]:
    first_s = run.arrival_s + run.ttft_s
    end_s = first_s + run.decode_s
    tokens = (run.input_tokens + run.output_tokens).astype(np.float64)
    edges = np.concatenate([run.arrival_s, first_s, end_s])
    order = np.argsort(edges, kind="stable")
    n, zero = len(first_s), np.zeros(len(first_s))
    seqs = np.cumsum(np.concatenate([zero, np.ones(n), -np.ones(n)])[order])[:-1] / replicas
    held = np.cumsum(np.concatenate([zero, tokens, -tokens])[order])[:-1] / replicas
    waits = np.cumsum(np.concatenate([np.ones(n), -np.ones(n), zero])[order])[:-1] / replicas
    spent_s = np.diff(edges[order])
    return _ceiling(seqs, waits, spent_s, run.name), _ceiling(held, waits, spent_s, run.name)


def _ceiling(level: Floats, waits: Floats, spent_s: Floats, name: str) -> Ceiling:
    """The usual level while somebody waits, if it hardly moves then; else the most there ever was."""
    total_s = max(float(spent_s.sum()), 1e-12)
    crowded = waits >= WAITING_MIN
    queued_s = float(spent_s[crowded].sum())
    usual = _time_quantile(level, spent_s, 0.95)
    if queued_s < PLATEAU_SHARE * total_s:
        return Ceiling(float(level.max()), usual, math.inf, False, 0.0, name)
    top = _time_quantile(level[crowded], spent_s[crowded], 0.75)
    near = crowded & (level >= NEAR * top)
    waiting = float(np.average(waits[crowded], weights=np.maximum(spent_s[crowded], 1e-12)))
    # While a queue stands, a limit that binds keeps the level at its ceiling nearly all the time.
    plateau = float(spent_s[near].sum()) >= 0.5 * queued_s and top >= 0.6 * float(level.max())
    mean = float(np.average(level[crowded], weights=np.maximum(spent_s[crowded], 1e-12)))
    square = float(np.average((level[crowded] - mean) ** 2, weights=np.maximum(spent_s[crowded], 1e-12)))
    wobble = math.sqrt(square) / max(mean, 1e-12)
    return Ceiling(top if plateau else float(level.max()), usual, wobble, plateau, waiting, name)


def _time_quantile(level: Floats, spent_s: Floats, share: float) -> float:
    order = np.argsort(level, kind="stable")
    spent = np.cumsum(spent_s[order])
    return float(level[order][min(np.searchsorted(spent, share * spent[-1]), len(level) - 1)])


def refuse_contradicted(limits: EngineLimits, runs: Sequence[Observed], replicas: int) -> None:
    """Refuse a stated limit that the data contradict.

    Raises:
        CalibrationError: with both figures.
    """
    seqs, held = ceilings(runs, replicas)
    stated = limits.max_num_seqs
    if stated is not None and seqs.usual > CONTRADICTED * stated + 1:
        raise CalibrationError(
            f"max_num_seqs is stated as {stated}, but {seqs.usual:.0f} requests decoded at once in {seqs.name}; leave "
            "it out to have it read from the data, or give --replicas if several answer at this address"
        )
    if stated is not None and seqs.plateau and not held.plateau and stated > 1.5 * seqs.most + 1:
        raise CalibrationError(
            f"max_num_seqs is stated as {stated}, but never more than {seqs.most:.0f} requests decoded at once in "
            f"{seqs.name} while {seqs.waiting:.0f} waited; leave it out to have it read from the data"
        )
    if limits.kv_blocks is None:
        return
    kv_tokens = limits.kv_blocks * limits.block_tokens
    used, name = max((_kv_in_use(run) / replicas, run.name) for run in runs)
    if used > CONTRADICTED * kv_tokens:
        raise CalibrationError(
            f"{limits.kv_blocks:,} KV blocks are stated, {kv_tokens:,} tokens, but requests held {used:,.0f} tokens at "
            f"once in {name}; leave it out to have it read from the data, or give --replicas"
        )
    below_seqs = stated is None or seqs.most < NEAR * stated
    if held.plateau and below_seqs and kv_tokens > 1.5 * held.most and not (seqs.plateau and stated is None):
        raise CalibrationError(
            f"{limits.kv_blocks:,} KV blocks are stated, {kv_tokens:,} tokens, but requests never kept more than "
            f"{held.most:,.0f} in {held.name} while {held.waiting:.0f} waited; leave it out to have it read"
        )


def _kv_in_use(run: Observed) -> float:
    """Most KV tokens that must have been held at once: prompts, and half of each answer, of requests that decode."""
    first_s = run.arrival_s + run.ttft_s
    edges = np.concatenate([first_s, first_s + run.decode_s])
    tokens = run.input_tokens + run.output_tokens / 2
    order = np.argsort(edges, kind="stable")
    return float(np.cumsum(np.concatenate([tokens, -tokens])[order]).max())


@dataclass(frozen=True)
class Options:
    """Limits that may have been in force: none that binds, one of requests, one of KV memory."""

    generous: EngineLimits
    seqs: tuple[EngineLimits, ...]
    kv: tuple[EngineLimits, ...]


def options(limits: EngineLimits, runs: Sequence[Observed], replicas: int) -> Options:
    """What is stated as it is, and what is not as the plateaus allow."""
    seqs, held = ceilings(runs, replicas)
    longest = max(int((run.input_tokens + run.output_tokens).max()) for run in runs)
    generous = replace(
        limits,
        max_num_seqs=limits.max_num_seqs or max(256, int(GENEROUS * seqs.most)),
        kv_blocks=limits.kv_blocks or _blocks(max(GENEROUS * held.most, 4.0 * longest), limits),
        max_batched_tokens=limits.max_batched_tokens or USUAL_BUDGET,
    )
    most = round(seqs.most)
    numbers = sorted({most, _round_up(most)}) if limits.max_num_seqs is None and seqs.plateau else []
    shares = (1.0, 1.07) if limits.kv_blocks is None and held.plateau else ()
    return Options(
        generous,
        tuple(replace(generous, max_num_seqs=number) for number in numbers),
        tuple(replace(generous, kv_blocks=_blocks(max(longest, share * held.most), limits)) for share in shares),
    )


def _blocks(tokens: float, limits: EngineLimits) -> int:
    return max(1, -(-int(tokens) // limits.block_tokens))


def token_candidates(limits: EngineLimits, runs: Sequence[Observed]) -> list[EngineLimits]:
    """Budgets of a step that the lengths could tell apart."""
    longest = max(int((run.input_tokens - run.cached_tokens).max()) for run in runs)
    return [
        replace(limits, max_batched_tokens=tokens)
        for tokens in TOKEN_LIMITS
        if tokens <= 2 * longest and tokens != limits.max_batched_tokens
    ]


def _round_up(most: int) -> int:
    """The round number just above, as people state limits: a power of two or a multiple of eight within 5%."""
    for number in (1 << (most - 1).bit_length(), -(-most // 8) * 8):
        if number <= 1.05 * most + 1:
            return number
    return most
