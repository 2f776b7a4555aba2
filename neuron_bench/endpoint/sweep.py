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
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import numpy as np

from host.energy import EnergyMeter, energy_meter
from host.environment import host_facts
from host.ports import is_loopback_url
from neuron_bench import checks
from neuron_bench.device import telemetry
from neuron_bench.device.chips import chip_on, device_of, resolve_chip
from neuron_bench.device.probe import has_device
from neuron_bench.endpoint import server_metrics
from neuron_bench.endpoint.client import EndpointError, Server, Stream, complete, connector_to, describe, scrape
from neuron_bench.endpoint.loads import ROUNDS, Load, LoadAxes, decode, held_by, suite_loads
from neuron_bench.errors import BenchError, BenchUsageError
from neuron_bench.progress import Clock, Progress
from neuron_bench.record import CaseRow, write_bench
from neuron_bench.trace.measure import median_interval
from wire.http_response import HEAD_BYTES_MAX

PREFILLS_PER_BURST = 3
SILENT_S, ANSWER_WITHIN_S = 600.0, 1_800.0
"""Between two reads of an answer, and of all of it: a first graph compiles for minutes."""
TOKEN_IDS = (100, 1000)
"""Prompts are drawn from these ids: in every vocabulary, never a special token. Fresh draws share no prefix."""


@dataclass(frozen=True)
class EndpointSpec:
    """What to sweep. The server cannot say which chip it runs on: chip, tp and the like are the caller's word.

    device: None follows from the chip. server_host: where the server runs, if its URL is a tunnel to it.
    """

    url: str
    model: str | None = None
    suite: str = "quick"
    seed: int = 1
    device: str | None = None
    chip: str | None = None
    instance_type: str | None = None
    chips_used: float | None = None
    tp: int | None = None
    dtype: str | None = None
    weights_random: bool | None = None
    server_host: str | None = None
    lengths: tuple[int, ...] = ()
    contexts: tuple[int, ...] = ()
    users: tuple[int, ...] = ()
    rounds: int | None = None
    loads: tuple[Load, ...] = ()
    served: tuple[str, ...] = ()  # the command that a matrix started it with
    admitted: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Host -> addresses, as the guard resolved them; a host that can only be this machine needs none."""

    @property
    def rounds_wanted(self) -> int:
        """Rounds through every load."""
        return self.rounds or ROUNDS[self.suite]


@dataclass
class Sweep:
    """One load as it is measured: streams by burst, and decode steps by burst (seconds each, context of each)."""

    load: Load
    bursts: list[list[Stream]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    errors: dict[str, int] = field(default_factory=dict)
    joules: list[float] = field(default_factory=list)  # of each burst; none where no counter can be read

    @property
    def streams(self) -> list[Stream]:
        """Of all bursts."""
        return [stream for burst in self.bursts for stream in burst]

    @property
    def why_missing(self) -> str:
        """The reason it has no row."""
        return "; ".join(sorted(self.errors)) or "stopped before its first burst"


@dataclass
class _Progress:
    """How far a sweep has come: what Ctrl-C leaves."""

    meter: EnergyMeter
    server: Server | None = None
    sweeps: list[Sweep] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    metrics_before: str = ""
    metrics_after: str = ""
    through: bool = False


def run(spec: EndpointSpec, folder: Path, *, progress: Progress | None = None, dev: Path = Path("/dev")) -> Path:
    """Sweep and write the record at `folder`. Ctrl-C keeps the loads that have been measured so far.

    Raises:
        DeviceError: no server there (5). BenchUsageError: a chip that this server cannot be running on (2).
        BenchError: nothing could be measured.
    """
    if spec.suite not in ROUNDS:
        raise BenchUsageError(f"suite {spec.suite!r}: expected one of {', '.join(ROUNDS)}")
    spec = _placed(spec, dev)
    started = datetime.now(UTC)
    here = spec.device if spec.device and is_loopback_url(spec.url) and has_device(spec.device, dev) else "cpu"
    state = _Progress(energy_meter() if is_loopback_url(spec.url) and spec.server_host is None else EnergyMeter(()))
    with telemetry.Sampler(here) as machine:
        try:
            asyncio.run(_sweep_all(spec, state, progress))
        except KeyboardInterrupt:
            if state.server is None:
                raise
    done = [sweep for sweep in state.sweeps if sweep.bursts]
    if state.server is None or not done:
        reasons = sorted({error for sweep in state.sweeps for error in sweep.errors})
        raise BenchError(f"endpoint {spec.url}: nothing was measured: {'; '.join(reasons) or 'stopped at once'}")
    base = _base(spec, state.server, started)
    rows = [_row(sweep, spec, base) for sweep in done]
    info = _info(spec, state, state.server, folder, started)
    samples = [sample for sweep in done for sample in _samples(sweep)]
    return write_bench(folder, info, rows, samples=samples, telemetry=machine.rows)


def _placed(spec: EndpointSpec, dev: Path) -> EndpointSpec:
    """The spec with one name for its chip, and the device that follows from it.

    Raises:
        BenchUsageError: an unknown chip, one that the named device is not, or a server on this machine, which has none.
    """
    if spec.chip is None:
        return spec
    chip = resolve_chip(spec.chip)
    device = spec.device or device_of(chip)
    chip_on(device, chip)
    if is_loopback_url(spec.url) and spec.server_host is None and not has_device(device, dev):
        raise BenchUsageError(
            f"chip {chip}: {spec.url} is on this machine, which has no {device} device; leave --chip out, or name the "
            "machine with --server-host where the URL is a tunnel to it"
        )
    return replace(spec, chip=chip, device=device)


async def _sweep_all(spec: EndpointSpec, state: _Progress, progress: Progress | None) -> None:
    draw = np.random.default_rng(spec.seed)
    timeout = aiohttp.ClientTimeout(total=ANSWER_WITHIN_S, connect=10, sock_read=SILENT_S)
    connector = connector_to(spec.url, spec.admitted)
    async with aiohttp.ClientSession(
        timeout=timeout, connector=connector, max_line_size=HEAD_BYTES_MAX, max_field_size=HEAD_BYTES_MAX
    ) as http:
        server = await describe(http, spec.url, spec.model)
        wanted = list(spec.loads) or suite_loads(spec.suite, LoadAxes(spec.lengths, spec.contexts, spec.users))
        loads, state.skipped = held_by(wanted, server.context_tokens)
        if not loads:
            raise BenchUsageError(f"endpoint {spec.url}: no load fits: {next(iter(state.skipped.values()))}")
        sweeps = [Sweep(load) for load in loads]
        await _burst(http, server, decode(4, 64, 16), draw)  # the server's first steps allocate and compile
        state.server, state.sweeps = server, sweeps
        state.metrics_before = await scrape(http, server)
        clock = Clock(progress, total=spec.rounds_wanted * len(sweeps))
        for _round in range(spec.rounds_wanted):
            for place in draw.permutation(len(sweeps)):
                clock.tick(sweeps[place].load.label)
                await _measure(http, server, sweeps[place], draw, state.meter)
        state.metrics_after = await scrape(http, server)
        state.through = True


async def _measure(
    http: aiohttp.ClientSession, server: Server, sweep: Sweep, draw: np.random.Generator, meter: EnergyMeter
) -> None:
    try:
        begun, before_j = time.perf_counter(), meter.spent_j()
        burst = await _burst(http, server, sweep.load, draw)
        if sweep.load.phase == "decode":
            step_times(burst)  # a burst without a step of all requests is an error now, not when rows are written
        sweep.bursts.append(burst)
        sweep.seconds.append(time.perf_counter() - begun)
        if after_j := meter.spent_j():
            sweep.joules.append(sum(after_j.values()) - sum(before_j.values()))
    except EndpointError as error:
        sweep.errors[str(error)] = sweep.errors.get(str(error), 0) + 1


async def _burst(http: aiohttp.ClientSession, server: Server, load: Load, draw: np.random.Generator) -> list[Stream]:
    """One go of a load: all its streams."""

    def ask() -> Awaitable[Stream]:
        prompt = draw.integers(*TOKEN_IDS, size=load.input_tokens).tolist()
        return complete(http, server, prompt, load.output_tokens)

    if load.phase == "prefill":
        return [await ask() for _ in range(PREFILLS_PER_BURST)]
    if load.phase == "decode":
        return list(await asyncio.gather(*(ask() for _ in range(load.users))))
    return [stream for user in await asyncio.gather(*(_user(ask) for _ in range(load.users))) for stream in user]


async def _user(ask: Callable[[], Awaitable[Stream]], answers: int = 4) -> list[Stream]:
    """A closed-loop user: so many answers, one after another."""
    return [await ask() for _ in range(answers)]


@dataclass(frozen=True)
class StepTimes:
    """What a decode burst says: seconds a token, the mean context of a request, tokens counted."""

    seconds: float
    context_tokens: float
    steps: int


def step_times(burst: Sequence[Stream]) -> StepTimes:
    """Of a decode burst, while all of its requests decode.

    The window opens when the last of them has its first token and closes when the first of them ends. In it the time
    between two arrivals of a request is shared by the tokens of the later one, however many came with it.

    Raises:
        EndpointError: no such window, or tokens that all came in one read.
    """
    opens = max(stream.token_s[0] for stream in burst)
    closes = min(stream.token_s[-1] for stream in burst)
    per_request, contexts, steps = [], [], 0
    for stream in burst:
        inside = [(stamp, total) for stamp, total in stream.arrivals if opens <= stamp <= closes]
        if len(stream.arrivals) < 2:
            raise EndpointError(
                "decode burst in one read: all tokens of an answer came at once; does a proxy buffer it?"
            )
        if len(inside) < 2:
            raise EndpointError("decode burst too short: its requests never decoded all together")
        (first_s, first), (last_s, last) = inside[0], inside[-1]
        per_request.append((last_s - first_s) / (last - first))
        contexts.append(stream.input_tokens + (first + last) / 2)
        steps = max(steps, last - first)
    return StepTimes(float(np.mean(per_request)), float(np.mean(contexts)), steps)


def _base(spec: EndpointSpec, server: Server, started: datetime) -> CaseRow:
    """Columns that every row of this bench shares."""
    return CaseRow(
        record_id="",
        provenance="simulated" if server.simulated else "measured",
        source_url=server.url,
        created_utc=started.isoformat(timespec="seconds"),
        device_kind=spec.device,
        method="endpoint",
        chip=spec.chip,
        instance_type=spec.instance_type,
        chips_used=spec.chips_used,
        cores_used=spec.tp,
        versions=json.dumps({"engine": server.version}),
        model_id=server.model,
        dtypes=spec.dtype,
        weights_random=spec.weights_random,
        tp=spec.tp,
        load1=os.getloadavg()[0],
    )


def _row(sweep: Sweep, spec: EndpointSpec, base: CaseRow) -> CaseRow:
    load, streams = sweep.load, sweep.streams
    timing = {"prefill": _prefill, "decode": _decode, "serve": _serve}[load.phase](sweep)
    cached = float(np.mean([stream.cached_tokens for stream in streams]))
    failed = sum(sweep.errors.values())
    per_event = load.output_tokens / float(np.mean([stream.events for stream in streams]))
    flags = {
        "quick": spec.suite == "quick",
        "few_samples": len(sweep.bursts) + failed < spec.rounds_wanted,
        "some_failed": failed > 0,
        "prefix_cache_hit": cached > 0,
        "prompt_length_differs": any(stream.input_tokens != load.input_tokens for stream in streams),
        "chip_not_stated": base.provenance == "measured" and base.chip is None and base.device_kind != "cpu",
    }
    raised = [checks.raised(flags), *sorted({stream.flag for stream in streams if stream.flag})]
    joules_per_token = _joules_per_token(sweep)
    row = replace(
        base,
        record_id=load.label,
        label=load.label if per_event < 1.05 else f"{load.label}, {per_event:.1f} tokens an event",
        phase=load.phase,
        input_tokens=load.input_tokens,
        output_tokens=load.output_tokens,
        cached_tokens=cached,
        concurrency=load.users,
        errors=json.dumps(sweep.errors) if failed else None,
        flags=";".join(flag for flag in raised if flag),
        joules_per_output_token=joules_per_token,
        output_tokens_per_s_per_watt=1 / joules_per_token if joules_per_token else None,
    )
    return row.with_columns(timing)


def _joules_per_token(sweep: Sweep) -> float | None:
    """Of whole bursts, prompts included, over the tokens that came in them."""
    tokens, joules = sum(len(stream.token_s) for stream in sweep.streams), sum(sweep.joules)
    return joules / tokens if joules and len(sweep.joules) == len(sweep.bursts) else None


_WALL = ("min", "p50", "p90", "p95", "p99", "mean")
_LATENCY = ("p50", "p90", "p99", "mean")


def _quantiles(prefix: str, values: Sequence[float], names: Sequence[str]) -> dict[str, float]:
    """Columns of a latency; none where nothing was seen."""
    if not values:
        return {}
    figures = {f"p{q}": float(np.quantile(values, q / 100)) for q in (50, 90, 95, 99)}
    figures |= {"mean": float(np.mean(values)), "min": float(np.min(values))}
    return {f"{prefix}_{name}": figures[name] for name in names}


def _prefill(sweep: Sweep) -> dict[str, object]:
    ttfts = [stream.ttft_s for stream in sweep.streams]
    low, high = median_interval([np.array([s.ttft_s for s in burst]) for burst in sweep.bursts], seed=0)
    return {
        "batch": 1,
        "context_tokens": 0,
        "n_samples": len(ttfts),
        "duration_s": sum(ttfts),
        **_quantiles("wall_s", ttfts, _WALL),
        **_quantiles("ttft_s", ttfts, _LATENCY),
        "wall_s_p50_lo": low,
        "wall_s_p50_hi": high,
    }


def _decode(sweep: Sweep) -> dict[str, object]:
    steps = [step_times(burst) for burst in sweep.bursts]
    times = [step.seconds for step in steps]
    low, high = median_interval([np.array([seconds]) for seconds in times], seed=0)
    return {
        "batch": sweep.load.users,
        "context_tokens": float(np.mean([step.context_tokens for step in steps])),
        "n_samples": sum(step.steps for step in steps),
        "duration_s": sum(step.seconds * step.steps for step in steps),
        **_quantiles("wall_s", times, _WALL),
        **_quantiles("tpot_s", times, _LATENCY),
        "wall_s_p50_lo": low,
        "wall_s_p50_hi": high,
        "output_tokens_per_s": sweep.load.users / float(np.median(times)),
    }


def _serve(sweep: Sweep) -> dict[str, object]:
    streams, seconds = sweep.streams, sum(sweep.seconds)
    gaps = [stream.tpot_s for stream in streams if stream.tpot_s is not None]
    return {
        "n_samples": len(streams),
        "duration_s": seconds,
        **_quantiles("wall_s", [stream.e2e_s for stream in streams], _WALL),
        **_quantiles("ttft_s", [stream.ttft_s for stream in streams], _LATENCY),
        **_quantiles("tpot_s", gaps, _LATENCY),
        "requests_per_s": len(streams) / seconds,
        "output_tokens_per_s": sum(len(stream.token_s) for stream in streams) / seconds,
    }


def _samples(sweep: Sweep) -> list[dict[str, object]]:
    return [
        {"record_id": sweep.load.label, "turn": turn, "wall_s": s.e2e_s, "ttft_s": s.ttft_s, "tpot_s": s.tpot_s}
        for turn, burst in enumerate(sweep.bursts)
        for s in burst
    ]


def _info(spec: EndpointSpec, state: _Progress, server: Server, folder: Path, started: datetime) -> dict[str, object]:
    unfinished = {sweep.load.label: sweep.why_missing for sweep in state.sweeps if not sweep.bursts}
    limits = server_metrics.engine_limits(state.metrics_before)
    return {
        "bench_id": folder.name,
        "state": "interrupted" if not state.through else "unfinished" if unfinished else "finished",
        "unfinished": unfinished,
        "skipped": state.skipped,
        "started_utc": started.isoformat(timespec="seconds"),
        "finished_utc": datetime.now(UTC).isoformat(timespec="seconds"),
        "server": {"url": server.url, "model": server.model, "context_tokens": server.context_tokens}
        | {"host": spec.server_host, "simulated": server.simulated},
        "engine": limits.engine,
        "engine_version": server.version,
        "engine_limits": asdict(limits),
        "host": host_facts(),
        "suite": spec.suite,
        "seed": spec.seed,
        "server_metrics": server_metrics.grown(state.metrics_before, state.metrics_after),
        "flags": ["quick: not for plans"] if spec.suite == "quick" else [],
    }
