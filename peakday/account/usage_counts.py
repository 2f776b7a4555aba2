"""An account's calls by the minute as counts that `scenario fit` reads."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from capacity.demand.calls import assumed_calls
from facts.account import read_usage
from facts.reader import models
from peakday.errors import CommandError
from scenarios.loading import load_scenario


def write_counts(
    usage_file: Path, out: Path, parent: str, calls_per_interaction: float | None
) -> tuple[Path, float, tuple[str, ...]]:
    """Write the calls of each minute as a counts file; quiet minutes are 0.

    Returns:
        the file, interactions of one counted call, and lines that say where that figure comes from.

    Raises:
        CommandError: the file is there already.
        FactsError: the usage cannot be read.
    """
    if out.exists():
        raise CommandError(f"{out}: is there already; choose another --name")
    usage = read_usage(usage_file)
    lines = [
        f"{datetime.fromtimestamp(minute_s, tz=UTC):%Y-%m-%dT%H:%M:%SZ},{calls:g}"
        for minute_s, calls in usage.calls_by_minute().items()
    ]
    origin = "stated with --calls-per-interaction"
    if calls_per_interaction is None:
        calls_per_interaction = assumed_calls_per_interaction(parent, tuple(usage.per_call()))
        origin = f"as {parent} assumes for {', '.join(usage.per_call())}; state --calls-per-interaction if you know it"
    out.write_text("\n".join(["timestamp,count", *lines]) + "\n", encoding="utf-8")
    notes = (usage.source, f"{calls_per_interaction:.3g} model calls per conversation: {origin}")
    return out, 1 / calls_per_interaction, notes


def assumed_calls_per_interaction(parent: str, models_used: tuple[str, ...]) -> float:
    """Calls that the parent's conversation makes of the models that the account's usage shows."""
    scenario = load_scenario(parent, ())
    calls = assumed_calls(scenario, models(), seed=scenario.seed)
    calls_per_session = sum(calls.per_interaction(name) for name in models_used)
    if not calls_per_session:
        raise CommandError(
            f"--from {parent}: its conversations call none of {', '.join(models_used)}; state --calls-per-interaction"
        )
    return calls_per_session
