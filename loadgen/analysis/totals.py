"""Totals and quantiles of a run, from its rows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from facts.tokens import TOKEN_CLASSES
from loadgen.record import Run
from loadgen.run_info import CacheHits, FirstTurn, StreamTotals, Totals, TurnsPerInteraction
from loadgen.tables import TURN_KEY
from slo.histogram import Histogram
from slo.quantiles import Quantile, censored_values, quantiles
from slo.slo import ERROR_STATUSES, WAITED_COLUMN, good, slos_of

if TYPE_CHECKING:
    import pandas as pd

SHARES = {"p50": 0.50, "p90": 0.90, "p95": 0.95, "p99": 0.99}
NAMES_MAX = 50
"""Codes and routes that are counted apart: a target may name a new one with every answer. A choice of ours."""
OTHER = "other"
_ENDS = ("completed", "failed", "abandoned", "censored", "dropped")


def latency_quantiles(turns: pd.DataFrame, gaps: Histogram) -> dict[str, dict[str, Quantile]]:
    """Every metric's quantiles. The first turn after a start is left out: it is reported apart.

    Gaps between chunks come from the merged histogram, so they are a bin's upper edge, and have no interval.
    """
    rest = turns.drop(index=turns.index[_first(turns)]) if len(turns) else turns
    by_metric = {metric: _quantiles(rest, metric) for metric in (*WAITED_COLUMN, "tpot_s", "start_lag_s", "route_s")}
    by_metric["gap_s"] = {
        name: Quantile(gaps.quantile(share), None, None, gaps.n, round(gaps.n * (1 - share)))
        for name, share in SHARES.items()
    }
    return by_metric


def _quantiles(turns: pd.DataFrame, metric: str) -> dict[str, Quantile]:
    values, censored, _ = censored_values(turns, metric)
    return dict(zip(SHARES, quantiles(values, censored, SHARES.values()), strict=True))


def _first(turns: pd.DataFrame) -> list[int]:
    return [int(np.argmin(turns["intended_start_s"].to_numpy()))]


def first_turn(turns: pd.DataFrame) -> FirstTurn | None:
    """The very first turn, which may meet a cold target."""
    if not len(turns):
        return None
    row = turns.iloc[_first(turns)[0]]
    return FirstTurn(_number(row["ttft_s"]), _number(row["e2e_s"]), row["status"])


def totals(run: Run, length_s: float, slo: Mapping[str, float | None]) -> Totals:
    """Counts, ratios, tokens and dollars. asked = completed + failed + abandoned + censored + dropped."""
    turns, status = run.turns, run.turns["status"]
    counts = {
        "asked": len(turns),
        "sent": int(turns["start_lag_s"].notna().sum()),
        "completed": int(status.eq("ok").sum()),
        **{name: int(status.eq(name).sum()) for name in ("abandoned", "censored", "dropped")},
    }
    counts["failed"] = counts["asked"] - sum(counts[name] for name in _ENDS if name != "failed")
    asked = max(1, counts["asked"])
    counted = Totals(
        asked=counts["asked"],
        sent=counts["sent"],
        completed=counts["completed"],
        abandoned=counts["abandoned"],
        censored=counts["censored"],
        dropped=counts["dropped"],
        failed=counts["failed"],
        errors=_counted(turns["error_code"]),
        achieved_rate_per_s=counts["sent"] / length_s,
        goodput_per_s=int(good(turns, slos_of(slo)).sum()) / length_s,
        error_ratio=int(status.isin(ERROR_STATUSES).sum()) / asked,
        abandoned_ratio=counts["abandoned"] / asked,
        routes={name: n / asked for name, n in _counted(turns["route"]).items()},
        background=_background(run.events),
    )
    return _with_money(_with_tokens(_with_people(counted, turns), run.calls), turns, run.calls)


def with_energy(counted: Totals, energy_j: Mapping[str, float]) -> Totals:
    """With what the machine used: null where it has no counter, and no rates where no token came.

    A watt for a second is a joule, so tokens a second and watt are the inverse of joules a token.
    """
    joules, tokens = sum(energy_j.values()), counted.output_tokens
    if not joules or not tokens:
        return replace(counted, energy_j=dict(energy_j) or None)
    return replace(
        counted,
        energy_j=dict(energy_j),
        joules_per_output_token=joules / tokens,
        output_tokens_per_s_per_watt=tokens / joules,
    )


def _counted(names: pd.Series[str]) -> dict[str, int]:
    """How often each stands there, the most frequent first; beyond `NAMES_MAX` all others are one."""
    counts = {str(name): int(n) for name, n in names.value_counts().items()}
    shown = dict(list(counts.items())[:NAMES_MAX])
    rest = sum(counts.values()) - sum(shown.values())
    return {**shown, OTHER: shown.get(OTHER, 0) + rest} if rest else shown


def _with_people(counted: Totals, turns: pd.DataFrame) -> Totals:
    if not len(turns):
        return counted
    lengths = turns.groupby("interaction_id").size()
    sessions = turns.groupby("customer_id")["session_id"].nunique()
    return replace(
        counted,
        turns_per_interaction=TurnsPerInteraction(
            float(lengths.mean()), float(lengths.quantile(0.5)), float(lengths.quantile(0.95))
        ),
        interactions=len(lengths),
        sessions=int(sessions.sum()),
        repeat_customer_ratio=float((sessions > 1).mean()),
    )


def _with_tokens(counted: Totals, calls: pd.DataFrame) -> Totals:
    """Tokens by class, None where no call told any; and the share of input read from cache, in all and by level."""
    known = {name: calls[name].fillna(0) for name in TOKEN_CLASSES}
    read = known["cache_read_tokens"]
    asked = known["input_tokens"] + read + known["cache_write_tokens_5m"] + known["cache_write_tokens_1h"]
    shared = np.minimum(calls["prefix_shared_tokens"].fillna(0), asked)
    customer = np.maximum(np.minimum(calls["prefix_customer_tokens"].fillna(0), asked), shared)
    levels = {
        "shared": (np.minimum(read, shared), shared),
        "customer": (np.maximum(np.minimum(read, customer) - shared, 0), customer - shared),
        "conversation": (np.maximum(read - customer, 0), asked - customer),
    }
    silent = counted.completed or len(calls)  # what was answered has tokens, told or not
    told = {name for name in TOKEN_CLASSES if calls[name].notna().any() or not silent}
    sums = {name: int(values.sum()) if name in told else None for name, values in known.items()}
    ratios = {name: _ratio(hit.sum(), total.sum()) for name, (hit, total) in levels.items()}
    return replace(
        counted,
        calls=len(calls),
        cache_hit_token_ratio=CacheHits(_ratio(read.sum(), asked.sum()), **ratios),
        input_tokens=sums["input_tokens"],
        cache_read_tokens=sums["cache_read_tokens"],
        cache_write_tokens_5m=sums["cache_write_tokens_5m"],
        cache_write_tokens_1h=sums["cache_write_tokens_1h"],
        output_tokens=sums["output_tokens"],
    )


def failed_codes(turns: pd.DataFrame) -> list[str]:
    """The code of each turn that failed, or its status where it has none."""
    failed = turns[turns["status"].isin(ERROR_STATUSES)]
    return failed["error_code"].fillna(failed["status"]).astype(str).tolist()


def untold_warnings(run: Run) -> list[str]:
    """That answers came without token counts, which every sum of tokens then leaves out; empty where all told them."""
    answered = int(run.turns["status"].eq("ok").sum())
    counts = run.calls["output_tokens"].notna()
    if not answered or (counts.all() and len(counts) >= answered):
        return []
    told = run.calls[counts & run.calls["status"].eq("ok")].drop_duplicates(list(TURN_KEY))
    missing = answered - len(told)
    if missing <= 0:
        return []
    return [
        f"{missing} of {answered} answers told no output tokens: they are unknown, and no sum, rate, hit rate or cost "
        "holds them; `peakday ask --target` shows what the target tells"
    ]


def whole_warnings(run: Run) -> list[str]:
    """That most answers came in one read, which tells no time of a token; empty where they were streamed."""
    calls = run.calls[run.calls["status"].eq("ok") & run.calls["timed_by"].eq("loadgen")]
    streamed = calls.loc[calls["output_tokens"] >= 2, "tpot_s"].notna()
    whole = int((~streamed).sum())
    if whole * 2 <= len(streamed):
        return []
    return [
        f"{whole} of {len(streamed)} answers came whole, in one read: their TTFT is their E2E, and they have no TPOT; "
        "does a proxy buffer the stream, or does the server not stream?"
    ]


def _with_money(counted: Totals, turns: pd.DataFrame, calls: pd.DataFrame) -> Totals:
    """Dollars of priced calls; null when no call has a price (chips are priced by a plan)."""
    priced = calls["cost_usd"].dropna()
    if not len(priced):
        return counted
    total = math.fsum(priced)
    return replace(
        counted,
        cost_usd=total,
        cost_usd_per_interaction=_ratio(total, turns["interaction_id"].nunique()),
        cost_usd_per_turn=_ratio(total, len(turns)),
    )


def _background(events: pd.DataFrame) -> dict[str, StreamTotals]:
    """Per stream: requests, how many were answered, and their delay from the due time."""
    return {
        str(stream): StreamTotals(
            asked=len(rows),
            completed=int(rows["status"].eq("ok").sum()),
            delay_s=_quantiles(rows[rows["status"].eq("ok")], "delay_s"),
        )
        for stream, rows in events.groupby("stream")
    }


def _ratio(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None


def _number(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else float(value)
