"""`bench run --method endpoint`: prefill, decode and serve sweeps over any OpenAI-compatible server.

Rounds of bursts in random order. Prefill: one request at a time, a fresh random prompt, one token out, so that its TTFT
is a prefill step and the way there. Decode: B requests at once; steps count only while all B decode. Serve: c users who
ask again at once.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np

from host.environment import host_facts
from neuron_bench import checks
from neuron_bench.device import telemetry
from neuron_bench.endpoint import server_metrics
from neuron_bench.endpoint.client import EndpointError, Server, Stream, complete, look, scrape
from neuron_bench.errors import BenchError, BenchUsageError
from neuron_bench.record import write_bench
from neuron_bench.trace.cases import Clock, Progress
from neuron_bench.trace.measure import median_interval

PREFILLS_PER_BURST = 3
TOKEN_IDS = (100, 1000)
"""Prompts are drawn from these ids: in every vocabulary, never a special token. Fresh draws share no prefix."""


@dataclass(frozen=True)
class Load:
    """One case. For prefill `output_tokens` is 1 and `users` 1."""

    phase: str
    users: int
    input_tokens: int
    output_tokens: int

    @property
    def label(self) -> str:
        """Short name, unique in a bench."""
        return f"{self.phase}-u{self.users}-in{self.input_tokens}-out{self.output_tokens}"


@dataclass(frozen=True)
class EndpointSpec:
    """What to sweep. The server cannot say which chip it runs on: chip, tp and the like are the caller's word."""

    url: str
    model: str | None = None
    suite: str = "quick"
    seed: int = 1
    device: str = "neuron"
    chip: str | None = None
    instance_type: str | None = None
    chips_used: float | None = None
    tp: int | None = None
    dtype: str | None = None
    weights_random: bool | None = None
    loads: tuple[Load, ...] = ()
    rounds: int | None = None


def prefill(tokens: int) -> Load:
    """A prompt of so many tokens, one token out."""
    return Load("prefill", 1, tokens, 1)


def decode(users: int, context: int, output_tokens: int = 48) -> Load:
    """So many requests decoding together after a prompt of `context` tokens."""
    return Load("decode", users, context, output_tokens)


def serve(users: int, input_tokens: int = 256, output_tokens: int = 64) -> Load:
    """Users who send their next request when an answer ends."""
    return Load("serve", users, input_tokens, output_tokens)


def suite_loads(suite: str, context_tokens: int | None) -> list[Load]:
    """The loads of a suite, none longer than the server's context."""
    latency = [prefill(n) for n in (32, 64, 128, 256, 384, 512, 768, 1024, 1536, 2048, 3072)]
    steps = [decode(users, context) for users in (1, 2, 4, 8, 16) for context in (128, 512, 1536)]
    grids = {
        "quick": [prefill(64), prefill(512), decode(1, 256), decode(4, 256)],
        "latency": latency + [decode(1, context) for context in (128, 512, 1536)],
        "throughput": steps + [serve(users) for users in (1, 2, 4, 8, 16)],
        "full": latency + steps + [serve(users) for users in (1, 4, 16)],
    }
    if suite not in grids:
        raise BenchUsageError(f"suite {suite!r}: expected one of {', '.join(grids)}")
    limit = context_tokens or float("inf")
    return [load for load in grids[suite] if load.input_tokens + load.output_tokens <= limit]


ROUNDS = {"quick": 3, "latency": 8, "throughput": 5, "full": 5}


@dataclass
class Sweep:
    """One load as it is measured: streams by burst, and decode steps by burst (seconds each, context of each)."""

    load: Load
    bursts: list[list[Stream]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    errors: dict[str, int] = field(default_factory=dict)


def run(spec: EndpointSpec, folder: Path, *, progress: Progress | None = None) -> Path:
    """Sweep and write the record at `folder`. Ctrl-C keeps the loads that have been through every round so far.

    Raises:
        DeviceError: no server there (5). BenchError: nothing could be measured.
    """
    started = datetime.now(UTC)
    state: dict[str, Any] = {"sweeps": [], "metrics": ["", ""], "state": "interrupted"}
    with telemetry.Sampler(spec.device) as machine:
        try:
            asyncio.run(_sweep_all(spec, state, progress))
        except KeyboardInterrupt:
            if "server" not in state:
                raise
    done = [sweep for sweep in state["sweeps"] if sweep.bursts]
    if not done:
        reasons = sorted({error for sweep in state["sweeps"] for error in sweep.errors})
        raise BenchError(f"endpoint {spec.url}: nothing was measured: {'; '.join(reasons) or 'stopped at once'}")
    rows = [_row(sweep, spec, state["server"], started) for sweep in done]
    samples = [sample for sweep in done for sample in _samples(sweep)]
    info = _info(spec, state, folder, started)
    return write_bench(folder, info, rows, samples=samples, telemetry=machine.rows)


async def _sweep_all(spec: EndpointSpec, state: dict[str, Any], progress: Progress | None) -> None:
    draw = np.random.default_rng(spec.seed)
    timeout = aiohttp.ClientTimeout(total=None, connect=10, sock_read=600)
    async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as http:
        server = await look(http, spec.url, spec.model)
        loads = list(spec.loads) or suite_loads(spec.suite, server.context_tokens)
        sweeps = [Sweep(load) for load in loads]
        await _burst(http, server, Load("decode", 4, 64, 16), draw)  # the server's first steps allocate and compile
        state |= {"server": server, "sweeps": sweeps}
        state["metrics"][0] = await scrape(http, server)
        rounds = spec.rounds or ROUNDS[spec.suite]
        clock = Clock(progress, total=rounds * len(sweeps))
        for place in range(rounds * len(sweeps)):
            if place % len(sweeps) == 0:
                order = draw.permutation(len(sweeps))
            sweep = sweeps[order[place % len(sweeps)]]
            clock.tick(sweep.load.label)
            await _measure(http, server, sweep, draw)
        state["metrics"][1] = await scrape(http, server)
        state["state"] = "finished"


async def _measure(http: aiohttp.ClientSession, server: Server, sweep: Sweep, draw: np.random.Generator) -> None:
    try:
        begun = time.perf_counter()
        burst = await _burst(http, server, sweep.load, draw)
        if sweep.load.phase == "decode":
            step_times(burst)  # a burst without a step of all requests is an error now, not when rows are written
        sweep.bursts.append(burst)
        sweep.seconds.append(time.perf_counter() - begun)
    except EndpointError as error:
        sweep.errors[str(error)] = sweep.errors.get(str(error), 0) + 1


async def _burst(http: aiohttp.ClientSession, server: Server, load: Load, draw: np.random.Generator) -> list[Stream]:
    """One go of a load: all its streams."""

    def ask() -> Any:
        prompt = draw.integers(*TOKEN_IDS, size=load.input_tokens).tolist()
        return complete(http, server, prompt, load.output_tokens)

    if load.phase == "prefill":
        return [await ask() for _ in range(PREFILLS_PER_BURST)]
    if load.phase == "decode":
        return list(await asyncio.gather(*(ask() for _ in range(load.users))))
    return [stream for user in await asyncio.gather(*(_user(ask) for _ in range(load.users))) for stream in user]


async def _user(ask: Callable[[], Any], answers: int = 4) -> list[Stream]:
    """A closed-loop user: so many answers, one after another."""
    return [await ask() for _ in range(answers)]


def step_times(burst: Sequence[Stream]) -> tuple[float, float, int]:
    """(seconds a step, mean context of a request, steps) of a decode burst, while all of its requests decode.

    The window opens when the last of them has its first token and closes when the first of them ends.
    """
    opens = max(stream.token_s[0] for stream in burst)
    closes = min(stream.token_s[-1] for stream in burst)
    per_request, contexts, steps = [], [], 0
    for stream in burst:
        inside = [k for k, stamp in enumerate(stream.token_s) if opens <= stamp <= closes]
        if len(inside) < 2:
            raise EndpointError("decode burst too short: its requests never decoded all together")
        first, last = inside[0], inside[-1]
        per_request.append((stream.token_s[last] - stream.token_s[first]) / (last - first))
        contexts.append(stream.input_tokens + (first + last) / 2 + 1)
        steps = max(steps, last - first)
    return float(np.mean(per_request)), float(np.mean(contexts)), steps


def _row(sweep: Sweep, spec: EndpointSpec, server: Server, started: datetime) -> dict[str, Any]:
    load, streams = sweep.load, [stream for burst in sweep.bursts for stream in burst]
    timing = {"prefill": _prefill, "decode": _decode, "serve": _serve}[load.phase](sweep, streams)
    cached = float(np.mean([stream.cached_tokens for stream in streams]))
    failed = sum(sweep.errors.values())
    flags = {
        "quick": spec.suite == "quick",
        "some_failed": failed > 0,
        "prefix_cache_hit": cached > 0,
        "prompt_length_differs": any(stream.input_tokens != load.input_tokens for stream in streams),
    }
    row = {
        "record_id": load.label,
        "label": load.label,
        "provenance": "measured",
        "source_url": server.url,
        "created_utc": started.isoformat(timespec="seconds"),
        "device_kind": spec.device,
        "method": "endpoint",
        "chip": spec.chip,
        "instance_type": spec.instance_type,
        "chips_used": spec.chips_used,
        "versions": json.dumps({"engine": server.version}),
        "model_id": server.model,
        "dtypes": spec.dtype,
        "weights_random": spec.weights_random,
        "tp": spec.tp,
        "phase": load.phase,
        "input_tokens": load.input_tokens,
        "output_tokens": load.output_tokens,
        "cached_tokens": cached,
        "concurrency": load.users,
        "load1": os.getloadavg()[0],
        "errors": json.dumps(sweep.errors) if failed else None,
        "flags": checks.raised(flags),
    }
    return row | timing


def _quantiles(prefix: str, values: Sequence[float], names: Sequence[str]) -> dict[str, float]:
    found = {f"p{q}": float(np.quantile(values, q / 100)) for q in (50, 90, 95, 99)}
    found |= {"mean": float(np.mean(values)), "min": float(np.min(values))}
    return {f"{prefix}_{name}": found[name] for name in names}


_LATENCY = ("p50", "p90", "p99", "mean")


def _prefill(sweep: Sweep, streams: Sequence[Stream]) -> dict[str, Any]:
    ttfts = [stream.ttft_s for stream in streams]
    low, high = median_interval([np.array([s.ttft_s for s in burst]) for burst in sweep.bursts], seed=0)
    return {
        "batch": 1,
        "context_tokens": 0,
        "n_samples": len(ttfts),
        "duration_s": sum(ttfts),
        **_quantiles("wall_s", ttfts, ("min", "p50", "p90", "p95", "p99", "mean")),
        **_quantiles("ttft_s", ttfts, _LATENCY),
        "wall_s_p50_lo": low,
        "wall_s_p50_hi": high,
    }


def _decode(sweep: Sweep, streams: Sequence[Stream]) -> dict[str, Any]:
    steps = [step_times(burst) for burst in sweep.bursts]
    times = [seconds for seconds, _, _ in steps]
    low, high = median_interval([np.array([seconds]) for seconds in times], seed=0)
    return {
        "batch": sweep.load.users,
        "context_tokens": float(np.mean([context for _, context, _ in steps])),
        "n_samples": sum(count for _, _, count in steps),
        "duration_s": sum(seconds * count for seconds, _, count in steps),
        **_quantiles("wall_s", times, ("min", "p50", "p90", "p95", "p99", "mean")),
        **_quantiles("tpot_s", times, _LATENCY),
        "wall_s_p50_lo": low,
        "wall_s_p50_hi": high,
        "output_tokens_per_s": sweep.load.users / float(np.median(times)),
    }


def _serve(sweep: Sweep, streams: Sequence[Stream]) -> dict[str, Any]:
    gaps = [stream.tpot_s for stream in streams if stream.tpot_s is not None]
    seconds = sum(sweep.seconds)
    return {
        "n_samples": len(streams),
        "duration_s": seconds,
        **_quantiles("wall_s", [stream.e2e_s for stream in streams], ("min", "p50", "p90", "p95", "p99", "mean")),
        **_quantiles("ttft_s", [stream.ttft_s for stream in streams], _LATENCY),
        **_quantiles("tpot_s", gaps, _LATENCY),
        "requests_per_s": len(streams) / seconds,
        "output_tokens_per_s": sum(len(stream.token_s) for stream in streams) / seconds,
    }


def _samples(sweep: Sweep) -> list[dict[str, Any]]:
    return [
        {"record_id": sweep.load.label, "turn": turn, "wall_s": s.e2e_s, "ttft_s": s.ttft_s, "tpot_s": s.tpot_s}
        for turn, burst in enumerate(sweep.bursts)
        for s in burst
    ]


def _info(spec: EndpointSpec, state: dict[str, Any], folder: Path, started: datetime) -> dict[str, Any]:
    server: Server = state["server"]
    return {
        "bench_id": folder.name,
        "state": state["state"],
        "started_utc": started.isoformat(timespec="seconds"),
        "finished_utc": datetime.now(UTC).isoformat(timespec="seconds"),
        "server": {"url": server.url, "model": server.model, "context_tokens": server.context_tokens},
        "engine_version": server.version,
        "host": host_facts(),
        "suite": spec.suite,
        "seed": spec.seed,
        "server_metrics": server_metrics.joined(*state["metrics"]),
        "flags": ["quick: not for plans"] if spec.suite == "quick" else [],
    }
