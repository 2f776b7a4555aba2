"""`calibrate --target`: the load steps that a fit needs, driven against a server, judged, and fitted in one go."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from capacity.calibration.certainty import SIGMAS, TOLERANCE
from capacity.calibration.hits import measured_hits
from capacity.calibration.limits import CalibrationError
from capacity.calibration.observed import Observed, observed_calls
from capacity.calibration.prediction import BEYOND, rate_error
from capacity.simulator.rate_at_slo import Lengths, rate_at_slo
from capacity.simulator.requests import Floats, Ints
from dashboards.numbers.errors import error_kinds
from host.atomic import write_text
from host.errors import Exit
from host.redaction import shown_url
from loadgen.record import Run, load_run
from neuron_bench.step_model import StepModel
from peakday.consent import Consent
from peakday.console import Console
from peakday.errors import CommandError
from peakday.plan.step_models import EngineFacts, calibrate_runs, step_model_text, write_new
from peakday.quantities import duration_s
from peakday.records.folders import new_folder
from peakday.run.load import LoadOptions
from peakday.run.rehearsal import prepare, rehearse
from slo.slo import parse_slo

SHARES = {"light": 0.25, "middle": 0.55, "knee": 0.85, "past": 1.25}
"""Load steps of the first length mix, as shares of the rate at which a burst is worked off."""
SECOND_MIX = ("long", 0.6, 2.0, 0.5)
"""Its name, its share of the rate, and its prompts and answers against those of the first."""
STEPS = len(SHARES) + 1
BURST_CALLS = 48
CALLS_MIN = 40
"""Of a load step: fewer tell nothing; a slower server gets fewer steps before it gets shorter ones."""
PROMPT_SIGMA, ANSWER_SIGMA = 0.5, 0.4
"""Spread of the logarithm of lengths, as in most logs of chats; a fit tells terms apart by it."""
Z_90 = 1.6449
SLO_SAMPLE = 4_000


@dataclass(frozen=True)
class Sweep:
    """What to drive, how long, and with which lengths. budget_s: of all steps together; calls_max likewise."""

    target: str
    model: str
    budget_s: float
    calls_max: int
    prompt_tokens: int
    answer_tokens: int
    slo: str
    folder: Path
    seed: int
    consent: Consent


def sweep_of(
    target: str, model: str, length: str, calls_max: int, tokens: tuple[int, int], slo: str, seed: int, consent: Consent
) -> Sweep:
    """What was typed, checked before anything is sent.

    Raises:
        CommandError: a target of another kind, an SLO that a replica cannot be held to, or no time.
    """
    if not target.startswith("openai="):
        raise CommandError(
            f"--target {shown_url(target)}: expected openai=URL, such as openai=http://127.0.0.1:8000/v1"
        )
    wanted = parse_slo(slo, "--slo")
    if wanted.quantile is None or wanted.metric not in ("ttft_s", "tpot_s", "e2e_s"):
        raise CommandError(f"--slo {slo!r}: expected a percentile of ttft_s, tpot_s or e2e_s, such as ttft_s_p99 <= 1")
    folder = new_folder("runs", f"calibrate-{model}", datetime.now(UTC))
    return Sweep(target, model, duration_s(length, "--for"), calls_max, *tokens, slo, folder, seed, consent)


@dataclass(frozen=True)
class Arrivals:
    """Calls of one load step: when they are due, and how long they are."""

    offset_s: Floats
    prompt: Ints
    answer: Ints

    def write(self, path: Path) -> Path:
        """As a file that `run --arrivals` replays."""
        rows = zip(self.offset_s.tolist(), self.prompt.tolist(), self.answer.tolist(), strict=True)
        lines = ["TIMESTAMP,ContextTokens,GeneratedTokens", *(f"{at:.6f},{p},{a}" for at, p, a in rows)]
        write_text(path, "\n".join(lines) + "\n")
        return path


def draw(sweep: Sweep, rate_per_s: float, calls: int, name: str, longer: float = 1.0, answers: float = 1.0) -> Arrivals:
    """Poisson arrivals with lognormal lengths, the same for the same seed and name. rate_per_s: inf is a burst."""
    rng = np.random.default_rng([sweep.seed, sum(name.encode())])
    gaps_s = rng.exponential(1.0, calls)
    offset_s = np.cumsum(gaps_s) / rate_per_s if math.isfinite(rate_per_s) else 1e-3 * np.arange(calls)
    prompt = np.exp(rng.normal(math.log(sweep.prompt_tokens * longer), PROMPT_SIGMA, calls))
    answer = np.exp(rng.normal(math.log(sweep.answer_tokens * answers), ANSWER_SIGMA, calls))
    longest = 4 * sweep.prompt_tokens * longer
    return Arrivals(
        np.asarray(offset_s, dtype=np.float64),
        np.clip(np.rint(prompt), 8, longest).astype(np.int64),
        np.clip(np.rint(answer), 2, 4 * sweep.answer_tokens).astype(np.int64),
    )


def drive(sweep: Sweep, console: Console) -> list[Path]:
    """Run the burst and the load steps; returns the records that a fit may use, lightest first.

    An INVALID step is left out with its reason; so is one that the budget of time or of calls no longer holds.

    Raises:
        CommandError: the target is refused or does not answer, or fewer than two steps are of use.
    """
    burst = draw(sweep, math.inf, BURST_CALLS, "burst")
    console.say(f"burst of {BURST_CALLS} calls, for the rate that the server just keeps up with")
    record = load_run(_replay(sweep, burst, "burst", console))
    rate_per_s = worked_off_per_s(record)
    spent_s, spent = _span_s(record), BURST_CALLS
    kept: list[Path] = []
    lost: list[str] = []
    for name, share, longer, answers in _steps():
        rate = share * rate_per_s / (1.0 if longer == 1.0 else max(longer * answers, 1.0))
        calls = _calls(sweep, rate, spent_s, spent, STEPS - len(kept))
        if calls < CALLS_MIN:
            lost.append(f"{name}: {calls} calls fit --for and --calls-max, {CALLS_MIN} are needed")
            console.say(f"load step left out: {lost[-1]}")
            continue
        console.say(f"load step {name}: {calls} calls at {rate:.3g}/s")
        path = _replay(sweep, draw(sweep, rate, calls, name, longer, answers), name, console)
        run = load_run(path)
        spent_s, spent = spent_s + _span_s(run), spent + calls
        if run.info.valid:
            kept.append(path)
        else:
            lost.append(f"{name}: INVALID, {run.info.reasons[0]}")
            console.say(f"load step left out: {lost[-1]}")
    if len(kept) < 2:
        raise CommandError(
            f"{len(kept)} load steps of use, two are needed; left out: {'; '.join(lost)}", Exit.INCONCLUSIVE
        )
    return kept


def _steps() -> list[tuple[str, float, float, float]]:
    first = [(name, share, 1.0, 1.0) for name, share in SHARES.items()]
    return [*first[:3], SECOND_MIX, first[3]]


def _calls(sweep: Sweep, rate_per_s: float, spent_s: float, spent: int, steps_left: int) -> int:
    """Calls of the next step: an equal share of the time and of the calls that are left."""
    of_time = max(sweep.budget_s - spent_s, 0.0) / max(steps_left, 1) * rate_per_s
    of_calls = max(sweep.calls_max - spent, 0) / max(steps_left, 1)
    return int(min(of_time, of_calls))


def _replay(sweep: Sweep, arrivals: Arrivals, name: str, console: Console) -> Path:
    folder = sweep.folder / name
    file = arrivals.write(sweep.folder / f"{name}.csv")
    options = LoadOptions(
        targets=(sweep.target,),
        model=sweep.model,
        arrivals=file,
        window=(0.0, float(arrivals.offset_s[-1]) + 1.0),
        out=folder,
        consent=sweep.consent,
    )
    outcome = rehearse(prepare("smoke", [], options, sweep.seed), replace(console, quiet=True))
    if outcome.exit_code == Exit.INTERRUPTED:
        raise KeyboardInterrupt
    return outcome.run_dir


def worked_off_per_s(run: Run) -> float:
    """Calls a second of a burst, first to last answer.

    Raises:
        CommandError: no call was answered.
    """
    answered = run.turns[run.turns["status"] == "ok"]
    if answered.empty:
        why = "; ".join(f"{kind.words} x {kind.count}: {kind.said}".rstrip(": ") for kind in error_kinds(run))
        raise CommandError(
            f"{run.path}: no call of the burst was answered ({why}); `peakday ask` with this target and --model shows "
            "what it says",
            Exit.ENVIRONMENT,
        )
    return float(len(answered) / max(float((answered["intended_start_s"] + answered["e2e_s"]).max()), 1e-3))


def _span_s(run: Run) -> float:
    return float((run.turns["intended_start_s"] + run.turns["e2e_s"].fillna(0.0)).max())


def calibrate_target(
    sweep: Sweep, facts: EngineFacts, out: Path | None, console: Console
) -> tuple[str, dict[str, object]]:
    """Drive, fit, judge; the step model's file, and what one replica of it keeps up with.

    Raises:
        CalibrationError: the sweep cannot tell; the message says which step to measure next. Its records stay.
    """
    paths = drive(sweep, console)
    try:
        model = calibrate_runs(paths, facts)
    except CalibrationError as refusal:
        kept = " ".join(str(path) for path in paths)
        raise CalibrationError(f"{refusal}; the load steps are kept, for `peakday calibrate {kept} ...`") from None
    path = write_new(model, out)
    sentence = keeps(model, [observed_calls(load_run(each), facts.model) for each in paths], sweep)
    data: dict[str, object] = {"step_model": str(path), "runs": [str(each) for each in paths], "sentence": sentence}
    return f"{step_model_text(model)}\n\n{sentence}\n{path}", data


def keeps(model: StepModel, steps: Sequence[Observed], sweep: Sweep) -> str:
    """One replica keeps an SLO up to a rate, with its 90% range: the sentence that a newcomer came for."""
    slo = parse_slo(sweep.slo, "--slo")
    calls = steps[0]
    hits = measured_hits(calls.input_tokens, calls.cached_tokens, model)
    lengths = Lengths(calls.input_tokens, calls.output_tokens, hits)

    def rate(engine: StepModel) -> float:
        return rate_at_slo(lengths, engine, [slo], n=SLO_SAMPLE, seed=sweep.seed).rate_per_s

    found = rate_at_slo(lengths, model, [slo], n=SLO_SAMPLE, seed=sweep.seed)
    if found.rate_per_s <= 0:
        return f"one replica keeps {sweep.slo} at no load: {found.binding}"
    spread = math.exp(Z_90 * math.hypot(model.relative_error, model.pace_sigma or 0.0))
    low, high = found.rate_per_s / spread, found.rate_per_s * spread
    sentence = f"one replica keeps {sweep.slo} up to {found.rate_per_s:.3g}/s ({low:.3g} to {high:.3g}/s, 90%)"
    busiest_per_s = model.validity.get("requests_per_s", (0.0, math.inf))[1]
    if found.rate_per_s > BEYOND * busiest_per_s:
        sentence += f"; beyond the {busiest_per_s:.3g}/s that was measured: measure a load step there"
    elif (known := SIGMAS * rate_error(rate, model)) == math.inf:
        sentence += "; the load steps leave open what it is: measure more of them, near this rate"
    elif known > TOLERANCE:
        sentence += f"; the load steps know it within {known:.0%}: more of them, on other days, would tell it better"
    return sentence
