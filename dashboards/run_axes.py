"""What every chart over a run's time shares: its length, the injected faults, the promises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dashboards.charts import Limit, Span
from dashboards.units import show
from loadgen.record import Run


def run_span_s(run: Run) -> float:
    """Length of the run's time axis: to the last arrival or the last second the generator wrote, at least 1 s."""
    ends = [1.0]
    if len(run.turns):
        ends.append(float(np.nanmax(run.turns["intended_start_s"].to_numpy(dtype=float, na_value=0.0))))
    if len(run.generator):
        ends.append(float(run.generator["second"].max()) + 1)
    return max(ends)


def fault_spans(info: Mapping[str, Any]) -> list[Span]:
    """Injected faults as marks on a time axis."""
    faults = ((info.get("scenario") or {}).get("resolved") or {}).get("faults") or ()
    return [
        Span(f["at_s"], f["at_s"] + f["length_s"], " ".join(filter(None, (f["kind"], f.get("model"), f.get("region")))))
        for f in faults
    ]


def slo_limits(info: Mapping[str, Any], metric: str) -> list[Limit]:
    """The scenario's promises for a metric, as lines."""
    slo = ((info.get("scenario") or {}).get("resolved") or {}).get("slo") or {}
    return [
        Limit(float(value), f"SLO {name.removeprefix(metric + '_')} {show(float(value), 's')}")
        for name, value in slo.items()
        if value is not None and name.startswith(f"{metric}_p")
    ]
