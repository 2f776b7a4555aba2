"""Series of runs on one system: a ladder of rates to calibrate from, and the highest rate at which every SLO holds."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peakday.config import load_config
from peakday.errors import CommandError, Exit
from peakday.folders import new_folder
from peakday.output import Talk
from peakday.real_models import refuse_paid
from peakday.rehearsal import LoadOptions, make_job, refuse_unusable, run_job
from peakday.session import open_stack, resolve
from peakday.targets import Target, check_allowed, check_answers, parse_targets

if TYPE_CHECKING:
    from loadgen.record import Run
    from loadgen.search import MaxRate
    from peakday.session import Resolved
    from peakday.stack import Stack

TURN_COLUMNS = ("intended_start_s", "status", "ttft_s", "e2e_s", "tpot_s")


def search_max_rate(
    scenario: str,
    sets: Sequence[str],
    options: LoadOptions,
    low_per_s: float,
    high_per_s: float,
    *,
    seed: int | None,
    talk: Talk,
) -> tuple[str, dict[str, Any]]:
    """Bisect between two rates on one stack; every run leaves its own record, with a seed of its own.

    Raises:
        CommandError: the target is refused, or does not answer.
        LoadError: the scenario promises nothing, or a run stays invalid.
        KeyboardInterrupt: a run was interrupted or aborted.
    """
    from loadgen.search import max_rate

    resolved = resolve(scenario, sets, seed)
    with _system(resolved, sets, options, talk, "max-rate") as (targets, stack):

        def run(rate_per_s: float, number: int) -> Run:
            talk.say(f"trying {rate_per_s:.3g} interactions/s")
            asked = replace(options, rate_per_s=rate_per_s, out=_folder(resolved, rate_per_s))
            job = make_job(resolved, asked, targets, stack)
            return _made(replace(job, seed=resolved.seed + number), talk)

        found = max_rate(run, resolved.scenario.slo.model_dump(), low_per_s, high_per_s)
    return _text(found), asdict(found)


def climb_ladder(
    scenario: str,
    sets: Sequence[str],
    options: LoadOptions,
    low_per_s: float,
    high_per_s: float,
    rungs: int,
    *,
    seed: int | None,
    talk: Talk,
) -> tuple[str, dict[str, Any]]:
    """Runs at rates in equal ratios, lowest first, on one stack; every second rung will be held out of a fit.

    An INVALID rung is made once more with another seed; its first record stays.

    Raises:
        CommandError: the target is refused or does not answer, or a rung stays INVALID.
        KeyboardInterrupt: a run was interrupted or aborted.
    """
    from loadgen.search import ladder

    resolved = resolve(scenario, sets, seed)
    made = []
    with _system(resolved, sets, options, talk, "ladder") as (targets, stack):
        for number, rung in enumerate(ladder(low_per_s, high_per_s, rungs)):
            talk.say(f"rung {number + 1} of {rungs}: {rung.rate_per_s:.3g} interactions/s")
            for again in (0, rungs):
                asked = replace(options, rate_per_s=rung.rate_per_s, out=_folder(resolved, rung.rate_per_s))
                job = make_job(resolved, asked, targets, stack)
                run = _made(replace(job, seed=resolved.seed + number + again), talk)
                if run.info["verdict"]["valid"]:
                    break
            else:
                reason = run.info["verdict"]["reasons"][0]
                raise CommandError(f"{run.path}: INVALID twice ({reason}); climb lower: --to", Exit.INVALID_RUN)
            made.append({"run": str(run.path), "rate_per_s": rung.rate_per_s, "held_out": rung.held_out})
    lines = [
        f"{row['rate_per_s']:8.3g}/s  {row['run']}{'  (judges the fit)' if row['held_out'] else ''}" for row in made
    ]
    names = " ".join(Path(str(row["run"])).name for row in made)
    return "\n".join([*lines, f"\npeakday calibrate {names} --model custom-8b"]), {"rungs": made}


@contextlib.contextmanager
def _system(
    resolved: Resolved, sets: Sequence[str], options: LoadOptions, talk: Talk, verb: str
) -> Iterator[tuple[list[Target], Stack | None]]:
    """The targets that were named, allowed and answering; else a local stack that stays up for all runs."""
    targets = parse_targets(options.targets)
    config = load_config()
    for target in targets:
        check_allowed(target, config)
    refuse_paid(targets, verb)
    if not targets:
        with open_stack(resolved, talk=talk) as stack:
            yield [], stack
        return
    refuse_unusable(resolved, sets)
    for target in targets:
        check_answers(target)
    yield targets, None


def _folder(resolved: Resolved, rate_per_s: float) -> Path:
    return new_folder("runs", f"{resolved.scenario.name}-{rate_per_s:.3g}-per-s", datetime.now(UTC))


def _made(job: Any, talk: Talk) -> Run:
    """Run one job and read back what the test needs of it."""
    from loadgen.record import TABLES, load_run

    outcome = run_job(job, talk)
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
