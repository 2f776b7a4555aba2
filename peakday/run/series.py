"""Series of runs on one system: a ladder of rates to calibrate from, and the highest rate at which every SLO holds."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from host.errors import Exit
from peakday.config import load_config
from peakday.console import Console
from peakday.errors import CommandError
from peakday.quantities import duration_s, rate_per_s
from peakday.records.folders import new_folder
from peakday.run.rehearsal import LoadOptions, make_job, refuse_unusable, run_job
from peakday.stack.real_models import refuse_paid
from peakday.stack.resolved import open_stack, resolve
from peakday.targets import Target, check_allowed, check_answers, parse_targets

if TYPE_CHECKING:
    from loadgen.analysis.series import MaxRate
    from loadgen.job import LoadJob
    from loadgen.record import Run
    from peakday.stack.local import Stack
    from peakday.stack.resolved import Resolved

TURN_COLUMNS = ("intended_start_s", "status", "ttft_s", "e2e_s", "tpot_s")


@dataclass(frozen=True)
class Series:
    """Runs of one scenario on one system, between two rates (interactions/s)."""

    resolved: Resolved
    sets: tuple[str, ...]
    options: LoadOptions
    low_per_s: float
    high_per_s: float

    def job(self, rate_per_s: float, number: int, targets: Sequence[Target], stack: Stack | None) -> LoadJob:
        """The run at this rate, with a folder and a seed of its own."""
        moment = datetime.now(UTC)
        folder = new_folder("runs", f"{self.resolved.scenario.name}-{rate_per_s:.3g}-per-s", moment)
        job = make_job(self.resolved, replace(self.options, rate_per_s=rate_per_s, out=folder), targets, stack)
        return replace(job, seed=self.resolved.seed + number)


def series(
    scenario: str,
    sets: Sequence[str] | None,
    rates: tuple[str, str],
    length: str,
    *,
    targets: Sequence[str] | None,
    processes: int,
    seed: int | None,
) -> Series:
    """What was typed: the rates as `--from` and `--to`, the length of each run as `--for`.

    Raises:
        CommandError: a rate, a length or the scenario cannot be read.
    """
    options = LoadOptions(targets=tuple(targets or ()), for_s=duration_s(length, "--for"), processes=processes)
    low_per_s, high_per_s = rate_per_s(rates[0], "--from"), rate_per_s(rates[1], "--to")
    if not 0 < low_per_s < high_per_s:
        raise CommandError(f"--from {rates[0]} --to {rates[1]}: expected 0 < from < to")
    return Series(resolve(scenario, sets or [], seed), tuple(sets or ()), options, low_per_s, high_per_s)


def search_max_rate(asked: Series, console: Console) -> tuple[str, dict[str, Any]]:
    """Bisect between two rates on one stack; every run leaves its own record.

    Raises:
        CommandError: the target is refused, or does not answer.
        LoadError: the scenario promises nothing, or a run stays invalid.
        KeyboardInterrupt: a run was interrupted or aborted.
    """
    from loadgen.analysis.series import max_rate

    with _system(asked, console, "max-rate") as (targets, stack):

        def run(rate: float, number: int) -> Run:
            console.say(f"trying {rate:.3g} interactions/s")
            return _made(asked.job(rate, number, targets, stack), console)

        found = max_rate(run, asked.resolved.scenario.slo.model_dump(), asked.low_per_s, asked.high_per_s)
    return _text(found), asdict(found)


def climb_ladder(asked: Series, rungs: int, console: Console) -> tuple[str, dict[str, Any]]:
    """Runs at rates in equal ratios, lowest first, on one stack; every second rung will be held out of a fit.

    An INVALID rung is made once more with another seed; its first record stays.

    Raises:
        CommandError: the target is refused or does not answer, or a rung stays INVALID.
        KeyboardInterrupt: a run was interrupted or aborted.
    """
    from loadgen.analysis.series import ladder

    made = []
    with _system(asked, console, "ladder") as (targets, stack):
        for number, rung in enumerate(ladder(asked.low_per_s, asked.high_per_s, rungs)):
            console.say(f"rung {number + 1} of {rungs}: {rung.rate_per_s:.3g} interactions/s")
            for again in (0, rungs):
                run = _made(asked.job(rung.rate_per_s, number + again, targets, stack), console)
                if run.info.valid:
                    break
            else:
                reason = run.info.reasons[0]
                raise CommandError(f"{run.path}: INVALID twice ({reason}); climb lower: --to", Exit.INVALID_RUN)
            made.append({"run": str(run.path), "rate_per_s": rung.rate_per_s, "held_out": rung.held_out})
    lines = [
        f"{row['rate_per_s']:8.3g}/s  {row['run']}{'  (judges the fit)' if row['held_out'] else ''}" for row in made
    ]
    names = " ".join(Path(str(row["run"])).name for row in made)
    return "\n".join([*lines, f"\npeakday calibrate {names} --model custom-8b"]), {"rungs": made}


@contextlib.contextmanager
def _system(asked: Series, console: Console, verb: str) -> Iterator[tuple[list[Target], Stack | None]]:
    """The targets that were named, allowed and answering; else a local stack that stays up for all runs."""
    targets = parse_targets(asked.options.targets)
    config = load_config()
    for target in targets:
        check_allowed(target, config)
    refuse_paid(targets, verb)
    if not targets:
        with open_stack(asked.resolved, console=console) as stack:
            yield [], stack
        return
    refuse_unusable(asked.resolved, asked.sets)
    for target in targets:
        check_answers(target)
    yield targets, None


def _made(job: LoadJob, console: Console) -> Run:
    """Run one job and read back what the test needs of it."""
    from loadgen.record import TABLES, load_run

    outcome = run_job(job, console)
    if outcome.exit_code in (Exit.INTERRUPTED, Exit.ABORTED):
        raise KeyboardInterrupt
    unread: dict[str, tuple[str, ...]] = dict.fromkeys(TABLES, ())
    return load_run(outcome.run_dir, columns=unread | {"turns": TURN_COLUMNS})


def _text(found: MaxRate) -> str:
    """A line for every rate, then the answer."""
    lines = [
        f"{trial.rate_per_s:8.3g}/s  {trial.result:<7} {trial.runs} run(s)  {trial.reason}" for trial in found.trials
    ]
    lines.append(f"held up to {_rate(found.held_per_s)}, missed from {_rate(found.missed_per_s)}")
    if found.undecided_per_s:
        rates = ", ".join(f"{rate:.3g}/s" for rate in found.undecided_per_s)
        lines.append(f"not decided: {rates}; a longer --for decides more")
    if not found.monotone:
        lines.append("a higher rate held than one that missed: noise is larger than the step; use a longer --for")
    return "\n".join(lines)


def _rate(rate_per_s: float | None) -> str:
    return "no rate tried" if rate_per_s is None else f"{rate_per_s:.3g} interactions/s"
