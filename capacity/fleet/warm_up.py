"""How long before it serves a replica must be started: what the scenario says, or longer where a bench took longer."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from capacity.plan import InputNote
from neuron_bench.record import Bench
from scenarios.schema import Scenario


def with_measured_warm_up(scenario: Scenario, benches: Sequence[Bench]) -> tuple[Scenario, tuple[InputNote, ...]]:
    """The scenario, its `capacity.resilience.warm_up_lag_s` no shorter than the slowest compile and load of a bench.

    A bench times the loading of weights and graphs, and compiling where the store had none; booting the instance and
    fetching the image come on top, so a shorter measurement never shortens what was stated.
    """
    stated_s = scenario.capacity.resilience.warm_up_lag_s
    timed = [(_slowest_s(bench, "compile_s") + _slowest_s(bench, "load_s"), bench) for bench in benches]
    timed = [(seconds, bench) for seconds, bench in timed if seconds > 0]
    if not timed:
        return scenario, ()
    seconds, bench = max(timed, key=lambda row: row[0])
    value = f"{seconds:,.0f} s to compile and load, {stated_s:,.0f} s stated; the longer is planned"
    origin = str(bench.info.get("provenance", "measured"))
    note = InputNote("bench", f"warm-up of {bench.bench_id}", value, origin, "bench record")
    if seconds <= stated_s:
        return scenario, (note,)
    resilience = scenario.capacity.resilience.model_copy(update={"warm_up_lag_s": seconds})
    capacity = scenario.capacity.model_copy(update={"resilience": resilience})
    return scenario.model_copy(update={"capacity": capacity}), (note,)


def _slowest_s(bench: Bench, column: str) -> float:
    """The largest value of a column of seconds; 0 where nothing was timed."""
    if column not in bench.cases:
        return 0.0
    slowest = pd.to_numeric(bench.cases[column], errors="coerce").max()
    return 0.0 if pd.isna(slowest) else float(slowest)
