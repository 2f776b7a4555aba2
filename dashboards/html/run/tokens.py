"""Panels on tokens: what the prompt cache saved, and what the rest cost."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from dashboards.html import charts
from dashboards.html.axes import fault_spans
from dashboards.html.charts import Line
from dashboards.html.page import Cell, Panel, Table
from dashboards.numbers import series
from dashboards.numbers.run import Number
from dashboards.numbers.units import clock, show
from loadgen.record import Run


def cache_panels(run: Run, numbers: Sequence[Number], span_s: float) -> list[Panel]:
    """Hit rate by level of the prompt, for the window and over time."""
    hits = [number for number in numbers if number.group == "cache"]
    table = Table("Input tokens read from cache", ("Level", "Share"), [[n.label.split(", ")[-1], n] for n in hits])
    if not len(run.calls) or run.calls["input_tokens"].isna().all():
        return [Panel("Hit rate by level", "The record holds no token usage, so no hit rate.", table if hits else None)]
    width = series.bin_width_s(span_s)
    at, shares = _shares_over_time(run, width)
    lines = [Line(level, at * width, share, style) for style, (level, share) in enumerate(shares.items())]
    chart = charts.lines(lines, "ratio", span_s, spans=fault_spans(run.info))
    chart["layout"]["yaxis"]["range"] = [0, 1.02]
    rows: list[list[Cell]] = [
        [clock(float(start), span_s), *[show(float(line.y[i]), "ratio") for line in lines]]
        for i, start in enumerate(at * width)
    ]
    over_time = Table("Hit rate by time", ("From", *[line.name for line in lines]), rows)
    return [
        Panel("Hit rate by level", _hit_sentence(hits), table),
        Panel(
            "Hit rate over time",
            "A cold start climbs to a plateau; a drop later means prefixes expired or changed.",
            over_time,
            chart,
        ),
    ]


_SLICE = 200_000
"""Calls looked at in one go: a record of millions needs no copy of itself."""


def _shares_over_time(run: Run, width: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Bins that hold a call, and for each level of the prompt the share read from cache in each of them."""
    starts = call_starts_s(run)
    timed = np.isfinite(starts)
    bins = np.where(timed, starts // width, 0).astype(np.int64)
    low, size = int(bins.min(initial=0)), int(bins.max(initial=0) - bins.min(initial=0)) + 1
    sums: dict[str, np.ndarray] = {}
    for lo in range(0, len(starts), _SLICE):
        piece = slice(lo, lo + _SLICE)
        for level, read, total in series.cache_levels(run.calls.iloc[piece]):
            for row, tokens in enumerate((read, total)):
                added = np.bincount(bins[piece] - low, weights=tokens * timed[piece], minlength=size)
                sums.setdefault(level, np.zeros((2, size)))[row] += added
    filled = np.flatnonzero(np.bincount(bins[timed] - low, minlength=size))
    shares = {}
    for level, (read, total) in sums.items():
        shares[level] = np.divide(read, total, out=np.full(size, np.nan), where=total > 0)[filled]
    return filled + low, shares


def _hit_sentence(hits: Sequence[Number]) -> str:
    overall = next((n for n in hits if dict(n.labels).get("level") == "all"), hits[0] if hits else None)
    if overall is None:
        return "The record holds no hit rate in its totals."
    return (
        f"{overall.text} of all input tokens were read from cache. Shared is tools and system text, then the "
        "customer's memory, then the conversation."
    )


def call_starts_s(run: Run) -> np.ndarray:
    """Start of each call on the run's clock: the turn's intended start plus the call's own offset; NaN if unknown."""
    turns, calls = run.turns, run.calls
    codes, _ = pd.factorize(pd.concat([turns["interaction_id"], calls["interaction_id"]], ignore_index=True))
    index = [rows["turn_index"].to_numpy(dtype=np.int64, na_value=-1) for rows in (turns, calls)]
    place = max((int(rows.max(initial=0)) for rows in index), default=0) + 2
    own, wanted = codes[: len(turns)] * place + index[0], codes[len(turns) :] * place + index[1]
    known = np.full(int(max(own.max(initial=0), wanted.max(initial=0))) + 1, np.nan)
    known[own] = turns["intended_start_s"].to_numpy(dtype=float, na_value=np.nan)
    on_run_clock: np.ndarray = known[wanted] + calls["start_s"].to_numpy(dtype=float, na_value=0.0)
    return on_run_clock


def cost_panels(run: Run, numbers: Sequence[Number]) -> list[Panel]:
    """Tokens and dollars of the window, and dollars by model."""
    table = Table("Totals", ("Figure", "Value"), [[n.label, n] for n in numbers if n.group in ("tokens", "cost")])
    panels = [Panel("Totals", "What the window consumed and what it cost at list price.", table)]
    priced = run.calls[["model", "cost_usd"]].dropna()
    if not len(priced):
        return panels
    sums = priced.groupby("model")["cost_usd"].agg(["sum", "size"]).sort_values("sum", ascending=False)
    total = float(sums["sum"].sum())
    rows: list[list[Cell]] = [
        [
            str(model),
            show(row["size"], "count"),
            show(row["sum"], "usd"),
            show(row["sum"] / total if total else 0.0, "ratio"),
        ]
        for model, row in sums.iterrows()
    ]
    first = str(sums.index[0])
    sentence = (
        f"{first} takes {show(float(sums['sum'].iloc[0]) / total if total else 0.0, 'ratio')} of what has a price "
        "per token. Self-hosted calls have none: their chips are priced in the plan."
    )
    chart = charts.bars([str(model) for model in sums.index], {"USD": [float(v) for v in sums["sum"]]}, "usd")
    by_model = Table("Cost by model", ("Model", "Calls", "USD", "Share"), rows)
    return [*panels, Panel("Cost by model", sentence, by_model, chart)]
