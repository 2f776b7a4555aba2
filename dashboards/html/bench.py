"""The parts of a bench report: what one chip did with one model, by phase."""

from __future__ import annotations

import pandas as pd

from dashboards.html import charts
from dashboards.html.charts import COLOURS
from dashboards.html.page import Banner, Cell, Panel, Part, Table
from dashboards.numbers.units import UNKNOWN, show
from neuron_bench.record import Bench

CURVE_HEIGHT, LEGEND_ROW = 280, 20
"""Pixels of a curve, and of each name above it."""


def bench_banners(bench: Bench) -> list[Banner]:
    """How strong the record is, and what was set aside."""
    kinds = sorted(set(bench.cases["provenance"].dropna()))
    banners = []
    if "simulated" in kinds:
        banners.append(
            Banner("warn", "SIMULATED", "Some cases were measured on an emulator; they say nothing about a chip.")
        )
    if "schema_example" in kinds:
        banners.append(Banner("bad", "EXAMPLE", "Values are invented to test parsers. No plan may use them."))
    flagged = bench.cases[bench.cases["flags"].fillna("") != ""]
    if len(flagged):
        reasons = [f"{row['record_id']}: {row['flags']}" for row in flagged.to_dict("records")[:8]]
        banners.append(
            Banner("warn", "FLAGGED", f"{len(flagged)} of {len(bench.cases)} cases are kept and not used.", reasons)
        )
    contended = int(bench.cases["contended"].fillna(False).astype(bool).sum())
    if contended:
        banners.append(Banner("warn", "CONTENDED", f"{contended} cases shared the machine with other work."))
    return banners


def bench_facts(bench: Bench) -> list[tuple[str, str]]:
    """Where the bench comes from."""
    cases = bench.cases
    names = {"Chip": "chip", "Device": "device_kind", "Model": "model_id", "Provenance": "provenance"}
    return [(title, ", ".join(sorted(map(str, set(cases[column].dropna()))))) for title, column in names.items()]


def bench_parts(bench: Bench) -> list[Part]:
    """A part per phase that the record holds."""
    used = bench.cases[bench.cases["flags"].fillna("") == ""]
    if not len(used):
        return [Part("cases", "Cases", [Panel("Cases", "The record holds no usable case.")])]
    return [
        Part(f"phase-{phase}", str(phase).capitalize(), _phase_panels(str(phase), rows))
        for phase, rows in used.groupby("phase", sort=False)
    ]


def _phase_panels(phase: str, rows: pd.DataFrame) -> list[Panel]:
    panels = [Panel("Cases", f"{len(rows)} usable cases.", _case_table(rows))]
    for x, y, title, unit in _CURVES:
        if rows[[x, y]].dropna().drop_duplicates().shape[0] > 2:
            panels.append(_curve(rows, x, y, title, unit))
    return panels


_CURVES = (
    ("concurrency", "output_tokens_per_s", "Throughput against concurrency", "tokens/s"),
    ("requests_per_s", "ttft_s_mean", "TTFT against load", "s"),
    ("requests_per_s", "tpot_s_mean", "TPOT against load", "s"),
    ("batch", "wall_s_p50", "Wall time against batch", "s"),
    ("input_tokens", "wall_s_p50", "Wall time against input tokens", "s"),
)
_COLUMNS = (
    ("model_id", "Model", ""),
    ("chip", "Chip", ""),
    ("tp", "TP", "count"),
    ("batch", "Batch", "count"),
    ("input_tokens", "Input", "count"),
    ("output_tokens", "Output", "count"),
    ("concurrency", "Concurrency", "count"),
    ("wall_s_p50", "Wall p50", "s"),
    ("ttft_s_mean", "TTFT mean", "s"),
    ("tpot_s_mean", "TPOT mean", "s"),
    ("output_tokens_per_s", "Tokens/s", "count"),
    ("mfu_ratio", "FLOPs share", "ratio"),
    ("n_samples", "n", "count"),
    ("provenance", "Provenance", ""),
)


def _case_table(rows: pd.DataFrame) -> Table:
    columns = [column for column in _COLUMNS if rows[column[0]].notna().any()]
    body: list[list[Cell]] = [[_cell(row[name], unit) for name, _, unit in columns] for row in rows.to_dict("records")]
    texts = tuple(i for i, (_, _, unit) in enumerate(columns) if not unit)
    return Table("Usable cases", [title for _, title, _ in columns], body, text_columns=texts)


def _cell(value: object, unit: str) -> str:
    if value is None or value != value:
        return UNKNOWN
    return show(float(str(value)), unit) if unit else str(value)


def _curve(rows: pd.DataFrame, x: str, y: str, title: str, unit: str) -> Panel:
    known = rows.dropna(subset=[x, y]).sort_values(x)
    groups = list(known.groupby(["model_id", "chip"], sort=False))
    height = CURVE_HEIGHT + LEGEND_ROW * len(groups)
    chart = charts.base(
        height=height,
        hovermode="closest",
        xaxis={"title": {"text": x.replace("_", " ")}, "rangemode": "tozero"},
        yaxis={"title": {"text": unit}},
    )
    for index, ((model, chip), group) in enumerate(groups):
        label = f"{str(model).rpartition('/')[2]}, {chip}"
        chart["data"].append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": label,
                "x": [float(v) for v in group[x]],
                "y": [float(v) for v in group[y]],
                "line": {"color": COLOURS[index % 6], "width": 1.6},
                "marker": {"size": 8, "symbol": ("circle", "diamond", "square", "x")[index % 4]},
            }
        )
    low, high = float(known[y].min()), float(known[y].max())
    table = Table(
        title,
        (x.replace("_", " "), y.replace("_", " "), "Model"),
        [
            [_cell(r[x], "count"), _cell(r[y], "s" if unit == "s" else "count"), str(r["model_id"])]
            for r in known.to_dict("records")
        ],
        text_columns=(2,),
    )
    kind = "s" if unit == "s" else "count"
    return Panel(
        title,
        f"From {show(low, kind)} to {show(high, kind)} over the range measured; nothing outside it is claimed.",
        table,
        chart,
    )
