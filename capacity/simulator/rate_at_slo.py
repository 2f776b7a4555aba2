"""How many calls a second one replica serves while it meets its SLOs: bisection over a simulated engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import linprog

from capacity.simulator.engine import simulate
from capacity.simulator.requests import Floats, Ints, Requests, Served, ServiceError, requests
from neuron_bench.step_model import Coefficients, StepModel
from slo.slo import Slo

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
class ReplicaRate:
    """Highest arrival rate that meets every SLO, and the first limit exceeded above it. 0: not even one call alone."""

    rate_per_s: float
    binding: str
    p99s: P99s


@dataclass(frozen=True)
class P99s:
    """What callers get. tpot is 0 where every answer is one token."""

    ttft_s: float
    tpot_s: float
    e2e_s: float

    def __str__(self) -> str:
        return f"TTFT {self.ttft_s:.3g} s, TPOT {self.tpot_s:.3g} s, E2E {self.e2e_s:.3g} s"


@dataclass(frozen=True)
class Latencies:
    """Of every request that had no token when it arrived, the API server's overheads included.

    tpot_s only of those with two tokens or more. queue_s: of each first token, what passed before the engine took the
    request up; front_s: what the server in front took.
    """

    ttft_s: Floats
    tpot_s: Floats
    e2e_s: Floats
    queue_s: Floats
    front_s: Floats

    def quantile_s(self, slo: Slo) -> float:
        """The quantile an SLO is about; 0 where no answer has the metric.

        Raises:
            ServiceError: the SLO is about something the simulator does not know.
        """
        values = {"ttft_s": self.ttft_s, "tpot_s": self.tpot_s, "e2e_s": self.e2e_s}.get(slo.metric)
        if values is None or slo.quantile is None or not slo.upper:
            raise ServiceError(f"{slo}: a replica is sized by upper limits on quantiles of ttft_s, tpot_s or e2e_s")
        return quantile(values, slo.quantile) if len(values) else 0.0

    def p99s(self) -> P99s:
        """99th percentiles."""
        tpot = quantile(self.tpot_s, 0.99) if len(self.tpot_s) else 0.0
        return P99s(quantile(self.ttft_s, 0.99), tpot, quantile(self.e2e_s, 0.99))


def quantile(values: Floats, share: float) -> float:
    """The quantile of `numpy.quantile`'s default method, to the last bit, in a quarter of its time for one share.

    Source: method 7 of Hyndman and Fan 1996; interpolated from the nearer end, as NumPy does.
    """
    place = share * (len(values) - 1)
    below = int(place)
    above = min(below + 1, len(values) - 1)
    parted = np.partition(values, (below, above))
    low, high, part = float(parted[below]), float(parted[above]), place - below
    return high - (high - low) * (1 - part) if part >= 0.5 else low + (high - low) * part


def latencies(work: Requests, served: Served, model: StepModel) -> Latencies:
    """What the callers of a simulated engine get."""
    # a slice copies nothing: a sizing asks some thousand times, and nothing has begun in it
    fresh = work.begun_steps == 0 if work.begun_steps.any() else slice(None)
    first_s, gaps = served.first_s[fresh], work.output_tokens[fresh] - 1
    front_s = np.asarray(model.ttft_overhead_s + model.ttft_overhead_s_per_token * work.input_tokens[fresh])
    ttft_s = first_s - work.arrival_s[fresh] + front_s
    decode_s = served.end_s[fresh] - first_s + gaps * model.gap_overhead_s
    queue_s = served.admitted_s[fresh] - work.arrival_s[fresh]
    tpot_s = decode_s / np.maximum(gaps, 1)
    return Latencies(ttft_s, tpot_s if gaps.all() else tpot_s[gaps > 0], ttft_s + decode_s, queue_s, front_s)


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

    A batch of max_num_seqs shares each step's fixed cost; KV room may allow fewer. A graph of an engine that pads holds
    no more prompt tokens and requests than its size.
    """
    prompt, answer = float(work.input_tokens.mean()), float(work.output_tokens.mean())
    batch = min(model.max_num_seqs, model.kv_tokens_max / (prompt + answer))
    uncached = work.input_tokens - work.cached_tokens
    x_context = float((uncached * (work.cached_tokens + uncached / 2)).mean())
    load = _CallLoad(float(work.decode_steps.mean()), float(uncached.mean()), x_context, prompt + answer / 2, batch)
    pads = any(k.bucket_tokens or k.bucket_seqs for k in model.buckets)
    seconds = _padded_s(load, model) if pads else min(load.seconds(k) for k in model.buckets)
    return 1 / seconds if seconds > 0 else float("inf")


@dataclass(frozen=True)
class _CallLoad:
    """What a mean call asks of a replica; batch: how many may decode at once."""

    steps: float
    prompt_tokens: float
    prompt_x_context: float
    kv_tokens: float
    batch: float

    def seconds(self, k: Coefficients) -> float:
        """Of a replica's time, where every step has a full batch."""
        return self.steps * (k.a / self.batch + self.decode_s(k)) + self.prompt_tokens * self.prefill_s(k)

    def decode_s(self, k: Coefficients) -> float:
        """Beyond the fixed cost, of one step of one call."""
        return k.c + k.d * self.kv_tokens

    def prefill_s(self, k: Coefficients) -> float:
        """Beyond the fixed cost, of one prompt token."""
        return k.b + k.e * self.prompt_x_context / max(self.prompt_tokens, 1e-9)


def _padded_s(load: _CallLoad, model: StepModel) -> float:
    """Least time of a mean call over all mixtures of graphs: how often each runs, and what of the call it holds."""
    graphs = model.buckets
    cost = np.array([[k.a, load.prefill_s(k), load.decode_s(k)] for k in graphs]).T.ravel()
    none, each = np.zeros((len(graphs), len(graphs))), np.eye(len(graphs))
    tokens = [model.max_batched_tokens if k.bucket_tokens is None else k.bucket_tokens for k in graphs]
    seqs = [load.batch if k.bucket_seqs is None else min(load.batch, k.bucket_seqs) for k in graphs]
    held = np.vstack([np.hstack([-np.diag(tokens), each, none]), np.hstack([-np.diag(seqs), none, each])])
    ones, zeros = np.ones(len(graphs)), np.zeros(len(graphs))
    least = linprog(
        cost,
        A_ub=held,
        b_ub=np.zeros(len(held)),
        A_eq=np.array([np.concatenate([zeros, ones, zeros]), np.concatenate([zeros, zeros, ones])]),
        b_eq=[load.prompt_tokens, load.steps],
    )
    if not least.success:
        raise ServiceError(f"{model.model_id} on {model.chip}: no graph holds a prompt token and a request")
    return float(least.fun)


def rate_at_slo(
    lengths: Lengths,
    model: StepModel,
    slos: Sequence[Slo],
    *,
    n: int,
    seed: int,
    simulator: Simulator = simulate,
    tolerance: float = 0.01,
) -> ReplicaRate:
    """Bisection on the SLOs' quantiles with common random numbers, to `tolerance` of the rate; 0 below 1% of the bound.

    slos: limits from above on quantiles of ttft_s, tpot_s or e2e_s.
    """
    work = drawn_work(lengths, n, seed)
    alone = _simulated(at_rate(work, 1e-6), model, simulator)
    if missed := _worst_miss(alone, slos):
        return ReplicaRate(0.0, f"{missed} is missed by one call alone ({alone.p99s()})", alone.p99s())
    low, high = 0.0, throughput_bound_per_s(work, model)
    if not np.isfinite(high):
        raise ServiceError(f"{model.model_id} on {model.chip}: steps take no time; the step model is empty")
    at_low, binding = alone, "throughput of a full batch"
    bound = high
    while high - low > tolerance * high:
        if high < BOUND_SHARE_MIN * bound:
            return ReplicaRate(0.0, f"{binding} is met at no load above {high:.2g}/s a replica", at_low.p99s())
        middle = (low + high) / 2
        at_middle = _simulated(at_rate(work, middle), model, simulator)
        if missed := _worst_miss(at_middle, slos):
            high, binding = middle, str(missed)
        else:
            low, at_low = middle, at_middle
    return ReplicaRate(low, binding, at_low.p99s())


def _simulated(work: Requests, model: StepModel, simulator: Simulator) -> Latencies:
    return latencies(work, simulator(work, model), model)


def _worst_miss(times: Latencies, slos: Sequence[Slo]) -> Slo | None:
    """The SLO that is missed by most; None where all are met."""
    worst, slo = max(((times.quantile_s(slo) / slo.limit, slo) for slo in slos), key=lambda pair: pair[0])
    return slo if worst > 1 else None
