"""What can go wrong with caches on the day: own block caches that stay cold under load, provider caches forgotten."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from capacity.caching.hit_ratio import TTL_S, equilibria, shards_from_hit_ratio, stampede_misses, think_hit_ratio
from capacity.cost.interaction import cache_hit_figures
from capacity.demand.calls import ASSUMED_TTFT_S, Calls
from capacity.fleet.inputs import PlanInputs
from capacity.fleet.outcome import SelfHostedChoice
from capacity.fleet.supply import lengths_of
from capacity.quotas.draws import limits_of
from capacity.rows.fleet import HitStability
from capacity.rows.needs import CacheStampede
from capacity.simulator.engine import simulate
from capacity.simulator.rate_at_slo import Lengths, at_rate, drawn_work
from capacity.simulator.requests import Floats
from neuron_bench.step_model import StepModel
from scenarios.demand import INTERACTIONS

GRID = np.linspace(0.0, 1.0, 9)
SAMPLE = 1_000
LOST_MAX = 0.1
"""A stable state that loses more than a tenth of the planned hits is warned about."""


def hit_stability(inputs: PlanInputs, choices: Sequence[SelfHostedChoice]) -> tuple[HitStability, ...]:
    """The metastability search for every own model that counts on prefix hits."""
    rules, rows = inputs.scenario.capacity.resilience, []
    known: dict[tuple[str, str], list[float]] = {}
    for choice in choices:
        lengths = lengths_of(inputs, choice.service.model)
        stated = choice.service.step.provenance == "stated"  # of which nobody knows the step times
        if choice.stream != INTERACTIONS or not lengths.cached_tokens.any() or stated:
            continue
        rate = choice.service.rate_per_s  # what a replica carries when all that may fail has failed
        key = (choice.service.model, choice.service.step.chip)
        if key not in known:
            reuse = reuse_of(inputs, choice.service.model)
            known[key] = equilibria(hits_left(lengths, choice.service.step, rate, inputs.seed, reuse))
        solutions = known[key]
        rows.append(
            HitStability(
                choice.region, key[0], key[1], rate, tuple(solutions), _warning(key[0], solutions, rules.zones_lost)
            )
        )
    return tuple(rows)


@dataclass(frozen=True)
class Reuse:
    """What of the cached tokens all calls share, and the share of the rest that a conversation asks for in time."""

    shared_ratio: float = 1.0
    back_within: Callable[[float], float] = lambda _: 1.0


def reuse_of(inputs: PlanInputs, name: str) -> Reuse:
    """Of a model's calls; where the record does not tell the levels apart, all of it counts as shared."""
    mask = inputs.calls.of(name)
    read, shared = inputs.calls.cache_read_tokens[mask], inputs.calls.shared_tokens[mask]
    if not read.any() or (shared < 0).any():
        return Reuse()
    followed = followed_within(inputs, name)
    ever = followed(float("inf")) or 1.0
    return Reuse(float(np.minimum(read, shared).sum() / read.sum()), lambda wait_s: followed(wait_s) / ever)


def followed_within(inputs: PlanInputs, name: str) -> Callable[[float], float]:
    """Share of what a call leaves in a cache that its conversation asks for within so many seconds.

    Calls of one turn follow at once, turns after the customer's thinking and typing.
    """
    mix, calls = inputs.scenario.mix, inputs.calls
    per_turn = max(1.0, float(calls.of(name).sum()) / max(1, len(set(calls.turn[calls.of(name)].tolist()))))
    turns = calls.turns / calls.interactions
    last_of_turn, last_of_all = 1 / per_turn, 1 / (per_turn * turns)

    def share(wait_s: float) -> float:
        waits = think_hit_ratio(mix.think_s.median + mix.typing_s.median, mix.think_s.cv, wait_s)
        return (1 - last_of_turn) + (last_of_turn - last_of_all) * waits

    return share


def hits_left(
    lengths: Lengths, model: StepModel, rate_per_s: float, seed: int, reuse: Reuse | None = None
) -> Callable[[float], float]:
    """h -> the share of prefix hits that the load following from h leaves: an interpolated curve over a grid.

    Running requests hold KV; what is free keeps finished prompts in order of use. A prefix is forgotten when nobody
    used it for t_c, Che's characteristic time: what the calls' own tokens take to fill the room beside the prefix that
    all share.
    """
    reuse = reuse or Reuse()
    work = at_rate(drawn_work(lengths, SAMPLE, seed), rate_per_s)
    span_s = float(work.arrival_s[-1] - work.arrival_s[0]) or 1.0
    shared = reuse.shared_ratio * float(work.cached_tokens.mean())
    own_per_s = rate_per_s * (float((work.input_tokens + work.output_tokens).mean()) - shared)
    left = []
    for share in GRID:
        cached = np.minimum(work.input_tokens - 1, np.rint(work.cached_tokens * share)).astype(np.int64)
        served = simulate(replace(work, cached_tokens=cached, away_cached_tokens=cached), model)
        held = work.input_tokens + work.output_tokens / 2
        lasts_s = max(span_s, float(served.end_s.max() - work.arrival_s[0]))
        in_use = float(((served.end_s - served.first_s) * held).sum()) / lasts_s
        free = model.kv_tokens_max - min(in_use, model.kv_tokens_max)
        t_c = max(0.0, free - shared) / own_per_s
        back = reuse.back_within(t_c) if t_c > 0 else 0.0
        left.append(reuse.shared_ratio * -np.expm1(-rate_per_s * t_c) + (1 - reuse.shared_ratio) * back)
    curve: Floats = np.array(left)
    return lambda share: float(np.interp(share, GRID, curve))


def _warning(model: str, solutions: Sequence[float], zones_lost: int) -> str:
    if not solutions or min(solutions) >= 1 - LOST_MAX:
        return ""
    if max(solutions) < 1 - LOST_MAX:
        return (
            f"{model}: with {zones_lost} zone lost the block cache keeps {max(solutions):.0%} of the planned prefix "
            "hits: KV is short; give each replica less load or more KV"
        )
    return (
        f"{model}: the block cache can stay at {min(solutions):.0%} of the planned prefix hits after a restart under "
        "load; warm replicas before they take traffic"
    )


def fitted_shards(inputs: PlanInputs, name: str) -> float | None:
    """Independent caches that explain a run's shared-prefix hits of a Bedrock model; None where a run cannot tell."""
    calls: Calls = inputs.calls
    ratio = cache_hit_figures(calls, name).get("shared")
    if not inputs.measured or calls.lasts_s is None or ratio is None or not 0 < ratio < 1:
        return None
    rate = float(calls.of(name).sum()) / calls.lasts_s / len(inputs.regions)
    return max(1.0, shards_from_hit_ratio(ratio, rate, TTL_S[inputs.scenario.assistant.cache_ttl.shared]))


def cache_stampedes(inputs: PlanInputs, *, faults_only: bool = False) -> tuple[CacheStampede, ...]:
    """Each moment at which provider caches are empty: the event's start, and every cold_cache fault of the scenario.

    misses: calls that start before the first of them has written the shared prefix, in every shard;
    usd: what they pay for writing it in place of reading it. tpm_share: of a minute's tokens, where a quota is known.
    """
    rows = []
    moments: list[tuple[float, str | None, str | None]] = [] if faults_only else [(0.0, None, None)]
    moments += [
        (fault.at_s, fault.model, fault.region) for fault in inputs.scenario.faults if fault.kind == "cold_cache"
    ]
    for at_s, only_model, only_region in moments:
        for name in inputs.model_names:
            model, mask = inputs.prices.models[name], inputs.calls.of(name)
            shared = float(np.maximum(inputs.calls.shared_tokens[mask], 0).mean()) if mask.any() else 0.0
            if model.prices is None or shared <= 0 or only_model not in (None, name):
                continue
            for region in inputs.regions:
                if only_region in (None, region):
                    rows.append(_stampede(inputs, name, region, at_s, shared))
    return tuple(rows)


def _stampede(inputs: PlanInputs, name: str, region: str, at_s: float, shared: float) -> CacheStampede:
    timeline = inputs.demand[INTERACTIONS][region].timeline
    point = max(0, int(np.searchsorted(np.array(timeline.offset_s), at_s, side="right")) - 1)
    rate = timeline.interactions_per_s_p90[point] * inputs.calls.per_interaction(name)
    shards = fitted_shards(inputs, name) or 1.0
    misses = shards * stampede_misses(rate / shards, ASSUMED_TTFT_S)
    prices, limit = inputs.prices.models[name].prices, limits_of(inputs, name, region).tpm
    assert prices is not None  # cache_stampedes leaves models without prices out
    write, read = prices.cache_write_5m_usd_per_mtok, prices.cache_read_usd_per_mtok
    dearer = (prices.input_usd_per_mtok if write is None else write) - (read or 0.0)
    return CacheStampede(
        model=name,
        region=region,
        at_s=at_s,
        misses=misses,
        shards=shards,
        usd=misses * shared * dearer / 1e6,
        tpm_share=None if not limit else misses * shared / limit,
    )
