"""What broke first: every limit a run crossed, in the order of time, with the rate at that moment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from loadgen.analysis.verdict import START_LAG_FLOOR_S
from loadgen.record import ERROR_STATUSES, TURN_KEY, Crossing, Run

if TYPE_CHECKING:
    import pandas as pd

BIN_S = 5.0
TURNS_MIN = 10
CPU_LIMIT_RATIO = 0.95
QUEUE_SAMPLES = 3
"""Samples in a row (two seconds apart) that must see requests waiting: one that meets a burst is no queue."""
SAMPLES_APART_MIN_S = 0.5
"""Closer samples of a CPU counter, which moves in steps of 10 ms, tell no rate."""
QUOTA_CODE = "hrottling|TooMany|rate_limit|quota"
TOOL_FINE = ("ok", "success", "needs_confirmation")
_SHARE = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


def limits_exceeded(
    run: Run, scenario: Mapping[str, Any], lag_limit_s: float = START_LAG_FLOOR_S
) -> tuple[Crossing, ...]:
    """First crossings, earliest first. Empty: no limit was exceeded.

    `lag_limit_s` is the verdict's limit of the start lag's p99 (`verdict.start_lag_limit_s`).
    """
    if run.turns.empty:
        return ()
    no_socket = run.turns["error_code"].eq("open_files")
    ours, theirs = run.turns[no_socket], run.turns[~no_socket]
    crossings = [
        *_slo(run.turns, scenario["slo"]),
        *_first_error(run.turns, "quota", "throttled", "turns throttled"),
        *_calls(run),
        *_first_error(theirs, "in-flight cap", "dropped", "turns dropped at the in-flight cap"),
        *_first_error(ours, "generator's open files", "dropped", "turns dropped for want of a socket"),
        *_tools(run),
        *_router(run.turns, scenario["assistant"]["router"]["budget_s"]),
        *_generator(run.turns, lag_limit_s),
        *_generator_cpu(run.generator),
        *_queue(run.server),
        *_target_cpu(run.server),
    ]
    starts = np.sort(run.turns["intended_start_s"].to_numpy())
    return tuple(sorted((_at_rate(crossing, starts) for crossing in crossings), key=lambda crossing: crossing.at_s))


def _at_rate(crossing: Crossing, starts_s: np.ndarray) -> Crossing:
    rate_per_s = _rate_per_s(starts_s, crossing.at_s)
    return replace(crossing, rate_per_s=rate_per_s, sentence=f"{crossing.sentence}, at {rate_per_s:.1f} turns/s")


def _crossing(what: str, at_s: float, value: float, limit: float, sentence: str) -> Crossing:
    return Crossing(what, float(at_s), float(value), float(limit), sentence)


def _seconds(value_s: float) -> str:
    """A duration as people say it."""
    return f"{value_s:.2f} s" if value_s >= 1 else f"{value_s * 1e3:.3g} ms"


def _rate_per_s(starts_s: np.ndarray, at_s: float) -> float:
    """Turns asked for per second in the bin around a moment."""
    low, high = np.searchsorted(starts_s, [at_s - BIN_S, at_s])
    return float(high - low) / min(BIN_S, max(at_s, 1.0))


def _bins(turns: pd.DataFrame) -> Iterator[tuple[float, pd.DataFrame]]:
    """Turns by the bin of their intended start, with the bin's end."""
    number = (turns["intended_start_s"] // BIN_S).astype(int)
    for index, rows in turns.groupby(number):
        if len(rows) >= TURNS_MIN:
            yield (int(str(index)) + 1) * BIN_S, rows


def _slo(turns: pd.DataFrame, slo: Mapping[str, float | None]) -> Iterator[Crossing]:
    for name, limit in slo.items():
        if limit is None:
            continue
        for end_s, rows in _bins(turns):
            value = _error_ratio(rows) if name == "error_ratio" else _quantile(rows, name)
            if value is not None and value > limit:
                said = f"{value:.1%}, limit {limit:.1%}" if name == "error_ratio" else _against(value, limit)
                yield _crossing(f"SLO {name}", end_s, value, limit, f"SLO missed: {name} {said} over {BIN_S:.0f} s")
                break


def _against(value_s: float, limit_s: float) -> str:
    return f"{_seconds(value_s)}, limit {_seconds(limit_s)}"


def _error_ratio(rows: pd.DataFrame) -> float:
    return float(rows["status"].isin(ERROR_STATUSES).mean())


def _quantile(rows: pd.DataFrame, name: str) -> float | None:
    """A bin's quantile; turns that waited in vain count with the time they waited, a lower bound."""
    metric, _, share = name.rpartition("_")
    waited = ~rows["status"].eq("ok") & rows["e2e_s"].notna() & (metric != "tpot_s")
    values = rows[metric].where(rows[metric].notna() | ~waited, rows["e2e_s"])
    known = values[rows["status"].eq("ok") | waited].dropna().to_numpy()
    return float(np.quantile(known, _SHARE[share], method="inverted_cdf")) if len(known) else None


def _first_error(turns: pd.DataFrame, what: str, status: str, words: str) -> Iterator[Crossing]:
    starts_s = turns.loc[turns["status"].eq(status), "intended_start_s"]
    if len(starts_s):
        yield _crossing(what, starts_s.min(), len(starts_s), 0, f"{what}: {len(starts_s)} {words} from here on")


def _calls(run: Run) -> Iterator[Crossing]:
    """The first refusal of each model by quota and by anything else; a retry or a spill may have saved the turn."""
    failed = run.calls[run.calls["error_code"].notna()]
    if failed.empty:
        return
    starts = failed.merge(run.turns[[*TURN_KEY, "intended_start_s"]], on=list(TURN_KEY))
    starts["at_s"] = starts["intended_start_s"] + starts["start_s"].fillna(0.0)
    by_quota = starts["error_code"].astype(str).str.contains(QUOTA_CODE) & starts["status"].eq("throttled")
    for what, rows in (("quota of", starts[by_quota]), ("calls to", starts[~by_quota])):
        for model, of_model in rows.groupby("model"):
            first = of_model.sort_values("at_s").iloc[0]
            said = f"{what} {model}: {first['error_code']}, {len(of_model)} calls refused or failed from here on"
            yield _crossing(f"{what} {model}", first["at_s"], len(of_model), 0, said)


def _tools(run: Run) -> Iterator[Crossing]:
    """Failed tool calls; one that waits for the customer's confirmation has not failed."""
    failed = run.tools[~run.tools["status"].isin(TOOL_FINE)]
    if len(failed):
        keys = ["session_id", "interaction_id", "turn_index"]
        starts = failed.merge(run.turns[[*keys, "intended_start_s"]], on=keys)
        first = starts.sort_values("intended_start_s").iloc[0]
        what, at_s = f"tool {first['tool']}", first["intended_start_s"]
        yield _crossing(
            what, at_s, len(failed), 0, f"{what}: {first['status']}, {len(failed)} failed tool calls in all"
        )


def _router(turns: pd.DataFrame, budget_s: float) -> Iterator[Crossing]:
    over = turns[turns["route_s"] > budget_s]
    if len(over):
        first = over.sort_values("intended_start_s").iloc[0]
        said = f"router over its budget: {_against(first['route_s'], budget_s)}"
        yield _crossing("router budget", first["intended_start_s"], first["route_s"], budget_s, said)


def _generator(turns: pd.DataFrame, limit_s: float) -> Iterator[Crossing]:
    for end_s, rows in _bins(turns):
        known = rows["start_lag_s"].dropna().to_numpy(np.float64)
        lag_s = float(np.quantile(known, _SHARE["p99"], method="inverted_cdf")) if len(known) else 0.0
        if lag_s > limit_s:
            said = f"generator: start lag p99 {_against(lag_s, limit_s)} over {BIN_S:.0f} s"
            yield _crossing("generator", end_s, lag_s, limit_s, said)
            return


def _generator_cpu(generator: pd.DataFrame) -> Iterator[Crossing]:
    """The first second in which a load worker had no core left; its start lag may still have been fine."""
    over = generator[generator["cpu_ratio"] > CPU_LIMIT_RATIO]
    if len(over):
        first = over.sort_values("second").iloc[0]
        what, at_s, ratio = "generator CPU", first["second"] + 1, first["cpu_ratio"]
        said = f"generator: worker {first['worker']:.0f} used {ratio:.0%} of a core, limit {CPU_LIMIT_RATIO:.0%}"
        yield _crossing(what, at_s, ratio, CPU_LIMIT_RATIO, said)


def _queue(scraped: pd.DataFrame) -> Iterator[Crossing]:
    """The first time an engine's queue did not empty: requests waited in so many samples in a row."""
    waiting = scraped[scraped["metric"].eq("vllm:num_requests_waiting")]
    for _, rows in waiting.groupby(["target", "labels"]):
        rows = _since_t0(rows)
        full = (rows["value"] > 0).to_numpy(dtype=int)
        lasting = np.flatnonzero(np.convolve(full, np.ones(QUEUE_SAMPLES, dtype=int), "valid") == QUEUE_SAMPLES)
        if len(lasting):
            part = rows.iloc[lasting[0] : lasting[0] + QUEUE_SAMPLES]
            over_s = part["second"].iloc[-1] - part["second"].iloc[0]
            most = part["value"].max()
            said = f"queue: up to {most:.0f} requests waited in an engine, and did not clear for {over_s:.0f} s"
            yield _crossing("queue", part["second"].iloc[0], most, 0, said)


def _since_t0(rows: pd.DataFrame) -> pd.DataFrame:
    """One series from t0 on: what was sampled before has seconds of a clock that was set back then."""
    back = np.flatnonzero(np.diff(rows["second"].to_numpy()) < 0)
    return rows.iloc[int(back[-1]) + 1 if len(back) else 0 :].reset_index(drop=True)


def _target_cpu(scraped: pd.DataFrame) -> Iterator[Crossing]:
    """The first time a target's process filled a core, between two samples of its own counter."""
    for target, rows in scraped[scraped["metric"].eq("process_cpu_seconds_total")].groupby("target"):
        rows = _since_t0(rows)
        passed_s = np.diff(rows["second"].to_numpy())
        ratios = np.diff(rows["value"].to_numpy()) / np.maximum(passed_s, SAMPLES_APART_MIN_S)
        over = np.flatnonzero((ratios > CPU_LIMIT_RATIO) & (passed_s >= SAMPLES_APART_MIN_S))
        if len(over):
            ratio, what = ratios[over[0]], f"CPU of {target}"
            said = f"{what}: {ratio:.0%} of a core, limit {CPU_LIMIT_RATIO:.0%}"
            yield _crossing(what, rows["second"].iloc[over[0] + 1], ratio, CPU_LIMIT_RATIO, said)
