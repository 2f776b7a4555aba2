"""Calibration on random engines: does it predict what it was not fitted to, or refuse? `python -m study engines`.

Every engine has coefficients drawn log-uniform over decades around those of CPUs, GPUs and Neuron chips, and limits of
requests, KV memory and step tokens that bind or do not. Its rate sweep is light only, to the knee, or past saturation,
with one or two length mixes; every time scatters by 2% to 20%, and the machine's pace drifts by up to 10% between load
steps. The calibration must read the limits; sizes of padded graphs and the drift are stated. Predictions are held
against the engine itself at its own pace, without scatter; a load step beyond what the step model says it knows
(`known_per_s`) is not predicted, and counts as refused where both are.

`--histograms` scrapes the engine too: its own mean queue and prefill come with each load step. `--hidden 0.5` has half
of all prompt tokens found in a prefix cache, which the client does not see: the same share of every prompt, or with
`--some` nine tenths of some prompts and nothing of others; `--counters` scrapes how many those were.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path

import numpy as np

from capacity.calibration.backtest import Coverage, coverage_interval
from capacity.calibration.certainty import SIGMAS, TOLERANCE
from capacity.calibration.fit import Identity, calibrate
from capacity.calibration.hits import as_measured
from capacity.calibration.limits import CalibrationError, EngineLimits
from capacity.calibration.observed import EngineTimes, Observed
from capacity.calibration.prediction import BEYOND, extrapolations, measured_figures, predict_figures, rate_error
from capacity.calibration.search import empty_buckets, served, values_of, with_values
from capacity.simulator.engine import simulate
from capacity.simulator.rate_at_slo import Lengths, rate_at_slo
from capacity.simulator.requests import Floats, Requests, requests
from neuron_bench.step_model import Coefficients, StepModel
from slo.slo import Slo

SEED = 20261129
RANGES = {
    "cpu": ((5e-3, 5e-2), (1e-4, 1e-3), (1e-9, 2e-7), (1e-4, 3e-3), (1e-8, 2e-6), (5e-3, 5e-2)),
    "gpu": ((4e-3, 4e-2), (5e-6, 1e-4), (1e-10, 1e-8), (2e-5, 5e-4), (1e-9, 1e-7), (2e-3, 3e-2)),
    "neuron": ((8e-3, 5e-2), (3e-5, 4e-4), (1e-10, 1e-8), (1e-5, 5e-4), (1e-9, 1e-7), (5e-3, 5e-2)),
}
"""Seconds, in the order a, b, e, c, d, overhead."""
SWEEPS = {"light": (0.15, 0.3, 0.45), "knee": (0.3, 0.6, 0.9), "saturated": (0.3, 0.7, 1.2)}
HELD_OUT = (0.5, 0.8)
"""Shares of the knee; both below 0.85."""
DRIFT = 0.1
"""Of the machine's pace between load steps, end to end: stated to the calibration."""
Z_90 = 1.6449
CALLS, HELD_OUT_CALLS = 400, 1_500
BLOCK_TOKENS = 16
TOKEN_BUCKETS, SEQ_BUCKETS = (128, 512, 2048), (1, 4, 16, 64, 256)
BAR, CAPACITY_BAR, SHARE_BAR = 0.05, 0.05, 0.97
WHOLE_HIT = 0.9
"""Of a prompt, where some prompts are found in the prefix cache and others are not."""


@dataclass(frozen=True)
class Setting:
    """What is known of an engine beside what its client sees, and what is not.

    histograms: its own mean queue and prefill of each load step. hidden: share of prompt tokens found in a prefix cache
    that no client sees, of every prompt or (some) of some prompts. counters: the engine says what share. seed: of the
    engines, their sweeps and the other day.
    """

    histograms: bool = False
    hidden: float = 0.0
    some: bool = False
    counters: bool = False
    seed: int = SEED


PLAIN = Setting()


@dataclass(frozen=True)
class Engine:
    """One random engine, how it is measured, and how noisily."""

    number: int
    kind: str
    model: StepModel
    lengths: tuple[float, float]
    knee_per_s: float
    sweep: str
    mixes: int
    noise: float
    padded: bool
    setting: Setting = PLAIN


@dataclass(frozen=True)
class Verdict:
    """What became of one engine. errors: the worst of TPOT p50 and TTFT p50 over the held-out load steps it predicts.

    steps: how many those are. inside: of their figures, those whose stated 90% range holds a measurement on another
    day. capacity_half: of the 90% range of the capacity, as a logarithm. capacity_error: None where it is not known.
    terms: logarithms of fitted over true, of a, b and the front end's time.
    """

    engine: Engine
    refused: str | None
    tpot_error: float = 0.0
    ttft_error: float = 0.0
    capacity_error: float | None = 0.0
    steps: int = 0
    inside: int = 0
    capacity_half: float = 0.0
    terms: tuple[float, ...] = ()

    @property
    def bar(self) -> float:
        """Error allowed: 5%, or twice the scatter of single times."""
        return max(BAR, 2 * self.engine.noise)

    @property
    def within(self) -> bool:
        """Both held-out errors are within the bar."""
        return max(abs(self.tpot_error), abs(self.ttft_error)) <= self.bar

    @property
    def capacity_inside(self) -> bool:
        """The true capacity lies in the stated range."""
        if self.capacity_error is None:
            return False
        return abs(math.log1p(self.capacity_error)) <= self.capacity_half


def draw_engine(number: int, setting: Setting = PLAIN) -> Engine:
    """The engine of a number, always the same; prefix hits move its knee."""
    rng = np.random.default_rng([setting.seed, number])
    kind = str(rng.choice(list(RANGES)))
    values = np.array([np.exp(rng.uniform(np.log(low), np.log(high))) for low, high in RANGES[kind]])
    lengths = (
        float(np.exp(rng.uniform(np.log(100), np.log(1500)))),
        float(np.exp(rng.uniform(np.log(30), np.log(300)))),
    )
    padded = bool(rng.random() < 0.25)
    seqs = int(2 ** rng.uniform(2, 8))
    held = sum(lengths) * seqs
    kv = max(int(held * rng.uniform(0.3, 0.8)), 8_000) if rng.random() < 1 / 3 else int(4 * held + 20_000)
    base = StepModel(
        model_id=f"engine-{number}",
        chip=kind,
        tp=1,
        chips_per_replica=1.0,
        buckets=empty_buckets(TOKEN_BUCKETS, SEQ_BUCKETS) if padded else (Coefficients(1e-3, 0.0, 0.0, 0.0, 0.0),),
        max_num_seqs=min(seqs, 256),
        max_batched_tokens=2048 if padded else int(rng.choice([512, 2048, 8192])),
        block_tokens=BLOCK_TOKENS,
        kv_blocks=max(kv // BLOCK_TOKENS, 1),
        ttft_overhead_s=0.0,
        gap_overhead_s=0.0,
        provenance="simulated",
        relative_error=0.0,
        engine="random",
        version="1",
        date="2026-11-29",
        source="python -m study engines",
    )
    model = with_values(base, values)
    engine = Engine(
        number, kind, model, lengths, 0.0, str(rng.choice(list(SWEEPS))), int(rng.integers(1, 3)),
        float(rng.uniform(0.02, 0.2)), padded, setting,
    )  # fmt: skip
    return replace(engine, knee_per_s=_knee(engine))


def _knee(engine: Engine) -> float:
    """Calls a second that a full queue is worked off with."""
    work = _work(engine, 1e6, 600, np.random.default_rng(1))
    ends_s = np.sort(simulate(work, engine.model).end_s)
    return float(300 / (ends_s[450] - ends_s[150]))


def _work(engine: Engine, rate_per_s: float, n: int, rng: np.random.Generator, factor: float = 1.0) -> Requests:
    prompt, answer = engine.lengths
    work = requests(
        np.cumsum(rng.exponential(1 / rate_per_s, n)),
        np.clip(rng.lognormal(np.log(prompt * factor), 0.6, n), 8, 6_000).astype(int),
        np.clip(rng.lognormal(np.log(answer / factor), 0.5, n), 2, 1_000).astype(int),
    )
    return _with_hits(work, engine.setting)


def _with_hits(work: Requests, setting: Setting) -> Requests:
    """Prompt tokens found in the prefix cache, in whole blocks."""
    shares = np.full(len(work), setting.hidden)
    if setting.some:
        shares = WHOLE_HIT * (np.random.default_rng(len(work)).random(len(work)) < setting.hidden / WHOLE_HIT)
    blocks = (shares * work.input_tokens).astype(np.int64) // BLOCK_TOKENS
    hits = np.minimum(BLOCK_TOKENS * blocks, work.input_tokens - 1)
    return requests(work.arrival_s, work.input_tokens, work.output_tokens, hits)


def measure(engine: Engine) -> list[Observed]:
    """Its rate sweep as a client would have measured it."""
    rng = np.random.default_rng([engine.setting.seed, engine.number, 1])
    shares = [(share, 1.0) for share in SWEEPS[engine.sweep]]
    shares += [(0.5, 0.4)] if engine.mixes == 2 else []
    return [observe(engine, share, factor, rng) for share, factor in shares]


def observe(engine: Engine, share: float, factor: float, rng: np.random.Generator) -> Observed:
    work = _work(engine, share * engine.knee_per_s, CALLS, rng, factor)
    return _measured(engine, work, f"{share:g} of the knee, lengths x {factor:g}", rng)


def _another_day(engine: Engine, work: Requests, share: float) -> Observed:
    """The held-out load step as a client would measure it: that is what a range is stated for."""
    return _measured(
        engine, work, "another day", np.random.default_rng([engine.setting.seed, engine.number, 3, int(100 * share)])
    )


def _measured(engine: Engine, work: Requests, name: str, rng: np.random.Generator) -> Observed:
    """At a pace of its own, every time scattered."""
    pace = float(np.exp(rng.uniform(-DRIFT / 2, DRIFT / 2)))
    # A machine that is so much slower, at these arrivals, is this one at arrivals so much closer.
    times = served(replace(work, arrival_s=work.arrival_s / pace), engine.model)
    blur: Floats = rng.lognormal(0, engine.noise, (2, len(work)))
    own = None
    if engine.setting.histograms:
        parts = times.queue_s, times.ttft_s - times.queue_s - times.front_s
        own = EngineTimes(*(float((pace * part * blur[0]).mean()) for part in parts))
    return Observed(
        name, work.arrival_s, work.input_tokens, work.output_tokens, np.zeros_like(work.input_tokens),
        pace * times.ttft_s * blur[0], pace * (times.e2e_s - times.ttft_s) * blur[1], "simulated", None, own,
        hit_ratio=_counted(work, engine.setting),
    )  # fmt: skip


def _counted(work: Requests, setting: Setting) -> float | None:
    """The share of hits by the engine's own counters, where they are scraped."""
    return float(work.cached_tokens.sum() / work.input_tokens.sum()) if setting.counters else None


def limits_of(engine: Engine) -> EngineLimits:
    """What is stated of it: sizes of padded graphs."""
    return EngineLimits(token_buckets=TOKEN_BUCKETS, seq_buckets=SEQ_BUCKETS) if engine.padded else EngineLimits()


def identity_of(engine: Engine) -> Identity:
    """Its name."""
    return Identity(engine.model.model_id, engine.kind, 1, 1.0, "random", "1", "2026-11-29")


def judge(number: int, setting: Setting = PLAIN) -> Verdict:
    """Calibrate from the sweep of one engine, and hold the prediction against the engine."""
    engine = draw_engine(number, setting)
    try:
        model = calibrate(measure(engine), limits_of(engine), identity_of(engine), drift=DRIFT)
    except CalibrationError as refusal:
        return Verdict(engine, str(refusal))
    return judged(engine, model)


def judged(engine: Engine, model: StepModel, *, everywhere: bool = False) -> Verdict:
    """What a step model predicts of load steps that it was not fitted to, against the engine.

    everywhere: of those too that it does not say to know.
    """
    errors: dict[str, list[float]] = {"tpot_s_p50": [], "ttft_s_p50": []}
    inside, unknown = 0, ""
    for share in HELD_OUT:
        run, true_work = _held_out(engine, share)
        work = run.requests()
        beyond = [text for text in extrapolations(work, model) if text.startswith("requests_per_s")]
        if beyond and not everywhere:
            unknown = beyond[-1]
            continue
        true, another_day = measured_figures(run), measured_figures(_another_day(engine, true_work, share))
        for figure in predict_figures(work, model, seed=1):
            if figure.metric in errors:
                errors[figure.metric].append(figure.value / true[figure.metric] - 1)
                inside += figure.low <= another_day[figure.metric] <= figure.high
    if not errors["tpot_s_p50"]:
        return Verdict(engine, unknown)
    tpot, ttft = (max(errors[name], key=abs) for name in ("tpot_s_p50", "ttft_s_p50"))
    capacity = _capacity_error(engine, model)
    half = Z_90 * float(np.hypot(model.relative_error, model.pace_sigma or 0.0))
    return Verdict(
        engine, None, tpot, ttft, capacity, len(errors["tpot_s_p50"]), inside, half, _term_errors(engine, model)
    )


def _term_errors(engine: Engine, model: StepModel) -> tuple[float, ...]:
    if engine.padded:
        return ()
    ratio = np.maximum(values_of(model), 1e-12) / values_of(engine.model)
    return tuple(float(math.log(ratio[place])) for place in (0, 1, 5))


def _held_out(engine: Engine, share: float) -> tuple[Observed, Requests]:
    """A load step as the client sees it, and with its hits."""
    rng = np.random.default_rng([engine.setting.seed, engine.number, 2])
    work = _work(engine, share * engine.knee_per_s, HELD_OUT_CALLS, rng)
    times = served(work, engine.model)
    run = Observed(
        "held out", work.arrival_s, work.input_tokens, work.output_tokens, np.zeros_like(work.input_tokens),
        times.ttft_s, times.e2e_s - times.ttft_s, "simulated",
    )  # fmt: skip
    return run, work


def _capacity_error(engine: Engine, model: StepModel) -> float | None:
    """Capacity at TTFT p99 and TPOT p99 of twice those at half of the knee, predicted over true, less 1.

    None where it lies beyond what was measured or is not known within 5%, as the sentence of `calibrate --target` says.
    """
    run, true_work = _held_out(engine, 0.5)
    slos = (
        Slo("ttft_s", 0.99, 2 * float(np.quantile(run.ttft_s, 0.99))),
        Slo("tpot_s", 0.99, 2 * float(np.quantile(run.tpot_s, 0.99))),
    )
    calls = as_measured(run.requests(), model)
    sample = Lengths(calls.input_tokens, calls.output_tokens, calls.cached_tokens)
    true_sample = Lengths(run.input_tokens, run.output_tokens, true_work.cached_tokens)
    rate = partial(rate_at_slo, sample, slos=slos, n=1_500, seed=1)
    predicted = rate(model=model).rate_per_s
    if predicted > BEYOND * model.validity["requests_per_s"][1]:
        return None
    if SIGMAS * rate_error(lambda drawn: rate(model=drawn).rate_per_s, model) > TOLERANCE:
        return None
    return predicted / rate_at_slo(true_sample, engine.model, slos, n=1_500, seed=1).rate_per_s - 1


def table(verdicts: Sequence[Verdict]) -> str:
    """Markdown: by sweep, by padding, and over all."""
    lines = [
        "| engines | n | refused | both steps predicted | within max(5%, 2 x scatter) | TPOT p50, median and p90 "
        "| TTFT p50 | inside 90% range | capacity at the SLOs | within 5% | inside 90% range |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    groups: list[tuple[str, list[Verdict]]] = [
        (f"{sweep} sweep", [v for v in verdicts if v.engine.sweep == sweep]) for sweep in SWEEPS
    ]
    groups += [
        (f"{mixes} length mix{'es' * (mixes == 2)}", [v for v in verdicts if v.engine.mixes == mixes])
        for mixes in (1, 2)
    ]
    groups += [
        (name, [v for v in verdicts if v.engine.padded is padded])
        for name, padded in (("padded graphs", True), ("no padding", False))
    ]
    return "\n".join([*lines, *(_row(name, part) for name, part in [*groups, ("all", list(verdicts))] if part)])


def terms(verdicts: Sequence[Verdict]) -> str:
    """How far off coefficients are, medians over engines that do not pad, in a line; nothing without one."""
    told = np.array([each.terms for each in verdicts if each.terms])
    if not len(told):
        return ""
    off, bias = np.median(np.abs(told), axis=0), np.expm1(np.median(told, axis=0))
    names = ("a", "b", "time before the engine")
    texts = (f"{name} {each:.1%} (bias {signed:+.1%})" for name, each, signed in zip(names, off, bias, strict=True))
    return f"coefficients of {len(told)} engines, medians: {', '.join(texts)}"


def _row(name: str, part: Sequence[Verdict]) -> str:
    kept = [each for each in part if each.refused is None]
    if not kept:
        return f"| {name} | {len(part)} | {len(part)} |{' - |' * 8}"
    within = coverage_interval(sum(each.within for each in kept), len(kept), SHARE_BAR)
    figures = coverage_interval(sum(each.inside for each in kept), sum(2 * each.steps for each in kept))

    def spread(values: Sequence[float]) -> str:
        sizes = np.abs(np.array(values))
        return f"{np.median(sizes):.1%}, {np.quantile(sizes, 0.9):.1%}"

    return (
        f"| {name} | {len(part)} | {len(part) - len(kept)} | {sum(each.steps == len(HELD_OUT) for each in kept)} "
        f"| {within.inside} of {within.n} ({within.inside / within.n:.1%}) "
        f"| {spread([v.tpot_error for v in kept])} | {spread([v.ttft_error for v in kept])} | {_share(figures)} "
        f"| {_capacities(kept)} |"
    )


def _capacities(kept: Sequence[Verdict]) -> str:
    """Three cells: spread of the errors of capacity, how many are within the bar, how many inside their range."""
    given = [each for each in kept if each.capacity_error is not None]
    if not given:
        return "- | - | -"
    sizes = np.abs([each.capacity_error or 0.0 for each in given])
    within = int((sizes <= CAPACITY_BAR).sum())
    inside = coverage_interval(sum(each.capacity_inside for each in given), len(given))
    spread = f"{np.median(sizes):.1%}, {np.quantile(sizes, 0.9):.1%}"
    return f"{spread} | {within} of {len(given)} ({within / len(given):.1%}) | {_share(inside)}"


def _share(counted: Coverage) -> str:
    return f"{counted.inside} of {counted.n}{', rejected' * counted.rejected}"


def misses(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """Every engine outside the bar, and every refusal, in a line."""
    for each in verdicts:
        engine = each.engine
        name = (
            f"{engine.number} {engine.kind} {engine.sweep} x{engine.mixes} noise {engine.noise:.0%}"
            f"{' padded' if engine.padded else ''}"
        )
        if each.refused is not None:
            yield f"{name}: refused, {each.refused}"
        elif not each.within or abs(each.capacity_error or 0.0) > CAPACITY_BAR:
            errors = f"TPOT {each.tpot_error:+.1%}, TTFT {each.ttft_error:+.1%}"
            yield f"{name}: {errors}, capacity {each.capacity_error or 0.0:+.1%}"


def keep(verdict: Verdict, file: Path) -> None:
    """Add one verdict to the file of a study that can be stopped."""
    figures = [getattr(verdict, field.name) for field in fields(verdict)[1:]]
    with file.open("a") as out:
        out.write(json.dumps(figures) + "\n")


def kept(file: Path, setting: Setting = PLAIN) -> list[Verdict]:
    """Verdicts of a study that was stopped, in the order of their engines."""
    lines = file.read_text().splitlines() if file.is_file() else []
    return [Verdict(draw_engine(number, setting), *json.loads(line)) for number, line in enumerate(lines)]


def main(arguments: Sequence[str]) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m study engines", description=__doc__)
    parser.add_argument("--number", type=int, default=300)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--detail", action="store_true", help="every miss and refusal")
    parser.add_argument("--keep", type=Path, help="verdicts are kept here, so that a stopped study goes on")
    parser.add_argument("--histograms", action="store_true", help="the engine's own queue and prefill are scraped")
    parser.add_argument("--hidden", type=float, default=0.0, help="share of prompt tokens that hit, unseen")
    parser.add_argument("--some", action="store_true", help="of some prompts nine tenths, of others nothing")
    parser.add_argument("--counters", action="store_true", help="the engine's counters of hits are scraped")
    parser.add_argument("--seed", type=int, default=SEED, help="of other engines than those that are tuned on")
    chosen = parser.parse_args(arguments)
    setting = Setting(chosen.histograms, chosen.hidden, chosen.some, chosen.counters, chosen.seed)
    verdicts = kept(chosen.keep, setting) if chosen.keep else []
    with ProcessPoolExecutor(chosen.processes) as pool:
        for verdict in pool.map(partial(judge, setting=setting), range(len(verdicts), chosen.number)):
            verdicts.append(verdict)
            if chosen.keep:
                keep(verdict, chosen.keep)
            if chosen.detail:
                print("\n".join(misses([verdict])) or f"{verdict.engine.number} within", flush=True)
    print(table(verdicts))
    print(terms(verdicts))
