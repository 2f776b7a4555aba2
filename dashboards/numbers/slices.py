"""Every metric of a run by time slice, from its Parquet files a batch at a time: memory grows with slices, not turns.

A turn belongs to the slice of its intended start, and its calls with it. Latencies are those of answered turns, upper
edges of histogram bins 0.8% wide; turns that were given up are counted beside them and are in no quantile.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from dashboards.numbers.stored import StoredRun
from facts.tokens import TOKEN_CLASSES
from host.errors import PeakdayError
from slo.histogram import Histogram
from slo.slo import ERROR_STATUSES

SLICES_MAX = 2_000
METRICS = ("ttft_s", "e2e_s", "tpot_s", "start_lag_s")
SHARES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}
_TURNS = ("intended_start_s", "status", "began_before", *METRICS)
_CALLS = (*TOKEN_CLASSES, "cost_usd")
_COUNTS = ("offered", "sent", "completed", "failed", "abandoned", "censored", "dropped", "began_before")
_SUMS = ("calls", *_CALLS)


class SliceError(PeakdayError, ValueError):
    """Slices that cannot be made: the message says which length does."""


@dataclass(frozen=True)
class Slice:
    """One slice of a run; counts of turns and of their calls' tokens. None: no such turn, or nothing tells it."""

    start_s: float
    offered: int
    sent: int
    completed: int
    failed: int
    abandoned: int
    censored: int
    dropped: int
    began_before: int
    offered_per_s: float
    completed_per_s: float
    ttft_s_p50: float | None
    ttft_s_p95: float | None
    ttft_s_p99: float | None
    e2e_s_p50: float | None
    e2e_s_p95: float | None
    e2e_s_p99: float | None
    tpot_s_p50: float | None
    tpot_s_p95: float | None
    tpot_s_p99: float | None
    start_lag_s_p50: float | None
    start_lag_s_p95: float | None
    start_lag_s_p99: float | None
    calls: int
    input_tokens: int | None
    cache_read_tokens: int | None
    cache_write_tokens_5m: int | None
    cache_write_tokens_1h: int | None
    output_tokens: int | None
    cost_usd: float | None
    cache_hit_token_ratio: float | None


COLUMNS = tuple(field.name for field in fields(Slice))


def slices(run: StoredRun, slice_s: float) -> list[Slice]:
    """The slices of a run's folder, from its first second; empty where it holds no turn.

    Raises:
        SliceError: more slices than a table should have, or a length that is none.
    """
    if not slice_s > 0:
        raise SliceError(f"--slice {slice_s:g} s: expected a length above 0, such as 10s")
    table = _Table(slice_s)
    for batch in run.turns.batches(list(_TURNS)):
        table.turns(batch)
    done = 0
    for batch in run.calls.batches(list(_CALLS)):
        table.calls(batch, run.turn_of_call[done : done + len(batch)])
        done += len(batch)
    return table.slices()


def slice_length_s(span_s: float, rows: int = 60) -> float:
    """A round length that cuts a span into at most so many slices."""
    lengths = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 21_600.0)
    return next((length for length in lengths if span_s <= rows * length), math.ceil(span_s / rows))


class _Table:
    """Counts and histograms by slice, and the slice of each turn: 4 bytes."""

    def __init__(self, slice_s: float) -> None:
        self._slice_s = slice_s
        self._counts: dict[str, np.ndarray] = {name: np.zeros(0, np.int64) for name in _COUNTS}
        self._sums: dict[str, np.ndarray] = {name: np.zeros(0, np.float64) for name in _SUMS}
        self._told: dict[str, np.ndarray] = {name: np.zeros(0, np.int64) for name in _CALLS}
        self._times: dict[tuple[str, int], Histogram] = {}
        self._places: list[np.ndarray] = []

    def turns(self, batch: pa.RecordBatch) -> None:
        """Count a batch of turns."""
        frame = batch.to_pandas()
        place = (frame["intended_start_s"].clip(lower=0).to_numpy(np.float64) // self._slice_s).astype(np.int32)
        most = int(place.max(initial=-1)) + 1
        if most > SLICES_MAX:
            raise SliceError(
                f"--slice {self._slice_s:g}s: over {SLICES_MAX:,} slices; use {most * self._slice_s / SLICES_MAX:.0f}s"
            )
        status = frame["status"]
        marks = {
            "offered": np.ones(len(frame), bool),
            "sent": frame["start_lag_s"].notna().to_numpy(),
            "completed": status.eq("ok").to_numpy(),
            "failed": status.isin([one for one in ERROR_STATUSES if one != "dropped"]).to_numpy(),
            "began_before": frame["began_before"].fillna(False).to_numpy(bool),
            **{name: status.eq(name).to_numpy() for name in ("abandoned", "censored", "dropped")},
        }
        for name, mark in marks.items():
            self._counts[name] = _added(self._counts[name], np.bincount(place[mark]))
        self._time(frame, place, marks["completed"])
        self._places.append(place)

    def _time(self, frame: pd.DataFrame, place: np.ndarray, completed: np.ndarray) -> None:
        for metric in METRICS:
            values = frame[metric].to_numpy(np.float64)
            known = np.isfinite(values) & (completed | (metric == "start_lag_s"))
            for one in np.unique(place[known]).tolist():
                held = self._times.setdefault((metric, one), Histogram())
                held.add(values[known & (place == one)])

    def calls(self, batch: pa.RecordBatch, turns: np.ndarray) -> None:
        """Add up a batch of calls by the rows of their turns; those of a turn without a row are left out."""
        if len(self._places) > 1:
            self._places = [np.concatenate(self._places)]
        known = turns >= 0
        place = self._places[0][turns[known]] if self._places else np.zeros(0, np.int32)
        for name in _SUMS:
            weights = None if name == "calls" else _filled(batch[name])[known]
            self._sums[name] = _added(self._sums[name], np.bincount(place, weights))
        for name in _CALLS:
            told = batch[name].is_valid().to_numpy(zero_copy_only=False)[known]
            self._told[name] = _added(self._told[name], np.bincount(place[told]))

    def slices(self) -> list[Slice]:
        """One for each length of time, whether or not a turn fell in it."""
        return [self._slice(place) for place in range(len(self._counts["offered"]))]

    def _slice(self, place: int) -> Slice:
        counts = {name: int(_at(held, place)) for name, held in self._counts.items()}
        sums = {name: float(_at(held, place)) for name, held in self._sums.items()}
        silent = counts["completed"] or sums["calls"]  # what was answered has tokens, told or not
        told = {name: None if silent and not _at(held, place) else sums[name] for name, held in self._told.items()}
        prompt = sums["input_tokens"] + sums["cache_read_tokens"]
        prompt += sums["cache_write_tokens_5m"] + sums["cache_write_tokens_1h"]
        whole = {name: None if value is None else int(value) for name, value in told.items() if name != "cost_usd"}
        values: dict[str, Any] = whole | {
            f"{metric}_{name}": held.quantile(share) if (held := self._times.get((metric, place))) else None
            for metric in METRICS
            for name, share in SHARES.items()
        }
        return Slice(
            start_s=place * self._slice_s,
            offered_per_s=counts["offered"] / self._slice_s,
            completed_per_s=counts["completed"] / self._slice_s,
            calls=int(sums["calls"]),
            cost_usd=told["cost_usd"],
            cache_hit_token_ratio=sums["cache_read_tokens"] / prompt if prompt else None,
            **counts,
            **values,
        )


def _filled(column: pa.Array) -> np.ndarray:
    values: np.ndarray = column.fill_null(0).to_numpy(zero_copy_only=False)
    return values.astype(np.float64, copy=False)


def _added(held: np.ndarray, more: np.ndarray) -> np.ndarray:
    if len(more) > len(held):
        held = np.concatenate((held, np.zeros(len(more) - len(held), held.dtype)))
    held[: len(more)] += more.astype(held.dtype)
    return held


def _at(held: np.ndarray, place: int) -> float:
    return float(held[place]) if place < len(held) else 0.0
