"""Verdict: may the numbers of a run be trusted? Only what is ours voids a run; an overloaded target never does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Required, TypedDict

from host.processes import End
from loadgen.run_info import Verdict
from slo.quantiles import Quantile

START_LAG_FLOOR_S = 0.005
START_LAG_TTFT_SHARE = 0.05
UNSENT_RATIO_MAX = 0.005


class Lateness(TypedDict, total=False):
    """The emulator's own account of how late it was: its reasons void the run; `error` where it gave none."""

    late: Mapping[str, float] | None
    reasons: Required[list[str]]
    error: str


@dataclass(frozen=True)
class Evidence:
    """What a verdict is given on.

    start_lag, ttft: quantiles by `p50`…`p99`. killed: by worker, how it ended too early.
    counters: sums of the last snapshots.
    rows: turns in the record. emulator: their own account of their lateness, None when there were none.
    system_end: how a process of the local stack ended during the run; None where none did.
    lost_ratio: planned arrivals of lost workers that have no row, over all planned; None where no plan says how many.
    """

    start_lag: Mapping[str, Quantile]
    ttft: Mapping[str, Quantile]
    killed: Mapping[int, End]
    lost: tuple[str, ...]
    faults: tuple[str, ...]
    counters: Mapping[str, float]
    rows: int
    emulator: Lateness | None
    finished: bool
    lost_ratio: float | None = None
    system_end: End | None = None


def verdict(what: Evidence) -> Verdict:
    """Valid, or every reason why not, each with its remedy."""
    reasons = [
        *([f"{what.system_end} during the run: its log says why; run again"] if what.system_end else []),
        *_lost_workers(what),
        *_lag(what),
        *_unsent(what),
        *_faults(what),
        *(what.emulator["reasons"] if what.emulator else ()),
    ]
    if what.emulator is not None and what.emulator.get("error"):
        reasons.append(f"the emulator did not report its lateness ({what.emulator['error']}); run again")
    return Verdict(valid=not reasons, reasons=tuple(reasons))


def _lost_workers(what: Evidence) -> list[str]:
    if not what.finished:
        return ["the load engine's master ended before the run did; see logs/master.log in the record"]
    share = "" if what.lost_ratio is None else f"; {what.lost_ratio:.1%} of the planned arrivals have no row"
    if what.killed:
        names = ", ".join(f"worker {number} ({end.how})" for number, end in sorted(what.killed.items()))
        return [f"lost {names}{share}; run again with memory and CPU to spare"]
    if what.lost:
        return [f"{'; '.join(what.lost)}{share}; run again"]
    missing = what.counters.get("asked", 0) - what.rows
    return [f"{missing:.0f} offered turns have no row; run again"] if missing > 0 else []


def start_lag_limit_s(ttft_s_p50: float | None) -> float:
    """How late the generator may start one turn in a hundred."""
    return max(START_LAG_FLOOR_S, START_LAG_TTFT_SHARE * (ttft_s_p50 or 0.0))


def _lag(what: Evidence) -> list[str]:
    lag_s, ttft_s = what.start_lag["p99"].value, what.ttft["p50"].value
    limit_s = start_lag_limit_s(ttft_s)
    if lag_s is None or lag_s <= limit_s:
        return []
    return [
        f"start lag p99 {lag_s * 1e3:.1f} ms, limit {limit_s * 1e3:.1f} ms: the generator fell behind; "
        "add workers (--processes) or lower the rate"
    ]


def _unsent(what: Evidence) -> list[str]:
    """Turns not sent for reasons of ours; those over the in-flight cap or refused at sign-in are the target's doing."""
    ours = what.counters.get("unsent", 0)
    asked = what.counters.get("asked", 0) + ours
    if not asked or ours / asked <= UNSENT_RATIO_MAX:
        return []
    return [f"{ours:.0f} of {asked:.0f} turns due were not sent ({ours / asked:.2%}); add workers or lower the rate"]


def _faults(what: Evidence) -> list[str]:
    if not what.faults:
        return []
    count = max(what.counters.get("faults", 0), len(what.faults))
    return [f"{count:.0f} errors inside the generator, the first: {what.faults[0]}"]
