"""Panels on tokens: what the prompt cache saved, and what the rest cost."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from dashboards import charts, series
from dashboards.charts import Line
from dashboards.figures import Number
from dashboards.page import Cell, Panel, Table
from dashboards.run_axes import fault_spans
from dashboards.units import clock, show
from loadgen.record import Run


def cache_panels(run: Run, numbers: Sequence[Number], span_s: float) -> list[Panel]:
    """Hit rate by level of the prompt, for the window and over time."""
    hits = [number for number in numbers if number.group == "cache"]
    table = Table("Input tokens read from cache", ("Level", "Share"), [[n.label.split(", ")[-1], n] for n in hits])
    if not len(run.calls) or run.calls["input_tokens"].isna().all():
        return [Panel("Hit rate by level", "The record holds no token usage, so no hit rate.", table if hits else None)]
    levels = series.cache_levels(run.calls)
    starts = call_starts_s(run)
    width = series.bin_width_s(span_s)
    bins = pd.Series((starts // width) * width, index=levels.index, name="from_s")
    sums = levels.groupby(bins).sum()
    lines = [
        Line(
            level, sums.index, (sums[f"{level}_read"] / sums[f"{level}_total"].where(sums[f"{level}_total"] > 0)), style
        )
        for style, level in enumerate(("shared", "customer", "conversation"))
    ]
    chart = charts.lines(lines, "ratio", span_s, spans=fault_spans(run.info))
    chart["layout"]["yaxis"]["range"] = [0, 1.02]
    rows: list[list[Cell]] = [
        [clock(float(str(at))), *[show(float(np.asarray(line.y)[i]), "ratio") for line in lines]]
        for i, at in enumerate(sums.index)
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


def _hit_sentence(hits: Sequence[Number]) -> str:
    whole = next((n for n in hits if dict(n.labels).get("level") == "all"), hits[0] if hits else None)
    if whole is None:
        return "The record holds no hit rate in its totals."
    return (
        f"{whole.text} of all input tokens were read from cache. Shared is tools and system text, then the "
        "customer's memory, then the conversation."
    )


def call_starts_s(run: Run) -> np.ndarray:
    """Start of each call on the run's clock: the turn's intended start plus the call's own offset."""
    keys = ["session_id", "interaction_id", "turn_index"]
    turns = run.turns[[*keys, "intended_start_s"]].drop_duplicates(keys)
    joined = run.calls[[*keys, "start_s"]].merge(turns, on=keys, how="left")
    starts: np.ndarray = joined["intended_start_s"].to_numpy(dtype=float, na_value=np.nan)
    offsets: np.ndarray = joined["start_s"].to_numpy(dtype=float, na_value=0.0)
    on_run_clock: np.ndarray = starts + offsets
    return on_run_clock


def cost_panels(run: Run, numbers: Sequence[Number]) -> list[Panel]:
    """Tokens and dollars of the window, and dollars by model."""
    table = Table("Totals", ("Figure", "Value"), [[n.label, n] for n in numbers if n.group in ("tokens", "cost")])
    panels = [Panel("Totals", "What the window consumed and what it cost at list price.", table)]
    priced = run.calls[run.calls["cost_usd"].notna()] if len(run.calls) else run.calls
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
