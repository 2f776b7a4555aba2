"""What the processes of a run tell each other of how it stands: workers' snapshots, and `live.json` of them all."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

Bins = dict[str, list[int]]
"""A histogram as JSON (`Histogram.to_json`)."""


class HealthFigures(TypedDict):
    """A worker's last second: its busy share of a core, and how late its heartbeat came."""

    cpu_ratio: float
    heartbeat_late_s: float


class Clock(TypedDict):
    """A worker's process and clock, as `record.WorkerClock` explains them."""

    pid: int | None
    host: str | None
    clock_offset_s: float | None
    clock_half_width_s: float | None
    scheduling: str | None


class Ready(Clock):
    """A worker that can begin."""

    worker: int


class Snapshot(TypedDict, total=False):
    """Everything of one worker so far: cumulative, so that losing one, or getting one twice, changes nothing."""

    worker: int
    seq: int
    counters: dict[str, float]
    errors: dict[str, int]
    error_samples: dict[str, str]
    faults: list[str]
    supplies: dict[str, bool]
    histograms: dict[str, Bins]
    rows: Sequence[tuple[int, dict[str, bytes]]]
    health: HealthFigures
    out_of_budget: bool
    asked_s: float
    in_flight: int
    cpu_s: float


class LiveQuantiles(TypedDict):
    """Of a merged histogram."""

    p50: float
    p99: float
    n: int


class Live(TypedDict, total=False):
    """`live.json`: how the run stands. Empty before the master first wrote it."""

    state: str  # waiting, running, finished
    master_pid: int
    t0_unix_s: float | None
    elapsed_s: float | None
    asked_s: float
    counters: dict[str, float]
    in_flight: int
    quantiles: dict[str, LiveQuantiles]
    workers: dict[str, Clock]
    finals: int
    lost: list[str]
    lost_workers: list[int]
    faults: list[str]
    errors: dict[str, int]
    error_samples: dict[str, str]
    supplies: dict[str, bool]
    health: dict[str, HealthFigures]
    notes: list[str]
    aborted: str | None
    refused: str | None
    refused_code: int


class Report(TypedDict, total=False):
    """What `run_load` passes on: the state always; a line of text every few seconds; a notice when something ends."""

    state: str
    live: Live | None
    line: str
    notice: str


def read_live(folder: Path) -> Live | None:
    """What the master last wrote of the run; None before it did."""
    try:
        live: Live = json.loads((folder / "live.json").read_text())
    except FileNotFoundError:
        return None
    return live
