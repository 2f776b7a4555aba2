"""Panels on tokens: what the prompt cache saved, and what the rest cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from dashboards.html import charts
from dashboards.html.axes import fault_spans
from dashboards.html.charts import Line
from dashboards.html.page import Cell, Panel, Table
from dashboards.numbers import series
from dashboards.numbers.run import Number
from dashboards.numbers.stored import StoredRun, pieces_of
from dashboards.numbers.units import clock, show
from loadgen.record import Run
from loadgen.run_info import RunInfo


def cache_panels(stored: StoredRun, info: RunInfo, numbers: Sequence[Number], span_s: float) -> list[Panel]:
    """Hit rate by level of the prompt, for the window and over time."""
    hits = [number for number in numbers if number.group == "cache"]
    table = Table("Input tokens read from cache", ("Level", "Share"), [[n.label.split(", ")[-1], n] for n in hits])
    if not any(batch["input_tokens"].null_count < len(batch) for batch in stored.calls.batches(["input_tokens"])):
        return [Panel("Hit rate by level", "The record holds no token usage, so no hit rate.", table if hits else None)]
    width = series.bin_width_s(span_s)
    at, shares = _shares_over_time(stored, width)
    lines = [Line(level, at * width, share, style) for style, (level, share) in enumerate(shares.items())]
    chart = charts.lines(lines, "ratio", span_s, spans=fault_spans(info))
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


def _shares_over_time(stored: StoredRun, width: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Bins that hold a call, and for each level of the prompt the share read from cache in each of them."""
    calls = np.zeros(0)
    sums: dict[tuple[str, int], np.ndarray] = {}
    for starts_s, batch in _timed_calls(stored):
        bins = np.maximum(starts_s // width, 0).astype(np.int64)
        calls = _added(calls, np.bincount(bins))
        for level, read, total in series.cache_levels(batch.to_pandas()):
            for row, tokens in enumerate((read, total)):
                sums[level, row] = _added(sums.get((level, row), np.zeros(0)), np.bincount(bins, weights=tokens))
    filled = np.flatnonzero(calls)
    shares = {}
    for level in dict.fromkeys(level for level, _ in sums):
        read, total = sums[level, 0][filled], sums[level, 1][filled]
        shares[level] = np.divide(read, total, out=np.full(len(filled), np.nan), where=total > 0)
    return filled, shares


def _timed_calls(stored: StoredRun) -> Iterator[tuple[np.ndarray, pa.RecordBatch]]:
    """Calls in batches, each with its start on the run's clock: its turn's intended start plus its own offset."""
    turn_starts_s = stored.turns["intended_start_s"].to_numpy(dtype=float, na_value=np.nan)
    done = 0
    for batch in stored.calls.batches(["start_s", *series.PROMPT]):
        turns = stored.turn_of_call[done : done + len(batch)]
        done += len(batch)
        starts_s = np.where(turns >= 0, turn_starts_s[turns] if len(turn_starts_s) else np.nan, np.nan)
        starts_s = starts_s + batch["start_s"].fill_null(0.0).to_numpy(zero_copy_only=False)
        known = np.isfinite(starts_s)
        yield starts_s[known], batch if known.all() else batch.filter(pa.array(known))


def _added(held: np.ndarray, more: np.ndarray) -> np.ndarray:
    longest = max(len(held), len(more))
    both: np.ndarray = np.pad(held, (0, longest - len(held))) + np.pad(more, (0, longest - len(more)))
    return both


def _hit_sentence(hits: Sequence[Number]) -> str:
    overall = next((n for n in hits if dict(n.labels).get("level") == "all"), hits[0] if hits else None)
    if overall is None:
        return "The record holds no hit rate in its totals."
    return (
        f"{overall.text} of all input tokens were read from cache. Shared is tools and system text, then the "
        "customer's memory, then the conversation."
    )


def cost_panels(run: Run, numbers: Sequence[Number]) -> list[Panel]:
    """Tokens and dollars of the window, and dollars by model."""
    table = Table("Totals", ("Figure", "Value"), [[n.label, n] for n in numbers if n.group in ("tokens", "cost")])
    panels = [Panel("Totals", "What the window consumed and what it cost at list price.", table)]
    pieces = pieces_of(run.calls, ["model", "cost_usd"])
    by_piece = [piece.dropna().groupby("model", observed=True)["cost_usd"].agg(["sum", "size"]) for piece in pieces]
    sums = pd.concat([piece.rename(str) for piece in by_piece]) if by_piece else pd.DataFrame()
    if not len(sums):
        return panels
    sums = sums.groupby(level=0).sum().sort_values("sum", ascending=False)
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
