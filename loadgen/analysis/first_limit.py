"""The first limit exceeded: every limit that a run crossed, in the order of time, with the rate at that moment.

An SLO is crossed when more turns missed it than chance explains, in one batch of five seconds or in all turns so far: a
share of a few turns is no evidence, and six failures of six are. A run that missed an SLO as a whole has crossed it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from loadgen.analysis.slo_results import whole_run
from loadgen.analysis.totals import failed_codes
from loadgen.analysis.verdict import START_LAG_FLOOR_S
from loadgen.record import Run
from loadgen.run_info import Crossing
from loadgen.tables import TURN_KEY
from slo.bounds import Batch, share_bounds
from slo.slo import Slo, misses, slos_of

if TYPE_CHECKING:
    import pandas as pd

BIN_S = 5.0
ALPHA = 0.01
"""How often chance may look like a crossing, at each look. A choice of ours: a run has many batches."""
TURNS_MIN = 10
CPU_LIMIT_RATIO = 0.95
QUEUE_SAMPLES = 3
"""Samples in a row (two seconds apart) that must see requests waiting: one that meets a burst is no queue."""
SAMPLES_APART_MIN_S = 0.5
"""Closer samples of a CPU counter, which moves in steps of 10 ms, tell no rate."""
MODELS_MAX = 20
"""Models that are named one by one: a target may invent a new name for every call."""
QUOTA_CODE = "hrottling|TooMany|rate_limit|quota"
LENGTH = ("max_tokens", "length")
"""Why an answer stops at its longest, by protocol."""
TOOL_FINE = ("ok", "success", "needs_confirmation")


def limits_exceeded(
    run: Run, scenario: Mapping[str, Any], lag_limit_s: float = START_LAG_FLOOR_S, length_s: float | None = None
) -> tuple[Crossing, ...]:
    """First crossings, earliest first. Empty: no limit was exceeded.

    Args:
        lag_limit_s: the verdict's limit of the start lag's p99 (`verdict.start_lag_limit_s`).
        length_s: how long turns were offered; None: until the last one was due.
    """
    if run.turns.empty:
        return ()
    no_socket = run.turns["error_code"].eq("open_files")
    ours, theirs = run.turns[no_socket], run.turns[~no_socket]
    crossings = [
        *_slos(run.turns, scenario["slo"], length_s),
        *_first_error(run.turns, "quota", "throttled", "turns throttled"),
        *_calls(run),
        *_cut_off(run),
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
    """Turns offered per second in the bin around a moment."""
    low, high = np.searchsorted(starts_s, [at_s - BIN_S, at_s])
    return float(high - low) / min(BIN_S, max(at_s, 1.0))


def _bins(turns: pd.DataFrame) -> Iterator[tuple[float, pd.DataFrame]]:
    """Turns by the bin of their intended start, with the bin's end."""
    number = (turns["intended_start_s"] // BIN_S).astype(int)
    for index, rows in turns.groupby(number):
        if len(rows) >= TURNS_MIN:
            yield (int(str(index)) + 1) * BIN_S, rows


def _slos(turns: pd.DataFrame, limits: Mapping[str, float | None], length_s: float | None) -> Iterator[Crossing]:
    last_s = float(turns["intended_start_s"].max())
    for slo in slos_of(limits):
        crossed = _first_crossed(turns, slo) or _crossed_in_all(turns, slo, length_s or last_s)
        if crossed is not None:
            end_s, batch, over = crossed
            allowed = slo.allowed_ratio or 0.0
            counted = f"{batch.missed} of {batch.turns} turns missed it {over}, {allowed:.3g} of them may"
            at_s = min(end_s, max(last_s, 0.0))
            codes = Counter(failed_codes(turns[turns["intended_start_s"] <= at_s]))
            if codes:
                (code, most), *_ = codes.most_common(1)
                counted += f"; {codes.total()} failed by then, {code} x {most}"
            yield _crossing(
                f"SLO {slo.name}", at_s, batch.missed / batch.turns, allowed, f"SLO missed: {slo}: {counted}"
            )


def _first_crossed(turns: pd.DataFrame, slo: Slo) -> tuple[float, Batch, str] | None:
    """End of the first batch by which an SLO was crossed, the turns that show it, and which they are."""
    allowed = slo.allowed_ratio or 0.0
    so_far = Batch(0, 0)
    for index, batch in batches_every(turns, slo):
        so_far = Batch(so_far.missed + batch.missed, so_far.turns + batch.turns)
        for counted, over in ((batch, f"within {BIN_S:.0f} s"), (so_far, "since the start")):
            if counted.missed > allowed * counted.turns and share_bounds([counted], ALPHA).lower > allowed:
                return (index + 1) * BIN_S, counted, over
    return None


def _crossed_in_all(turns: pd.DataFrame, slo: Slo, length_s: float) -> tuple[float, Batch, str] | None:
    bounds = whole_run(turns, slo, length_s)
    if bounds.lower > (slo.allowed_ratio or 0.0):
        return length_s, Batch(bounds.missed, bounds.turns), "over the run"
    return None


def batches_every(turns: pd.DataFrame, slo: Slo) -> list[tuple[int, Batch]]:
    """Batches of `BIN_S` seconds, by number and in order; those without a turn that tells are left out."""
    missed = misses(turns, slo)
    known = np.isfinite(missed)
    index = np.maximum(turns["intended_start_s"].to_numpy(dtype=np.float64)[known] // BIN_S, 0).astype(int)
    missed_by, turns_by = np.bincount(index, weights=missed[known]), np.bincount(index)
    return [(int(i), Batch(int(missed_by[i]), int(turns_by[i]))) for i in np.flatnonzero(turns_by)]


def _against(value_s: float, limit_s: float) -> str:
    return f"{_seconds(value_s)}, limit {_seconds(limit_s)}"


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
        for model, of_model in list(rows.groupby("model"))[:MODELS_MAX]:
            first = of_model.sort_values("at_s").iloc[0]
            sentence = f"{what} {model}: {first['error_code']}, {len(of_model)} calls refused or failed from here on"
            yield _crossing(f"{what} {model}", first["at_s"], len(of_model), 0, sentence)


def _cut_off(run: Run) -> Iterator[Crossing]:
    """Answers that stopped as at max_tokens with fewer tokens than that: a quota of output was used up."""
    if "stop_reason" not in run.calls:  # an older record
        return
    cut = run.calls[run.calls["stop_reason"].isin(LENGTH) & (run.calls["output_tokens"] < run.calls["max_tokens"])]
    starts = cut.merge(run.turns[[*TURN_KEY, "intended_start_s"]], on=list(TURN_KEY))
    starts["at_s"] = starts["intended_start_s"] + starts["start_s"].fillna(0.0)
    for model, rows in list(starts.groupby("model"))[:MODELS_MAX]:
        first = rows.sort_values("at_s").iloc[0]
        sentence = (
            f"output quota of {model}: an answer was cut off at {first['output_tokens']:.0f} of "
            f"{first['max_tokens']:.0f} tokens, {len(rows)} answers from here on"
        )
        yield _crossing(f"output quota of {model}", first["at_s"], len(rows), 0, sentence)


def _tools(run: Run) -> Iterator[Crossing]:
    """Failed tool calls; one that waits for the customer's confirmation has not failed."""
    failed = run.tools[~run.tools["status"].isin(TOOL_FINE)]
    if len(failed):
        starts = failed.merge(run.turns[[*TURN_KEY, "intended_start_s"]], on=list(TURN_KEY))
        first = starts.sort_values("intended_start_s").iloc[0]
        what, at_s = f"tool {first['tool']}", first["intended_start_s"]
        yield _crossing(
            what, at_s, len(failed), 0, f"{what}: {first['status']}, {len(failed)} failed tool calls in all"
        )


def _router(turns: pd.DataFrame, budget_s: float) -> Iterator[Crossing]:
    over = turns[turns["route_s"] > budget_s]
    if len(over):
        first = over.sort_values("intended_start_s").iloc[0]
        sentence = f"router over its budget: {_against(first['route_s'], budget_s)}"
        yield _crossing("router budget", first["intended_start_s"], first["route_s"], budget_s, sentence)


def _generator(turns: pd.DataFrame, limit_s: float) -> Iterator[Crossing]:
    for end_s, rows in _bins(turns):
        known = rows["start_lag_s"].dropna().to_numpy(np.float64)
        lag_s = float(np.quantile(known, 0.99, method="inverted_cdf")) if len(known) else 0.0
        if lag_s > limit_s:
            sentence = f"generator: start lag p99 {_against(lag_s, limit_s)} over {BIN_S:.0f} s"
            yield _crossing("generator", end_s, lag_s, limit_s, sentence)
            return


def _generator_cpu(generator: pd.DataFrame) -> Iterator[Crossing]:
    """The first second in which a load worker had no core left; its start lag may still have been fine."""
    over = generator[generator["cpu_ratio"] > CPU_LIMIT_RATIO]
    if len(over):
        first = over.sort_values("second").iloc[0]
        what, at_s, ratio = "generator CPU", first["second"] + 1, first["cpu_ratio"]
        sentence = f"generator: worker {first['worker']:.0f} used {ratio:.0%} of a core, limit {CPU_LIMIT_RATIO:.0%}"
        yield _crossing(what, at_s, ratio, CPU_LIMIT_RATIO, sentence)


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
            sentence = f"queue: up to {most:.0f} requests waited in an engine, and did not clear for {over_s:.0f} s"
            yield _crossing("queue", part["second"].iloc[0], most, 0, sentence)


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
            sentence = f"{what}: {ratio:.0%} of a core, limit {CPU_LIMIT_RATIO:.0%}"
            yield _crossing(what, rows["second"].iloc[over[0] + 1], ratio, CPU_LIMIT_RATIO, sentence)
