"""What a load tool reports of an engine: its client is simulated, with its opening burst, and the same means are taken.

A closed loop at concurrency C sends all C requests at once and another whenever one ends. To the engine that is a queue
that never empties and at most C requests at a time; a request's own clock starts when the one C places before it in the
order of endings is answered.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from capacity.simulator.engine import simulate
from capacity.simulator.requests import Floats, Ints, requests
from neuron_bench.step_model import StepModel

ROUNDS = 4
"""Simulated requests per client; those of the middle stand for all between the opening burst and the end."""
REQUESTS_MIN = 24
OPEN_REQUESTS = 400
"""Simulated requests of an open loop."""


@dataclass(frozen=True)
class LoadPoint:
    """One row of a published table: what was sent, and the means that came back; None where none is given.

    rounds: requests sent per client, the opening burst being the first. spread: lengths are uniform between this share
    of the largest and the largest. wave: all requests at once and none after them. rate_per_s: an open loop, to which
    concurrency is what was seen in flight, and no limit.
    """

    case: str
    concurrency: int
    input_tokens: float
    output_tokens: float
    ttft_s: float | None
    tpot_s: float | None
    output_tokens_per_s: float | None = None
    rounds: float = 10.0
    spread: float = 1.0
    wave: bool = False
    rate_per_s: float | None = None


@dataclass(frozen=True)
class Report:
    """What the tool would have reported."""

    ttft_s: float
    tpot_s: float
    output_tokens_per_s: float


def report(point: LoadPoint, model: StepModel, *, preempts: bool = False) -> Report:
    """Simulate the client of a load point; preempts: the engine admits by what a request holds now, as vLLM does.

    Raises:
        ServiceError: one request alone does not fit into the KV memory.
    """
    if point.rate_per_s is not None:
        return _open_loop(point, model, point.rate_per_s, preempts)
    clients = point.concurrency
    n = clients if point.wave else max(REQUESTS_MIN, ROUNDS * clients)
    prompt, answer = _lengths(point.input_tokens, point.spread, n, 1), _lengths(point.output_tokens, point.spread, n, 2)
    limited = replace(model, max_num_seqs=min(clients, model.max_num_seqs))
    served = simulate(requests(np.zeros(n), prompt, answer), limited, preempts=preempts)
    sent_s = np.zeros(n)
    sent_s[clients:] = np.sort(served.end_s)[: n - clients]
    ttft_s = served.first_s - sent_s + _front_s(model, prompt)
    gaps = np.maximum(answer - 1, 1)
    tpot_s = (served.end_s - served.first_s) / gaps + model.gap_overhead_s
    weight = np.ones(n) if point.wave else _weights(n, clients, point.rounds)
    ttft, tpot = float(np.average(ttft_s, weights=weight)), float(np.average(tpot_s, weights=weight))
    if point.wave:
        rate = float(answer.sum()) / (float(served.end_s.max()) + float(_front_s(model, prompt).max()))
    else:
        rate = clients * float(answer.mean()) / (ttft + (float(answer.mean()) - 1) * tpot)
    return Report(ttft, tpot, rate)


def _open_loop(point: LoadPoint, model: StepModel, rate_per_s: float, preempts: bool) -> Report:
    """Poisson arrivals, the same draws at every rate; the first eighth warms up and is not counted."""
    n = OPEN_REQUESTS
    prompt, answer = _lengths(point.input_tokens, point.spread, n, 1), _lengths(point.output_tokens, point.spread, n, 2)
    sent_s = np.cumsum(np.random.default_rng(3).exponential(1.0, n)) / rate_per_s
    served = simulate(requests(sent_s, prompt, answer), model, preempts=preempts)
    counted = slice(n // 8, None)
    ttft_s = (served.first_s - sent_s + _front_s(model, prompt))[counted]
    tpot_s = ((served.end_s - served.first_s) / np.maximum(answer - 1, 1) + model.gap_overhead_s)[counted]
    span_s = max(float(served.end_s.max()), float(sent_s[-1]))
    return Report(float(ttft_s.mean()), float(tpot_s.mean()), float(answer.sum()) / span_s)


def _front_s(model: StepModel, prompt: Ints) -> Floats:
    """What the server in front adds to a first token."""
    return model.ttft_overhead_s + model.ttft_overhead_s_per_token * prompt.astype(np.float64)


def _weights(n: int, clients: int, rounds: float) -> Floats:
    """The opening burst counts once, the last round as far as there was one, the others as often as they were sent."""
    weight = np.full(n, 1.0)
    weight[n - clients :] = min(max(rounds - 1, 0.0), 1.0)
    between = n - 2 * clients
    if between > 0:
        weight[clients : n - clients] = max(rounds - 2, 0.0) * clients / between
    weight[:clients] = 1.0
    return weight


def _lengths(largest_mean: float, spread: float, n: int, seed: int) -> Ints:
    """Lengths with this mean, uniform between `spread` of the largest and the largest; the same for every point."""
    if spread >= 1:
        return np.full(n, max(1, round(largest_mean)), dtype=np.int64)
    top = 2 * largest_mean / (1 + spread)
    draws = np.random.default_rng(seed).permutation((np.arange(n) + 0.5) / n)
    return np.maximum(1, np.rint(top * (spread + (1 - spread) * draws))).astype(np.int64)
