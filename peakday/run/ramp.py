"""The verb `ramp`: raise a load by AWS's own rule for Bedrock, each step a run with its record, within a budget."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

from capacity.demand.forecast import range_quantile
from facts.ramp import Ramp, holds
from host.errors import Exit
from loadgen.record import Run, load_run
from peakday.config import load_config
from peakday.console import Console
from peakday.guard import admit_agreed
from peakday.records.folders import new_folder, relative
from peakday.run.load import Driven, LoadOptions, load_of, make_job, on_stack, on_targets
from peakday.run.rehearsal import Rehearsal, ask_first, prepare, run_job
from peakday.run.series import UNREAD
from peakday.stack.resolved import open_stack

COLUMNS = UNREAD | {"turns": ("status", "error_code"), "calls": ("status", "error_code")}
CAPACITY = "503(?!:connect_error)|ServiceUnavailable"
QUOTA = "429|Throttling"
"""How records name the two answers, capacity and the account's quota; a connection that failed speaks of neither."""


@dataclass(frozen=True)
class RampOptions:
    """Rates in interactions a second; seconds of a hold, of a look before it, and of the whole ramp.

    target_per_s None: the p90 of the scenario's peak. tolerance: share of calls that may meet a 503.
    """

    target_per_s: float | None
    hold_s: float
    look_s: float
    longest_s: float
    tolerance: float = 0.0


@dataclass(frozen=True)
class Step:
    """One step: calls refused for capacity (503) and for quota (429), of all calls. An INVALID one decides nothing."""

    rate_per_s: float
    length_s: float
    holding: bool
    calls: int
    refused_503: int
    refused_429: int
    cost_usd: float
    run: str
    valid: bool = True

    def over(self, tolerance: float) -> bool:
        """Whether more than the tolerated share met a 503."""
        return self.refused_503 > tolerance * self.calls


def target_of(rehearsal: Rehearsal) -> float:
    """The p90 of the scenario's peak, where no target is named."""
    return float(range_quantile(rehearsal.resolved.scenario.demand.interactions.peak_per_s, 0.9))


def run_ramp(
    scenario: str, sets: Sequence[str], load: LoadOptions, asked: RampOptions, seed: int | None, console: Console
) -> tuple[Exit, str, dict[str, object]]:
    """Climb to the target; exit 0 when it is held, 3 after two INVALID steps, 4 when time is up, 6 the budget.

    Raises:
        CommandError: not agreed to, or a target that is refused or silent.
    """
    rehearsal = prepare(scenario, sets, replace(load, rate_per_s=1.0, for_s=asked.longest_s), seed)
    target_per_s = asked.target_per_s or target_of(rehearsal)
    whole = replace(load, rate_per_s=target_per_s, for_s=asked.longest_s)
    rehearsal = replace(rehearsal, options=whole, load=load_of(rehearsal.resolved, whole))
    with _system(rehearsal, console) as driven:
        steps, ramp = _climb(rehearsal, Ramp.towards(target_per_s), asked, driven, console)
    spent = sum(step.cost_usd for step in steps)
    broke = load.budget_usd is not None and spent >= load.budget_usd
    invalid = bool(steps) and not steps[-1].valid
    code = Exit.OK if ramp.reached else Exit.ABORTED if broke else Exit.INVALID_RUN if invalid else Exit.INCONCLUSIVE
    data = {"reached": ramp.reached, "target_per_s": ramp.target, "steps": [asdict(step) for step in steps]}
    return code, ramp_text(steps, ramp, asked, broke), data


def _climb(
    rehearsal: Rehearsal, ramp: Ramp, asked: RampOptions, driven: Driven, console: Console
) -> tuple[list[Step], Ramp]:
    steps: list[Step] = []
    budget = rehearsal.options.budget_usd
    while not ramp.reached:
        length_s = asked.hold_s if ramp.holding else asked.look_s
        if sum(step.length_s for step in steps) + length_s > asked.longest_s:
            break
        left = None if budget is None else budget - sum(step.cost_usd for step in steps)
        if left is not None and left <= 0:
            break
        console.say(f"{'hold' if ramp.holding else 'look'}: {ramp.rate:.3g} interactions/s for {length_s:g} s")
        steps.append(_step(rehearsal, ramp, length_s, left, len(steps), driven, console))
        if steps[-1].valid:
            ramp = ramp.after(steps[-1].over(asked.tolerance))
        elif len(steps) > 1 and not steps[-2].valid:
            break
    return steps, ramp


def _step(
    rehearsal: Rehearsal, ramp: Ramp, length_s: float, left_usd: float | None, number: int, driven: Driven,
    console: Console,
) -> Step:  # fmt: skip
    folder = new_folder("runs", f"{rehearsal.resolved.scenario.name}-ramp-{number + 1}", datetime.now(UTC))
    options = replace(rehearsal.options, rate_per_s=ramp.rate, for_s=length_s, budget_usd=left_usd, out=folder)
    load = replace(load_of(rehearsal.resolved, options), seed=rehearsal.resolved.seed + number)
    outcome = run_job(make_job(load, options, driven), console, driven.ended)
    if outcome.exit_code == Exit.INTERRUPTED:
        raise KeyboardInterrupt
    run = load_run(outcome.run_dir, COLUMNS)
    valid = run.info.valid or outcome.exit_code == Exit.ABORTED
    if not valid:
        console.say(f"{relative(run.path)}: INVALID ({run.info.reasons[0]})")
    return step_of(run, ramp, length_s, valid)


def step_of(run: Run, ramp: Ramp, length_s: float, valid: bool = True) -> Step:
    """What a run says of its step; calls where the record has them, else turns."""
    rows = run.calls if len(run.calls) else run.turns
    codes = rows["error_code"].astype("string").fillna("")
    cost = (run.info.totals.cost_usd if run.info.totals is not None else None) or 0.0
    refused_503, refused_429 = (int(codes.str.contains(words).sum()) for words in (CAPACITY, QUOTA))
    return Step(
        ramp.rate, length_s, ramp.holding, len(rows), refused_503, refused_429, cost, str(relative(run.path)), valid
    )


@contextlib.contextmanager
def _system(rehearsal: Rehearsal, console: Console) -> Iterator[Driven]:
    """What is driven, up for the whole ramp; what costs money is agreed to before so much as a name is looked up."""
    real = rehearsal.real is not None
    if real:
        ask_first(rehearsal, console)
    targets = admit_agreed(rehearsal.targets, load_config(), lambda: ask_first(rehearsal, console), agreed=real)
    if targets:
        yield on_targets(targets, rehearsal.options)
        return
    with open_stack(rehearsal.resolved, real=rehearsal.real, console=console) as stack:
        yield on_stack(stack)


def ramp_text(steps: Sequence[Step], ramp: Ramp, asked: RampOptions, broke: bool) -> str:
    """A line for each step, then what it comes to."""
    lines = [
        f"{step.rate_per_s:8.3g}/s  {'hold' if step.holding else 'look'} {step.length_s:6g} s  "
        f"{step.refused_503:5} x 503  {step.refused_429:5} x 429  of {step.calls:6} calls  {step.run}"
        f"{'' if step.valid else '  INVALID, decides nothing'}"
        for step in steps
    ]
    took_s = sum(step.length_s for step in steps)
    held = [step.rate_per_s for step in steps if step.holding and step.valid and not step.over(asked.tolerance)]
    best = f"{max(held):.3g}/s was held" if held else "no rate was held"
    if ramp.reached:
        return "\n".join([*lines, f"reached: {ramp.target:.3g} interactions/s, held, after {took_s:g} s of load"])
    invalid = bool(steps) and not steps[-1].valid
    over = "two steps in a row were INVALID" if invalid else f"{asked.longest_s:g} s are over"
    why = "the budget is spent" if broke else over
    more = holds(max(held), ramp.target) if held else None
    left = f"; {more} more holds of {asked.hold_s:g} s at least" if more is not None else "; begin lower: --to"
    return "\n".join([*lines, f"not reached: {why}; {best}, the target is {ramp.target:.3g}/s{left}"])
