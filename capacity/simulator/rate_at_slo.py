"""How many calls a second one replica serves while it keeps its promise: bisection over a simulated engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from capacity.simulator.engine import simulate
from capacity.simulator.requests import Floats, Ints, Requests, Served, ServiceError, requests
from neuron_bench.step_model import StepModel

BOUND_SHARE_MIN = 0.01
"""Below this share of its throughput bound a replica counts as useless: a fleet of them is no plan."""

Simulator = Callable[[Requests, StepModel], Served]


@dataclass(frozen=True)
class Lengths:
    """A sample of calls: tokens in, out, and found in the replica's own prefix cache. Shape [n]."""

    input_tokens: Ints
    output_tokens: Ints
    cached_tokens: Ints

    def scaled(self, input_ratio: float = 1.0, output_ratio: float = 1.0, cached_ratio: float = 1.0) -> Lengths:
        """The same calls with longer or shorter prompts and answers, and more or fewer prefix hits."""
        prompt = np.maximum(1, np.rint(self.input_tokens * input_ratio)).astype(np.int64)
        answer = np.maximum(1, np.rint(self.output_tokens * output_ratio)).astype(np.int64)
        cached = np.minimum(prompt - 1, np.rint(self.cached_tokens * input_ratio * cached_ratio)).astype(np.int64)
        return Lengths(prompt, answer, cached)


@dataclass(frozen=True)
class Promise:
    """What a replica owes its callers at p99. e2e: to the last token, where the whole answer is awaited."""

    ttft_s_p99: float
    tpot_s_p99: float
    e2e_s_p99: float | None = None


@dataclass(frozen=True)
class ReplicaRate:
    """Highest arrival rate that keeps the promise, and what would break first above it. 0: not even one call alone."""

    rate_per_s: float
    binding: str
    p99s: P99s


@dataclass(frozen=True)
class P99s:
    """What callers saw. tpot is 0 where every answer is one token."""

    ttft_s: float
    tpot_s: float
    e2e_s: float

    def __str__(self) -> str:
        return f"TTFT {self.ttft_s:.3g} s, TPOT {self.tpot_s:.3g} s, E2E {self.e2e_s:.3g} s"


@dataclass(frozen=True)
class Latencies:
    """Of every request that had no token when it arrived, the API server's overheads included.

    tpot_s only of those with two tokens or more.
    """

    ttft_s: Floats
    tpot_s: Floats
    e2e_s: Floats

    def p99s(self) -> P99s:
        """99th percentiles."""
        tpot = float(np.quantile(self.tpot_s, 0.99)) if len(self.tpot_s) else 0.0
        return P99s(float(np.quantile(self.ttft_s, 0.99)), tpot, float(np.quantile(self.e2e_s, 0.99)))


def latencies(work: Requests, served: Served, model: StepModel) -> Latencies:
    """What the callers of a simulated engine saw."""
    fresh = work.begun_steps == 0
    first_s, gaps = served.first_s[fresh], work.output_tokens[fresh] - 1
    ttft_s = first_s - work.arrival_s[fresh] + model.ttft_overhead_s
    decode_s = served.end_s[fresh] - first_s + gaps * model.gap_overhead_s
    return Latencies(ttft_s, (decode_s / np.maximum(gaps, 1))[gaps > 0], ttft_s + decode_s)


def drawn_work(lengths: Lengths, n: int, seed: int) -> Requests:
    """n calls drawn from the sample with unit-rate Poisson arrivals: common random numbers for every rate."""
    rng = np.random.default_rng([seed, 0x5E41])
    gaps = rng.exponential(1.0, n)
    pick = rng.integers(0, len(lengths.input_tokens), n)
    return requests(
        np.cumsum(gaps), lengths.input_tokens[pick], lengths.output_tokens[pick], lengths.cached_tokens[pick]
    )


def at_rate(work: Requests, rate_per_s: float) -> Requests:
    """The same calls arriving faster or slower."""
    return replace(work, arrival_s=work.arrival_s / rate_per_s)


def throughput_bound_per_s(work: Requests, model: StepModel) -> float:
    """No replica serves more than this: batches always full, prefill never waiting for anything.

    A batch of max_num_seqs shares each step's fixed cost; KV room may allow fewer.
    """
    prompt, answer = float(work.input_tokens.mean()), float(work.output_tokens.mean())
    steps = float(work.decode_steps.mean())
    batch = min(model.max_num_seqs, model.kv_tokens_max / (prompt + answer))
    kv = prompt + answer / 2
    uncached = work.input_tokens - work.cached_tokens
    x_context = float((uncached * (work.cached_tokens + uncached / 2)).mean())
    seconds = min(
        steps * (k.a / batch + k.c + k.d * kv) + k.b * float(uncached.mean()) + k.e * x_context for k in model.buckets
    )
    return 1 / seconds if seconds > 0 else float("inf")


def rate_at_promise(
    lengths: Lengths,
    model: StepModel,
    promise: Promise,
    *,
    n: int,
    seed: int,
    replicas: int = 1,
    simulator: Simulator = simulate,
    tolerance: float = 0.01,
) -> ReplicaRate:
    """Bisection on the p99s with common random numbers, to `tolerance` of the rate; 0 below 1% of the bound.

    replicas: how many the simulator spreads the calls over; the rate is of one.
    """
    work = drawn_work(lengths, n, seed)
    alone = _p99s(at_rate(work, 1e-6), model, simulator)
    if broken := _broken(alone, promise):
        return ReplicaRate(0.0, f"{broken} is broken by one call alone ({alone})", alone)
    low, high = 0.0, throughput_bound_per_s(work, model)
    if not np.isfinite(high):
        raise ServiceError(f"{model.model_id} on {model.chip}: steps take no time; the step model is empty")
    kept, binding = alone, "throughput of a full batch"
    bound = high
    while high - low > tolerance * high:
        if high < BOUND_SHARE_MIN * bound:
            return ReplicaRate(0.0, f"{binding} is kept at no load above {high:.2g}/s a replica", kept)
        middle = (low + high) / 2
        p99s = _p99s(at_rate(work, middle * replicas), model, simulator)
        if broken := _broken(p99s, promise):
            high, binding = middle, broken
        else:
            low, kept = middle, p99s
    return ReplicaRate(low, binding, kept)


@dataclass(frozen=True)
class PooledRate:
    """Rate per replica in a pool with routing, and in one twice as large."""

    replicas: int
    rate_per_s: float
    rate_doubled_per_s: float

    @property
    def bias_ratio(self) -> float:
        """How much the rate still moves when the pool doubles: what sampling a pool of thousands leaves open."""
        return abs(self.rate_doubled_per_s / self.rate_per_s - 1) if self.rate_per_s else 0.0


def pooled_rate(
    lengths: Lengths, model: StepModel, promise: Promise, *, replicas: int, choices: int, n: int, seed: int
) -> PooledRate:
    """The rate per replica when each call joins the least loaded of `choices` random replicas; n calls a replica.

    One choice is random routing, for which a single replica with Poisson arrivals stands: plans use it, the worst case.
    """

    def at(pool: int) -> float:
        candidates = np.random.default_rng([seed, 0x9001]).integers(0, pool, (n * pool, choices))

        def pooled(work: Requests, step: StepModel) -> Served:
            return simulate(work, step, replicas=pool, candidates=candidates)

        found = rate_at_promise(lengths, model, promise, n=n * pool, seed=seed, replicas=pool, simulator=pooled)
        return found.rate_per_s

    return PooledRate(replicas, at(replicas), at(2 * replicas))


def _p99s(work: Requests, model: StepModel, simulator: Simulator) -> P99s:
    return latencies(work, simulator(work, model), model).p99s()


def _broken(seen: P99s, promise: Promise) -> str | None:
    """The promise that does not hold, the worst one; None where all hold."""
    ratios = [
        (seen.ttft_s / promise.ttft_s_p99, f"TTFT p99 <= {promise.ttft_s_p99:g} s"),
        (seen.tpot_s / promise.tpot_s_p99, f"TPOT p99 <= {promise.tpot_s_p99:g} s"),
    ]
    if promise.e2e_s_p99 is not None:
        ratios.append((seen.e2e_s / promise.e2e_s_p99, f"E2E p99 <= {promise.e2e_s_p99:g} s"))
    worst = max(ratios)
    return worst[1] if worst[0] > 1 else None
