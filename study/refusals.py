"""Are refusals of a calibration right, and does what they say end them? `python -m study refusals`.

Of the random engines of `python -m study engines`: what a refused sweep would have predicted is held against the engine
all the same, then the load step that the refusal or the note names is measured, up to three times, and judged again.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np

from capacity.calibration.fit import fitted
from capacity.calibration.limits import CalibrationError
from capacity.calibration.observed import Observed
from neuron_bench.step_model import StepModel
from study.engines import DRIFT, SEED, Engine, draw_engine, identity_of, judged, limits_of, measure, observe

ROUNDS, STEPS_MAX = 3, 6
RATE = r"([\d.]+(?:e[+-]?\d+)?)"
REASONS = {
    "too light to show a batch": "requests decoded together",
    "rate of a full replica not known": "rate of a full replica",
    "paces too far apart": "pace lay",
    "misses a left-out load step": "held out",
    "medians not known there": "medians are known",
    "beyond what was measured": "that was measured",
}


@dataclass(frozen=True)
class Refusal:
    """Of one engine: why, whether it would have been right, and what became of it after the steps that it names."""

    number: int
    reason: str
    would_be_within: bool
    rounds: int
    accepted: bool
    within: bool


def judge(number: int) -> Refusal | None:
    """None where the sweep is not refused at once."""
    engine = draw_engine(number)
    sweep = measure(engine)
    rng = np.random.default_rng([SEED, number, 7])
    reason, wrong, rounds = None, False, 0
    while True:
        model, why = _tried(engine, sweep)
        verdict = judged(engine, model) if why is None else None
        text = str(why) if why is not None else verdict.refused if verdict else None
        if text is None:
            assert verdict is not None
            return None if reason is None else Refusal(number, reason, wrong, rounds, True, verdict.within)
        if reason is None:
            reason, wrong = _reason(text), judged(engine, model, everywhere=True).within
        steps = list(named_rates(text, model, sweep))
        if rounds == ROUNDS or not steps:
            return Refusal(number, reason, wrong, rounds, False, False)
        sweep = [*sweep, *(observe(engine, rate / engine.knee_per_s, 1.0, rng) for rate in steps)]
        rounds += 1


def _tried(engine: Engine, sweep: Sequence[Observed]) -> tuple[StepModel, CalibrationError | None]:
    return fitted(sweep, limits_of(engine), identity_of(engine), drift=DRIFT)


def _reason(text: str) -> str:
    return next((name for name, mark in REASONS.items() if mark in text), "other")


def named_rates(text: str, model: StepModel, sweep: Sequence[Observed]) -> Iterator[float]:
    """Rates of the load steps that a refusal, or the note that it points to, says to measure."""
    if found := re.search(rf"measure at about {RATE} x {RATE}/s", text):
        yield float(found[1]) * float(found[2])
    elif (found := re.search(rf"measure at about {RATE}/s", text)) or (
        found := re.search(rf"measure .* at {RATE}/s once more", text)
    ):
        yield float(found[1])
    elif "measure the busiest step once more" in text:
        yield max(run.rate_per_s for run in sweep)
    elif found := re.search(rf"requests_per_s: {RATE} is beyond", text):
        yield float(found[1])
    else:
        notes = " ".join(model.notes)
        if found := re.search(rf"a queue begins near {RATE}/s: measure next a step there", notes):
            yield float(found[1])
        elif found := re.search(rf"at {RATE}/s pace and coefficients .* measure next: (\d+) more load steps", notes):
            yield from [float(found[1])] * min(int(found[2]), STEPS_MAX)


def table(found: Sequence[Refusal]) -> str:
    """Markdown, by reason."""
    lines = [
        "| refused because | n | would have been within the bar | accepted after what it names, in up to 3 rounds "
        "| of these within |",
        "|---|---|---|---|---|",
    ]
    for reason in [*dict.fromkeys(each.reason for each in found), None]:
        part = [each for each in found if reason in (None, each.reason)]
        ended = [each for each in part if each.accepted]
        lines.append(
            f"| {reason or 'all'} | {len(part)} | {sum(each.would_be_within for each in part)} | {len(ended)} "
            f"| {sum(each.within for each in ended)} |"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m study refusals", description=__doc__)
    parser.add_argument("--number", type=int, default=100)
    parser.add_argument("--processes", type=int, default=2)
    chosen = parser.parse_args(arguments)
    found: list[Refusal] = []
    with ProcessPoolExecutor(chosen.processes) as pool:
        for number, each in enumerate(pool.map(judge, range(chosen.number))):
            if each is not None:
                found.append(each)
                print(number, each, flush=True)
    print(f"of {chosen.number} engines\n\n{table(found)}")
