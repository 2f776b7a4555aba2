"""Everything that says "miss" says the same: gate, max-rate, goodput, SLO table and first limit exceeded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from hypothesis import example, given
from hypothesis import strategies as st

from loadgen.analysis.first_limit import batches_every, limits_exceeded
from loadgen.analysis.sequential import warm_batches
from loadgen.analysis.slo_results import slo_results
from loadgen.analysis.totals import totals
from loadgen.record import Run
from loadgen.run_info import RunInfo
from loadgen.tables import TABLES, TURN_STATUSES
from peakday.gate.slo import batches
from slo.slo import ERROR_STATUSES, misses, parse_slo

LENGTH_S = 20.0
LIMITS = {"ttft_s_p95": 1.0, "e2e_s_p50": 2.0, "tpot_s_p99": 0.05, "error_ratio": 0.1}
SLOS = [parse_slo(f"{name} <= {limit}") for name, limit in LIMITS.items()]
SCENARIO = {"slo": LIMITS, "assistant": {"router": {"budget_s": 9.0}}}


def record(rows: list[tuple[str, float | None, float | None, float | None]]) -> Run:
    """A run of turns (status, TTFT, E2E or wait, TPOT), due evenly over its length."""
    turns = pd.DataFrame({name: [None] * len(rows) for name in TABLES["turns"]})
    turns["intended_start_s"] = np.linspace(0, LENGTH_S, len(rows), endpoint=False)
    turns["interaction_id"] = [f"i{number}" for number in range(len(rows))]
    columns = zip(*rows, strict=True)
    turns["status"] = list(next(columns))
    for name, values in zip(("ttft_s", "e2e_s", "tpot_s"), columns, strict=True):
        turns[name] = pd.Series(values, dtype=float)
    tables = {name: pd.DataFrame({column: [] for column in TABLES[name]}) for name in TABLES}
    return Run(path=Path("run"), info=RunInfo(asked_s=LENGTH_S), **{**tables, "turns": turns})


seconds = st.one_of(st.none(), st.sampled_from([0.01, 0.06, 0.5, 1.0, 1.01, 3.0]))
turn = st.tuples(st.sampled_from(TURN_STATUSES), seconds, seconds, seconds)
records = st.lists(turn, min_size=1, max_size=300).map(record)


@given(records)
@example(record([("ok", 0.3, 0.9, 0.01), ("http_error", None, None, None)] * 300))
@example(record([("ok", 0.3, 0.9, 0.01), ("http_error", None, 5.0, None)] * 300))
@example(record([("censored", None, 0.5, None)] * 3))
def test_all_of_them_count_the_same_misses(run):
    """For every SLO: as many missed and as many turns that tell, wherever they are counted."""
    shown = {result.name: result for result in slo_results(run.turns, LIMITS, LENGTH_S, {})}
    for slo in SLOS:
        missed = misses(run.turns, slo)
        counted = (int(np.nansum(missed)), int(np.isfinite(missed).sum()))
        warm = misses(run.turns[run.turns["intended_start_s"] >= 4.0], slo)
        assert total(batches(slo, [run], LENGTH_S)) == counted
        assert total(batches(slo, [run, run], LENGTH_S)) == (2 * counted[0], 2 * counted[1])
        assert total([batch for _, batch in batches_every(run.turns, slo)]) == counted
        assert total(warm_batches(run.turns, LENGTH_S, slo)) == (int(np.nansum(warm)), int(np.isfinite(warm).sum()))
        assert (shown[slo.name].missed, shown[slo.name].turns) == counted


@given(records)
def test_goodput_is_what_was_answered_and_missed_nothing(run):
    """A turn that missed any latency SLO, or was not answered, is none of it."""
    missed = np.any([misses(run.turns, slo) == 1 for slo in SLOS], axis=0)
    expected = int((run.turns["status"].eq("ok").to_numpy() & ~missed).sum())
    assert totals(run, LENGTH_S, LIMITS).goodput_per_s * LENGTH_S == expected


@given(records)
def test_an_slo_that_the_run_missed_is_among_the_limits_exceeded(run):
    """The table and the sentence cannot disagree."""
    missed = {
        f"SLO {result.name}" for result in slo_results(run.turns, LIMITS, LENGTH_S, {}) if result.result == "missed"
    }
    crossed = {crossing.what for crossing in limits_exceeded(run, SCENARIO, 9.0, LENGTH_S)}
    assert missed <= crossed


def test_of_several_percentiles_the_strictest_is_the_limit_of_a_turn():
    """0.5 s at p50 and 2 s at p95: an answer within 1 s is no goodput."""
    run = record([("ok", 0.4, 1.0, None), ("ok", 1.0, 1.5, None)])
    limits = {"ttft_s_p50": 0.5, "ttft_s_p95": 2.0}
    assert totals(run, 1.0, limits).goodput_per_s == 1.0


def test_six_failures_of_six_are_a_crossing_and_two_of_ninety_five_are_none():
    """A share of few turns is no evidence against 1%; nothing but failures is, however few."""
    limits = {**SCENARIO, "slo": {"error_ratio": 0.01}}
    crossed = limits_exceeded(record([("http_error", None, None, None)] * 6), limits, 9.0, LENGTH_S)
    assert [crossing.what for crossing in crossed] == ["SLO error_ratio"]
    few = record([("ok", 0.1, 0.2, None)] * 93 + [("http_error", None, None, None)] * 2)
    assert limits_exceeded(few, limits, 9.0, LENGTH_S) == ()


def test_every_failure_is_an_error_and_every_status_is_known():
    """The status list of the record is the one of the SLOs."""
    assert set(ERROR_STATUSES) <= set(TURN_STATUSES)


def total(parts) -> tuple[int, int]:
    return sum(batch.missed for batch in parts), sum(batch.turns for batch in parts)
