"""The panel of SLOs: limit, measured with its interval, result."""

from __future__ import annotations

from collections.abc import Sequence

from dashboards.html.page import Cell, Panel, Table
from dashboards.numbers.run import Number
from dashboards.numbers.slo import MET, MISSED, slo_results
from loadgen.record import Run

_MARKS = {MET: "✓ met", MISSED: "✕ missed"}
COLUMNS = ("SLO", "Limit", "Measured", "Interval", "Result", "Evidence")


def slo_panels(run: Run, numbers: Sequence[Number]) -> list[Panel]:
    """One row per SLO of the scenario; nothing where it states none."""
    results = slo_results(run, list(numbers))
    if not results:
        return []
    rows: list[list[Cell]] = [
        [item.slo.name, item.limit, item.value, item.interval, _MARKS.get(item.result, item.result), item.evidence]
        for item in results
    ]
    missed = [item.slo.name for item in results if item.result == MISSED]
    unknown = [item.slo.name for item in results if item.result not in _MARKS]
    words = f"Missed: {', '.join(missed)}." if missed else "None was surely missed."
    words += f" Too few turns to tell: {', '.join(unknown)}." if unknown else ""
    return [Panel("SLOs", words, Table("The scenario's SLOs", COLUMNS, rows, text_columns=(0, 4, 5)))]
