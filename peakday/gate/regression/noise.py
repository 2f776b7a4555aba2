"""This machine's noise: how much equal runs differ, what change can therefore be seen, what certainty costs in time.

The noise file grows by a session each time `check --noise` is run: run-to-run scatter comes from within sessions, the
machine's drift from within and between them. Sessions count together where machine, system and load are the same.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import NotRequired, TypedDict

import numpy as np
from scipy.optimize import brentq
from scipy.special import gammaincinv, ndtr, stdtrit

from host.json_text import read_json_object
from peakday.errors import CommandError
from peakday.gate.regression.decision import log_margin, spend
from peakday.gate.settings import Regression

FILE = "noise.json"
SCHEMA = "peakday.noise/1"
POWER = 0.9
HOPELESS = 0.25
"""A run-to-run scatter of wall time beyond this: the gate should go by CPU time, which a busy neighbour moves less."""
_LOOP = 2_000_000
_ERROR_MIN = 1e-6
ALIKE = ("host", "target", "scenario", "rate_per_s", "for_s", "processes")
"""What two sessions must have in common to be of one noise."""


class Session(TypedDict):
    """A/A runs of one system, one after another. runs: {metric: value} of each; run_s: mean seconds of one in all."""

    utc: str
    host: Mapping[str, object]
    target: str
    scenario: str
    rate_per_s: float | None
    for_s: float
    processes: int
    run_s: float
    invalid: NotRequired[int]
    runs: Sequence[Mapping[str, float | None]]


class Noise(TypedDict):
    """The content of noise.json."""

    schema: str
    sessions: list[Session]


@dataclass(frozen=True)
class Scatter:
    """Of one metric, as standard deviations of its logarithm: run by run, and of the machine's slow drift."""

    run: float
    drift: float


@dataclass(frozen=True)
class Seen:
    """What a gate can see with so many pairs: the smallest change caught nine times in ten, and what it takes."""

    pairs: int
    change: float
    time_s: float


def add_session(path: Path, session: Session) -> Noise:
    """Append a session of A/A runs and return the whole file.

    Raises:
        CommandError: the file is there and is no noise file.
    """
    known: Noise = read_noise(path) if path.is_file() else {"schema": SCHEMA, "sessions": []}
    known["sessions"].append(session)
    path.write_text(json.dumps(known, indent=1, allow_nan=False) + "\n")
    return known


def read_noise(path: Path) -> Noise:
    """The checked content of a noise file."""
    known = read_json_object(path, error=CommandError)
    if known.get("schema") != SCHEMA:
        raise CommandError(f"{path}: schema is {known.get('schema')!r}, this peakday reads {SCHEMA!r}")
    sessions = known.get("sessions")
    if not isinstance(sessions, list) or not all(map(_is_session, sessions)):
        raise CommandError(f"{path}: `sessions` is no list of sessions with runs; measure again with `check --noise`")
    return {"schema": SCHEMA, "sessions": sessions}


def _is_session(value: object) -> bool:
    runs = value.get("runs") if isinstance(value, dict) else None
    return isinstance(runs, list) and all(isinstance(run, dict) for run in runs)


def like_the_last(noise: Noise) -> Noise:
    """The file with the sessions alone that were measured as its last one was."""
    *_, last = noise["sessions"]
    alike = [one for one in noise["sessions"] if all(one.get(name) == last.get(name) for name in ALIKE)]
    return {**noise, "sessions": alike}


def scatters(noise: Noise, metrics: Sequence[str]) -> dict[str, Scatter]:
    """Scatter of every metric that all runs have.

    Run by run: from differences of neighbours in time, halved in variance, which a slow drift hardly touches (von
    Neumann 1941). Drift: what the plain variance holds beyond it, within sessions, and between their means.
    """
    scatters_by_metric = {}
    for metric in metrics:
        logs = [_logs(session, metric) for session in noise["sessions"]]
        logs = [values for values in logs if len(values) >= 3]
        if logs:
            scatters_by_metric[metric] = _scatter(logs)
    return scatters_by_metric


def _logs(session: Session, metric: str) -> list[float]:
    values = [run.get(metric) for run in session["runs"]]
    positive = [value for value in values if value is not None and value > 0]
    return [math.log(value) for value in positive] if len(positive) == len(values) else []


def _scatter(sessions: Sequence[Sequence[float]]) -> Scatter:
    steps = [(b - a) ** 2 / 2 for values in sessions for a, b in pairwise(values)]
    run = math.fsum(steps) / len(steps)
    within = math.fsum(_variance(values) * (len(values) - 1) for values in sessions)
    within /= sum(len(values) - 1 for values in sessions)
    means = [math.fsum(values) / len(values) for values in sessions]
    between = _variance(means) if len(means) > 1 else 0.0
    return Scatter(math.sqrt(run), math.sqrt(max(0.0, within - run) + between))


def _variance(values: Sequence[float]) -> float:
    mean = math.fsum(values) / len(values)
    return math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)


def seen(scatter: Scatter, metric: str, gate: Regression, run_s: float) -> list[Seen]:
    """For each look the smallest true change that fails the gate with probability `POWER`, and the time it takes.

    The other metrics are counted in by Bonferroni, and every scatter that so few pairs may show by its chance.
    """
    looks = []
    margin = log_margin(metric, gate.metrics.get(metric, 0.10))
    for pairs, alpha in zip(gate.looks, spend(gate.alpha, gate.looks), strict=True):
        error = max(math.sqrt(2) * scatter.run / math.sqrt(pairs), _ERROR_MIN)
        critical = float(stdtrit(pairs - 1, 1 - alpha / len(gate.metrics)))
        missed = partial(_missed, margin=margin, error=error, critical=critical, pairs=pairs)
        looks.append(Seen(pairs, math.expm1(brentq(missed, 0.0, margin + 20 * critical * error)), 2 * pairs * run_s))
    return looks


def _missed(change: float, margin: float, error: float, critical: float, pairs: int) -> float:
    """`POWER` less the chance that a change fails the gate: its lower bound beyond half the margin, its mean beyond it.

    Source: the scatter that pairs show is the true one x sqrt(chi squared / degrees of freedom), and is independent of
    their mean (Student 1908); so the chance is a mean over its quantiles.
    """
    share = (np.arange(400) + 0.5) / 400
    shown = np.sqrt(2 * gammaincinv((pairs - 1) / 2, share) / (pairs - 1))
    needed = np.maximum(margin / 2 + critical * error * shown, margin)
    return POWER - float(np.mean(ndtr((change - needed) / error)))


def calibration_loop() -> tuple[float, float]:
    """CPU and wall seconds of a fixed loop: how fast this machine is right now, and whether somebody shares it."""
    wall, cpu = time.perf_counter(), time.process_time()
    total = 0
    for number in range(_LOOP):
        total += number & 7
    assert total
    return time.process_time() - cpu, time.perf_counter() - wall
