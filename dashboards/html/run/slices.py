"""The report's table by time slice; sessions of a replay that began before the window are counted in it."""

from __future__ import annotations

from dashboards.html.page import Cell, Panel, Table
from dashboards.numbers.slices import SliceError, slice_length_s, slices
from dashboards.numbers.stored import StoredRun
from dashboards.numbers.units import UNKNOWN, show

_COLUMNS = (
    ("from", "start_s", "s"), ("offered", "offered", "count"), ("answered", "completed", "count"),
    ("failed", "failed", "count"), ("abandoned", "abandoned", "count"), ("began before", "began_before", "count"),
    ("TTFT p50", "ttft_s_p50", "s"), ("TTFT p95", "ttft_s_p95", "s"), ("E2E p95", "e2e_s_p95", "s"),
    ("TPOT p50", "tpot_s_p50", "s"), ("start lag p99", "start_lag_s_p99", "s"),
    ("tokens out", "output_tokens", "count"),
    ("cache hits", "cache_hit_token_ratio", "ratio"),
)  # fmt: skip


def slice_panels(run: StoredRun, span_s: float) -> list[Panel]:
    """A row for each slice; none where the record's files hold no turn."""
    length_s = slice_length_s(span_s)
    try:
        held = slices(run, length_s)
    except SliceError:
        return []
    if not held:
        return []
    rows: list[list[Cell]] = [[_cell(getattr(one, name), unit) for _, name, unit in _COLUMNS] for one in held]
    began = sum(one.began_before for one in held)
    sentence = f"Slices of {length_s:g} s, by intended start; latencies of answered turns, to 0.8%."
    if began:
        sentence += f" {began:,} turns are of sessions that began before the window."
    sentence += f" `peakday export csv {run.path.name} --slice {length_s:g}s` writes every metric."
    table = Table("By time slice", [title for title, _, _ in _COLUMNS], rows)
    return [Panel("Time slices", sentence, table)]


def _cell(value: float | None, unit: str) -> str:
    return UNKNOWN if value is None else show(value, unit)
