"""Series of runs on one system: a rate sweep to calibrate from, and the highest rate at which every SLO holds."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from host.errors import Exit, together
from loadgen.analysis.series import MaxRate, max_rate, rate_sweep
from loadgen.job import LoadJob
from loadgen.record import Run, load_run
from loadgen.tables import TABLES
from loadgen.targets.openai_options import OpenAiOptions
from peakday.config import load_config
from peakday.console import Console
from peakday.errors import CommandError
from peakday.guard import admit_unpaid
from peakday.quantities import length_s, rate_per_s
from peakday.records.folders import new_folder
from peakday.run.load import Driven, LoadOptions, load_of, make_job, on_stack, on_targets
from peakday.run.rehearsal import refuse_unusable, run_job
from peakday.stack.resolved import Resolved, open_stack, resolve
from wire.text import Untrusted

TURN_COLUMNS = ("intended_start_s", "status", "error_code", "ttft_s", "e2e_s", "tpot_s")
FAILING_RATIO = 0.5
"""More failed turns than this at the lowest rate speak of the target, not of its load."""
UNREAD: dict[str, tuple[str, ...]] = dict.fromkeys(TABLES, ())


@dataclass(frozen=True)
class Series:
    """Runs of one scenario on one system, between two rates (interactions/s)."""

    resolved: Resolved
    sets: tuple[str, ...]
    options: LoadOptions
    low_per_s: float
    high_per_s: float

    @property
    def length_s(self) -> float:
        """How long each run offers turns."""
        assert self.options.for_s is not None
        return self.options.for_s

    def job(self, rate_per_s: float, number: int, driven: Driven) -> LoadJob:
        """The run at this rate, with a folder and a seed of its own."""
        folder = new_folder("runs", f"{self.resolved.scenario.name}-{rate_per_s:.3g}-per-s", datetime.now(UTC))
        options = replace(self.options, rate_per_s=rate_per_s, out=folder)
        load = replace(load_of(self.resolved, options), seed=self.resolved.seed + number)
        return make_job(load, options, driven)


def series(
    scenario: str,
    sets: Sequence[str] | None,
    rates: tuple[str, str],
    length: str,
    *,
    targets: Sequence[str] | None,
    processes: int,
    seed: int | None,
    model: str | None = None,
    request: OpenAiOptions | None = None,
    questions: Path | None = None,
) -> Series:
    """What was typed: the rates as `--from` and `--to`, the length of each run as `--for`.

    Raises:
        CommandError: a rate, a length or the scenario cannot be read.
    """
    low_per_s, high_per_s, for_s = together(
        lambda: rate_per_s(rates[0], "--from"), lambda: rate_per_s(rates[1], "--to"), lambda: length_s(length, "--for")
    )
    if not 0 < low_per_s < high_per_s:
        raise CommandError(f"--from {rates[0]} --to {rates[1]}: expected 0 < from < to")
    options = LoadOptions(
        targets=tuple(targets or ()),
        model=model,
        request=request,
        questions=questions,
        for_s=for_s,
        processes=processes,
    )
    return Series(resolve(scenario, sets or [], seed), tuple(sets or ()), options, low_per_s, high_per_s)


def search_max_rate(runs: Series, console: Console) -> tuple[Exit, str, dict[str, object]]:
    """Bisect between two rates on one stack; every run leaves its own record. Exit 4 where no rate was settled.

    Raises:
        CommandError: the target is refused, or does not answer.
        LoadError: the scenario has no SLO, or a run stays invalid.
        KeyboardInterrupt: a run was interrupted or aborted.
    """
    with _system(runs, console, "max-rate") as driven:

        def run(rate: float, number: int) -> Run:
            console.say(f"trying {rate:.3g} interactions/s")
            return _record_of(runs.job(rate, number, driven), driven, console)

        answer = max_rate(run, runs.resolved.scenario.slo.model_dump(), runs.low_per_s, runs.high_per_s)
    code = Exit.OK if settled(answer) else Exit.INCONCLUSIVE
    return code, max_rate_text(answer), {**asdict(answer), "for_s": runs.length_s}


def settled(answer: MaxRate) -> bool:
    """Whether a rate at which the SLOs hold, or one at which they do not, was found and nothing between contradicts."""
    return answer.monotone and not answer.undecided_per_s and (answer.held_per_s or answer.missed_per_s) is not None


def run_sweep(runs: Series, steps: int, console: Console) -> tuple[str, dict[str, object]]:
    """Runs at rates in equal ratios, lowest first, on one stack; every second step will be held out of a fit.

    An INVALID run is made once more with another seed; its first record stays.

    Raises:
        CommandError: the target is refused or does not answer, or a step stays INVALID.
        KeyboardInterrupt: a run was interrupted or aborted.
    """
    rows = []
    with _system(runs, console, "sweep") as driven:
        for number, step in enumerate(rate_sweep(runs.low_per_s, runs.high_per_s, steps)):
            console.say(f"load step {number + 1} of {steps}: {step.rate_per_s:.3g} interactions/s")
            for again in (0, steps):
                run = _record_of(runs.job(step.rate_per_s, number + again, driven), driven, console)
                if run.info.valid:
                    break
            else:
                why = run.info.reasons[0]
                raise CommandError(f"{run.path}: INVALID twice ({why}); sweep lower: --to", Exit.INVALID_RUN)
            rows.append(
                {"run": str(run.path), "rate_per_s": step.rate_per_s, "for_s": runs.length_s, "held_out": step.held_out}
            )
    lines = [
        f"{row['rate_per_s']:8.3g}/s for {row['for_s']:g} s  {row['run']}"
        f"{'  (tests the fit)' if row['held_out'] else ''}"
        for row in rows
    ]
    names = " ".join(Path(str(row["run"])).name for row in rows)
    return "\n".join([*lines, f"\npeakday calibrate {names} --model custom-8b"]), {"steps": rows}


@contextlib.contextmanager
def _system(runs: Series, console: Console, verb: str) -> Iterator[Driven]:
    """The targets that were named, allowed and answering; else a local stack that stays up for all runs."""
    config = load_config()
    targets = admit_unpaid(runs.options.targets, config, verb)
    if not targets:
        with open_stack(runs.resolved, console=console) as stack:
            yield on_stack(stack)
        return
    refuse_unusable(runs.resolved, runs.sets)
    yield on_targets(targets, runs.options)


def _record_of(job: LoadJob, driven: Driven, console: Console) -> Run:
    """Run one job and read back what the test needs of it."""
    outcome = run_job(job, console, driven.ended)
    if outcome.exit_code in (Exit.INTERRUPTED, Exit.ABORTED):
        raise KeyboardInterrupt
    return load_run(outcome.run_dir, columns=UNREAD | {"turns": TURN_COLUMNS})


def max_rate_text(answer: MaxRate) -> str:
    """A line for every rate, then the answer."""
    lines = [
        f"{trial.rate_per_s:8.3g}/s  {trial.result:<7} {trial.runs} run(s)  {Untrusted(trial.reason).terminal}"
        for trial in answer.trials
    ]
    lines.append(_answer_line(answer))
    if answer.undecided_per_s:
        rates = ", ".join(f"{rate:.3g}/s" for rate in answer.undecided_per_s)
        lines.append(f"undecided: {rates}; a longer --for decides more")
    if not answer.monotone:
        lines.append("the SLO was met at a higher rate than one where it was missed: noise; use a longer --for")
    return "\n".join(lines)


def _answer_line(answer: MaxRate) -> str:
    """`max rate 12.1/s (SLO missed at 13/s)`, in interactions."""
    missed = answer.missed_per_s
    if answer.held_per_s is None and any(trial.failed_ratio > FAILING_RATIO for trial in answer.trials):
        return "no max rate: most turns failed at the lowest rate, and no lower one may help; `peakday ask` shows why"
    if answer.held_per_s is None:
        return "no max rate: " + (f"SLO missed at {missed:.3g}/s already; lower --from" if missed else "undecided")
    beyond = f"SLO missed at {missed:.3g}/s" if missed else "no rate tried misses an SLO; raise --to"
    return f"max rate {answer.held_per_s:.3g}/s ({beyond})"
