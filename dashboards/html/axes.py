"""What every chart over a run's time shares: its length, the injected faults, the SLOs."""

from __future__ import annotations

import numpy as np

from dashboards.html.charts import Limit, Span
from dashboards.numbers.units import show
from loadgen.record import Run
from loadgen.run_info import FaultSpan, RunInfo


def run_span_s(run: Run) -> float:
    """Length of the run's time axis: to the last arrival or the last second the generator wrote, at least 1 s."""
    ends = [1.0]
    if len(run.turns):
        ends.append(float(np.nanmax(run.turns["intended_start_s"].to_numpy(dtype=float, na_value=0.0))))
    if len(run.generator):
        ends.append(float(run.generator["second"].max()) + 1)
    return max(ends)


def fault_spans(info: RunInfo) -> list[Span]:
    """Injected faults, and storms of auto-buy rules, as marks on a time axis."""
    spans = [Span(fault.start_s, fault.end_s, _fault_words(fault)) for fault in info.faults or ()]
    autobuy = info.totals.autobuy if info.totals else None
    if autobuy is None or autobuy.chat_ttft_s is None:
        return spans
    storm_s = autobuy.chat_ttft_s.storm_at_s
    return [*spans, Span(storm_s, storm_s + 1, "rule storm")]


def _fault_words(fault: FaultSpan) -> str:
    part = "" if fault.ratio == 1 else f"{show(fault.ratio, 'ratio')} of calls"
    return " ".join(filter(None, (fault.kind.replace("_", " "), fault.model, fault.region, part)))


def slo_limits(info: RunInfo, metric: str) -> list[Limit]:
    """The scenario's SLOs for a metric, as lines."""
    slo = info.scenario.slo if info.scenario else {}
    return [
        Limit(float(value), f"SLO {name.removeprefix(metric + '_')} {show(float(value), 's')}")
        for name, value in slo.items()
        if value is not None and name.startswith(f"{metric}_p")
    ]
