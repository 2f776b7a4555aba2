"""Which quotas a load run would pass, and when: its own arrivals, minute by minute, against what the account holds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from capacity.demand.calls import assumed_calls
from capacity.quotas.pressure import Pressure, mean_call_tokens, pressures_of
from capacity.quotas.quota import MINUTE_S, assumed_latency_s, granted_limits
from facts.account import Held, read_quotas
from facts.reader import models
from loadgen.job import Load
from loadgen.schedule.sessions import make_schedule
from peakday.account.pull import newest
from scenarios.schema import Scenario

UNKNOWN = "throttles     not known: no quotas held here; `peakday aws pull` reads them"


def throttle_lines(load: Load, scenario: Scenario, quotas: Path | None, direct: Sequence[str | None] = ()) -> list[str]:
    """Lines for a dry run: what will throttle and from when, else the nearest limit; from a file or the newest pull."""
    path = quotas or newest("quotas.yaml")
    if path is None:
        return [UNKNOWN]
    found = pressures(load, scenario, read_quotas(path), direct)
    if not found:
        return [f"throttles     not known: {path} names no quota of the models in use"]
    over = sorted((item for item in found if item.minutes_over), key=lambda item: item.minutes_over[0])
    if not over:
        near = max(found, key=lambda item: item.needed / item.granted)
        share = near.needed / near.granted
        return [f"throttles     nothing by the quotas held; nearest {_what(near)}, {share:.0%} of it ({near.source})"]
    return [f"throttles     {_what(item)}; {_when(item)} ({item.source})" for item in over]


def pressures(load: Load, scenario: Scenario, held: Held, direct: Sequence[str | None] = ()) -> list[Pressure]:
    """Every limit of every Bedrock model that the run calls. Token sizes and routes are the scenario's assumptions.

    `direct` are models that targets name themselves: they get one call a turn; ours gets what the scenario routes.
    """
    known = models()
    calls = assumed_calls(scenario, known, seed=load.seed)
    starts = interactions_by_minute(load)
    found = []
    for name in sorted(set(calls.model.tolist())):
        model = known[name]
        if model.supply != "bedrock" or (direct and model.model_id not in direct):
            continue
        per_interaction = calls.turns / calls.interactions if direct else calls.per_interaction(name)
        tokens = mean_call_tokens(calls, model, scenario.assistant.max_tokens)[0]
        latency_s = assumed_latency_s(float(calls.output_tokens[calls.of(name)].mean()))
        for region, per_minute in starts.items():
            limits = granted_limits(model, scenario.quotas.get(name), held.limits(model, region))
            if held.limits(model, region) is not None or name in scenario.quotas:
                found += pressures_of(name, region, per_minute * per_interaction, tokens, latency_s, limits)
    return found


def interactions_by_minute(load: Load) -> dict[str, np.ndarray]:
    """Interactions that start in each minute of the run, by region; float64[minutes]."""
    plan = make_schedule(load, json.loads(Path(load.messages).read_text())["messages"])
    total = len(plan.offset_s)
    if not total:
        return {}
    sample = plan.sessions(list(range(min(total, 500))))
    per_session = sum(len(session.interactions) for session in sample) / len(sample)
    minute = (plan.offset_s // MINUTE_S).astype(int)
    region = np.resize(plan.region, total)
    return {
        name: np.bincount(minute[region == place], minlength=int(minute[-1]) + 1) * per_session
        for place, name in enumerate(plan.regions)
    }


def _what(item: Pressure) -> str:
    return f"{item.model} in {item.region}: {item.needed:,.0f} {item.kind} asked, {item.granted:,.0f} held"


def _when(item: Pressure) -> str:
    first, count = item.minutes_over[0], len(item.minutes_over)
    if item.kind == "tpd":
        return f"the day's tokens are used up {_clock(first)} into the run"
    return f"throttles from {_clock(first)} into the run, in {count:,} minute{'' if count == 1 else 's'}"


def _clock(minute: int) -> str:
    return f"{minute // 60}:{minute % 60:02d} h"
