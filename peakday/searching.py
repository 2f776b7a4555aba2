"""The highest rate at which every SLO of a scenario holds: short runs, halving what is not yet known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from peakday.output import Talk
from peakday.rehearsal import LoadOptions, rehearse


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
    """Bisect between two rates; every trial leaves its own run record.

    Raises:
        LoadError: the scenario promises nothing, or a run stays invalid.
    """
    from loadgen.search import max_rate
    from scenarios.loading import load_scenario

    slo = load_scenario(scenario, sets).slo.model_dump()

    def run(rate_per_s: float) -> dict[str, Any]:
        talk.say(f"trying {rate_per_s:.3g} interactions/s")
        return rehearse(scenario, sets, replace(options, rate_per_s=rate_per_s), seed=seed, talk=talk).info

    found = max_rate(run, slo, low_per_s, high_per_s)
    lines = [f"{trial.rate_per_s:8.3g}/s  {trial.result:<7} {trial.reason}" for trial in found.trials]
    lines.append(f"held up to {_rate(found.held_per_s)}, missed from {_rate(found.missed_per_s)}")
    if not found.monotone:
        lines.append("a higher rate held than one that missed: noise is larger than the step; use a longer --for")
    return "\n".join(lines), asdict(found)


def _rate(rate_per_s: float | None) -> str:
    return "no rate tried" if rate_per_s is None else f"{rate_per_s:.3g} interactions/s"
