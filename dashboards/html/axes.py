"""What every chart over a run's time shares: its length, the injected faults, the SLOs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dashboards.html.charts import Limit, Span
from dashboards.numbers.units import show
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
    """Injected faults, and storms of auto-buy rules, as marks on a time axis."""
    spans = [Span(fault["start_s"], fault["end_s"], _fault_words(fault)) for fault in info.get("faults") or ()]
    storm = (((info.get("totals") or {}).get("autobuy") or {}).get("chat_ttft_s") or {}).get("storm_at_s")
    return spans if storm is None else [*spans, Span(storm, storm + 1, "rule storm")]


def _fault_words(fault: Mapping[str, Any]) -> str:
    share = fault.get("ratio", 1.0)
    part = "" if share == 1 else f"{show(share, 'ratio')} of calls"
    return " ".join(filter(None, (fault["kind"].replace("_", " "), fault.get("model"), fault.get("region"), part)))


def slo_limits(info: Mapping[str, Any], metric: str) -> list[Limit]:
    """The scenario's SLOs for a metric, as lines."""
    slo = ((info.get("scenario") or {}).get("resolved") or {}).get("slo") or {}
    return [
        Limit(float(value), f"SLO {name.removeprefix(metric + '_')} {show(float(value), 's')}")
        for name, value in slo.items()
        if value is not None and name.startswith(f"{metric}_p")
    ]
