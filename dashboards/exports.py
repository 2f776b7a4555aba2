"""What `peakday export` writes: csv, xlsx, prometheus and grafana files of one record."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import pandas as pd

from capacity.plan import Plan
from dashboards.html.run.page import verdict_banner
from dashboards.numbers.plan import bench_numbers, plan_numbers
from dashboards.numbers.run import Number, run_numbers
from dashboards.numbers.slices import COLUMNS as SLICE_COLUMNS
from dashboards.numbers.slices import slices
from dashboards.numbers.stored import StoredRun
from dashboards.prometheus.exposition import plan_rules, run_exposition
from dashboards.prometheus.grafana import write_dashboards
from dashboards.workbook.book import write_xlsx
from dashboards.workbook.sheets import Book, Cell
from host.atomic import write_text, written_aside
from host.documentation import page_of
from host.tables import csv_text
from loadgen.record import Run
from loadgen.tables import TABLES
from neuron_bench.record import Bench
from wire.text import Untrusted

COLUMNS = ("name", "labels", "label", "value", "lo", "hi", "unit", "n", "n_tail", "censored", "simulated", "provenance")


@dataclass(frozen=True)
class Record:
    """One record of any kind, with its numbers and the words that say whether to believe it."""

    kind: str
    name: str
    numbers: list[Number]
    words: str
    source: Run | Plan | Bench


def record_of(source: Run | Plan | Bench) -> Record:
    """The common face of a run, a plan and a bench."""
    if isinstance(source, Run):
        banner = verdict_banner(source.info)
        return Record("run", source.run_id, run_numbers(source), f"{banner.word}: {banner.text}", source)
    if isinstance(source, Plan):
        words = "SIMULATED inputs touched this plan" if source.simulated else source.first_limit_exceeded
        return Record("plan", source.plan_id, plan_numbers(source), words, source)
    return Record("bench", source.bench_id, bench_numbers(source), f"{len(source.cases)} cases", source)


def export_csv(source: Run | Plan | Bench, folder: Path) -> list[Path]:
    """`numbers.csv`, and the tables of a run or the cases of a bench as they are."""
    record = record_of(source)
    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / "numbers.csv"]
    rows = ([_csv_cell(value) for value in _row(number)] for number in record.numbers)
    write_text(written[0], csv_text(COLUMNS, rows))
    frames = {}
    if isinstance(source, Run):
        frames = {name: getattr(source, name) for name in TABLES}
    elif isinstance(source, Bench):
        frames = {"cases": source.cases}
    for name, frame in frames.items():
        if len(frame):
            written.append(folder / f"{name}.csv")
            write_text(written[-1], _spelled(frame).to_csv(index=False))
    return written


def export_slices(folder: Path, slice_s: float, out: Path) -> Path:
    """Every metric of a run by time slice as one CSV; the run is read a batch at a time and never whole.

    Raises:
        SliceError: a length that makes too many slices.
    """
    rows = ([getattr(one, name) for name in SLICE_COLUMNS] for one in slices(StoredRun(folder), slice_s))
    write_text(out, csv_text(SLICE_COLUMNS, rows))
    return out


def _spelled(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with every text as a spreadsheet may open it: no formula, no control character."""
    spelled = {}
    for name in frame.columns:
        column = frame[name]
        if pd.api.types.is_numeric_dtype(column.dtype):
            continue
        codes, texts = pd.factorize(column)
        safe = [Untrusted(text).cell if isinstance(text, str) else text for text in texts]
        spelled[name] = pd.Series([safe[code] if code >= 0 else None for code in codes], index=frame.index)
    return frame.assign(**spelled)


def export_xlsx(source: Run | Plan | Bench, out: Path) -> Path:
    """A plan as a live workbook; any other record as a sheet of its numbers."""
    if isinstance(source, Plan):
        return write_xlsx(source, out)
    record = record_of(source)
    with written_aside(out) as aside, Book(aside, f"{record.kind.capitalize()} {record.name}") as book:
        sheet = book.sheet("Numbers", record.words, (30, 30, 34, *([14] * 9)))
        sheet.head(COLUMNS)
        for number in record.numbers:
            cells: list[Cell] = [*_row(number)]
            sheet.write(
                cells, ["text"] * 3 + ["number"] * 3 + ["text", "whole", "whole"] + ["text"] * 3, number.simulated
            )
        sheet.page.freeze_panes(sheet.row - len(record.numbers), 1)
    return out


def _csv_cell(value: str | float | int | bool | None) -> str | float | int | bool | None:
    return Untrusted(value).cell if isinstance(value, str) else value


def _row(number: Number) -> tuple[str | float | int | bool | None, ...]:
    labels = ";".join(f"{key}={value}" for key, value in number.labels)
    own = {**vars(number), "labels": labels}
    return tuple(own[column] for column in COLUMNS)


def export_prometheus(folder: Path, sources: Iterable[Run | Plan] = ()) -> list[Path]:
    """Scrape configuration and rules; a plan as `plan.rules.yml`, a run as `RUN_ID.prom`."""
    written = [_asset(name, folder / name) for name in ("prometheus.yml", "targets.json", "peakday.rules.yml")]
    for source in sources:
        name, text = (
            ("plan.rules.yml", plan_rules(source))
            if isinstance(source, Plan)
            else (f"{source.run_id}.prom", run_exposition(source))
        )
        written.append(folder / name)
        write_text(written[-1], text)
    return written


def export_grafana(folder: Path) -> list[Path]:
    """Dashboards and the files that provision them."""
    provisioning = folder / "provisioning"
    return [
        *write_dashboards(folder / "dashboards"),
        _asset("datasource.yaml", provisioning / "datasources" / "peakday.yaml"),
        _asset("dashboards.yaml", provisioning / "dashboards" / "peakday.yaml"),
    ]


def _asset(name: str, out: Path) -> Path:
    text = files("dashboards").joinpath("assets", name).read_text(encoding="utf-8")
    write_text(out, text.replace("runbook_url: docs/alerts.md", f"runbook_url: {page_of('alerts')}"))
    return out
