"""The HTML report of a record of any kind."""

from __future__ import annotations

from pathlib import Path

from peakday.folders import find_any


def draw(wanted: str, out: Path | None) -> Path:
    """Write the report beside its record, or where asked; returns its path.

    Raises:
        CommandError: there is no such record.
    """
    from dashboards.report import write_report

    kind, folder = find_any(wanted)
    target = out or folder / "report.html"
    if kind == "runs":
        from loadgen.record import load_run

        return write_report(target, run=load_run(folder), plan=None, bench=None)
    if kind == "plans":
        from capacity.plan import load_plan

        return write_report(target, run=None, plan=load_plan(folder), bench=None)
    from neuron_bench.record import load_bench

    return write_report(target, run=None, plan=None, bench=load_bench(folder))
