"""Runs, measurements, rows and drives made by hand, for tests of what is judged about them."""

from dataclasses import replace
from pathlib import Path

import pandas as pd

from loadgen.record import Run, parse_info
from loadgen.tables import TABLES
from peakday.console import Console
from peakday.gate import gate as gates
from peakday.gate.baselines import baseline as baselines
from peakday.gate.baselines.baseline import Snapshot
from peakday.gate.builds.builds import Build
from peakday.gate.builds.runs import Measured, Scripted
from peakday.gate.snapshot import comparison as floor
from peakday.gate.snapshot.figures import figures

QUIET = Console(quiet=True)
HERE = Build("candidate", "new", folder=Path(), scenario="smoke")
THERE = Build("baseline", "old", folder=Path(), scenario="smoke")

HOST = {"system": "Linux", "machine": "x86_64", "cpu": "one", "cores": 2, "memory_bytes": 1, "python": "3.11"}


def run(ttft_s=(), statuses=None, totals=None, quantiles=None, step_s=0.1):
    """A run whose turns start `step_s` apart and answer in these times."""
    statuses = statuses or ["ok"] * len(ttft_s)
    frame = pd.DataFrame({name: [None] * len(ttft_s) for name in TABLES["turns"]})
    frame["ttft_s"] = pd.Series(ttft_s, dtype=float)
    frame["status"] = statuses
    frame["interaction_id"] = [f"i{number}" for number in range(len(ttft_s))]
    frame["intended_start_s"] = [number * step_s for number in range(len(ttft_s))]
    tables = {name: pd.DataFrame(columns=list(columns)) for name, columns in TABLES.items()}
    verdict = {"valid": True, "reasons": []}
    info = {"state": "finished", "totals": totals or {}, "quantiles": quantiles or {}, "verdict": verdict}
    return Run(path=Path("run"), info=parse_info(info), **{**tables, "turns": frame})


def measured(values=None, *, valid=True, tails=None, turns=50, host=None, reasons=("the generator fell behind",)):
    """One load run by its values."""
    standard = {"ttft_s_p50": 0.5, "tpot_s_p50": 0.02, "goodput_per_s": 4.0}
    return Measured(
        "runs/x", valid, () if valid else reasons, {**standard, **(values or {})}, tails or {}, host or HOST, "w", turns
    )


def row(turn="a/0", *, cached=100, tools=(), prefix="p1", cost=0.001, route="nova-pro", end="end_turn"):
    """A scripted turn of one call."""
    call = {
        "purpose": "answer", "model": route, "prefix_hash": prefix, "prefix_shared_tokens": 90, "input_tokens": 20,
        "cache_read_tokens": cached, "cache_write_tokens_5m": 0, "cache_write_tokens_1h": 0, "output_tokens": 30,
        "max_tokens": 100, "stop_reason": "end_turn", "status": "ok", "cost_usd": cost,
    }  # fmt: skip
    return {
        "turn": turn, "message": "is it dry?", "intent": "a", "complexity": "simple", "route": route,
        "router_stage": "rules", "prefetch": [], "guard_action": "pass", "escalated": False, "calls": [call],
        "tools": [list(tool) for tool in tools], "end": end, "citations": 0,
    }  # fmt: skip


def scripts(monkeypatch, rows):
    """What the next drives of the script show, whichever build is driven; the last one repeats. Returns who was."""
    left, driven = list(rows), []

    def scripted(build, *_, **__):
        driven.append(build.label)
        now = left.pop(0) if len(left) > 1 else left[0]
        return Scripted(now, figures(now))

    monkeypatch.setattr(floor, "scripted", scripted)
    return driven


def keep(check, rows, *, workload=None, host=None):
    """Save a baseline of these rows."""
    saved = {"utc": "2026-11-23T10:00:00+00:00", "commit": None, "host": host or {}}
    baselines.save(check.store, "smoke", Snapshot(workload or check.workload, figures(rows), tuple(rows), saved))


def loads(monkeypatch, answers):
    """What the next load runs measure, by the build that is driven; an exception is raised. Returns who was driven."""
    driven = []

    def load_once(build, *_, **__):
        answer = answers(build)
        if isinstance(answer, BaseException):
            raise answer
        driven.append(build.label)
        return answer

    monkeypatch.setattr(gates, "load_once", load_once)
    return driven


def check_with(check, **changes):
    """The same check, asked otherwise."""
    return replace(check, request=replace(check.request, **changes), lines=[])
