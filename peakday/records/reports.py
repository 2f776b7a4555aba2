"""Files drawn from a record of any kind: its HTML report, and its exports."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from capacity.plan import Plan, load_plan
from dashboards import exports
from dashboards.focus.sheet import export_focus
from dashboards.llmd_report import llmd_report
from dashboards.numbers.why import why
from dashboards.order.tickets import export_tickets
from dashboards.report import load_for_report, write_report
from host.atomic import write_text
from loadgen.record import Run, load_run
from neuron_bench.record import Bench, load_bench
from peakday.errors import CommandError
from peakday.records.folders import find_any, find_record
from peakday.watch import alerts
from wire.text import Untrusted

FORMS = ("csv", "xlsx", "prometheus", "grafana", "llmd-report", "focus", "tickets")


def load_any(wanted: str, *, for_report: bool = False) -> tuple[Run | Plan | Bench, Path]:
    """A record of any kind, and its folder; for a report only the columns that it shows.

    Raises:
        CommandError: there is no such record.
    """
    kind, folder = find_any(wanted)
    if kind == "runs":
        return (load_for_report if for_report else load_run)(folder), folder
    if kind == "plans":
        return load_plan(folder), folder
    return load_bench(folder), folder


def draw(wanted: str, out: Path | None) -> Path:
    """Write the report beside its record, or where asked; returns its path."""
    record, folder = load_any(wanted, for_report=True)
    return write_report(
        out or folder / "report.html",
        run=record if isinstance(record, Run) else None,
        plan=None if isinstance(record, Run | Bench) else record,
        bench=record if isinstance(record, Bench) else None,
    )


def explain_number(wanted: str, number: str) -> tuple[str, dict[str, object]]:
    """The chain of one number of a plan, as lines and as data.

    Raises:
        CommandError: there is no such plan.
        WhyError: the plan holds no such number with a chain.
    """
    chain = why(load_plan(find_record("plans", wanted)), number)
    lines = [f"{place}. {link.text}" for place, link in enumerate(chain.links, 1)]
    head = f"{chain.number.key} = {chain.number.text}"
    text = "\n".join(Untrusted(line).terminal for line in (head, *lines))
    data = {"number": chain.number.key, "value": chain.number.value, "unit": chain.number.unit}
    return text, {**data, "links": [asdict(link) for link in chain.links]}


def _sliced(form: str, wanted: str) -> Path:
    """The folder of a run whose slices are asked for."""
    kind, folder = find_any(wanted)
    if form != "csv" or kind != "runs":
        raise CommandError(f"export {form} {wanted} --slice: time slices are a csv of a run; leave --slice out")
    return folder


def export_record(
    form: str, wanted: str, out: Path | None, slice_s: float | None = None, starts: datetime | None = None
) -> list[Path]:
    """Write the files of one form; returns their paths. starts: of the event, for the alerts of a plan.

    Raises:
        CommandError: an unknown form, or a record that has no such form.
    """
    if form not in FORMS:
        raise CommandError(f"export {form!r}: expected one of {', '.join(FORMS)}")
    if form == "grafana":
        return exports.export_grafana(out or Path("grafana"))
    if slice_s is not None:
        folder = _sliced(form, wanted)
        return [exports.export_slices(folder, slice_s, (out or folder / "csv") / "slices.csv")]
    record, folder = load_any(wanted)
    if form == "csv":
        return exports.export_csv(record, out or folder / "csv")
    if form == "xlsx":
        return [exports.export_xlsx(record, out or folder / f"{folder.name}.xlsx")]
    if form == "llmd-report":
        if not isinstance(record, Run):
            raise CommandError(f"{wanted}: llm-d's benchmark report is of a run; export a run")
        path = out or folder / "llmd-report.json"
        write_text(path, llmd_report(record))
        return [path]
    if isinstance(record, Bench):
        raise CommandError(f"{wanted}: a bench has no {form} form; export a run or a plan")
    if form == "focus":
        return [export_focus(record, out or folder / "focus.csv")]
    if form == "tickets":
        return [export_tickets(record, out or folder / "tickets.csv")]
    folder = out or Path("prometheus")
    written = exports.export_prometheus(folder, [record])
    if isinstance(record, Plan):
        written.append(folder / alerts.FILE)
        write_text(written[-1], alerts.plan_alerts(record, starts))
    return written
