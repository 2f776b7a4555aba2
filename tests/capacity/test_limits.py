"""Limits of an engine are read from what it did, and a stated one that the data contradict is refused."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from capacity.calibration.fit import calibrate, hold_out_rows, quantile_loss
from capacity.calibration.limits import CalibrationError, EngineLimits, ceilings
from capacity.calibration.observed import Observed
from capacity.simulator.engine import simulate
from capacity.simulator.rate_at_slo import latencies
from tests.capacity.models import step_model
from tests.capacity.test_calibration import LIMITS, WHO, observed

FEW_SEQS = step_model(a=0.012, b=6e-5, c=3e-4, d=4e-8, max_num_seqs=16, max_batched_tokens=2048, ttft_overhead_s=0.02)
LITTLE_KV = step_model(
    a=0.012, b=6e-5, c=3e-4, d=4e-8, max_num_seqs=256, kv_tokens=20_000, max_batched_tokens=2048, ttft_overhead_s=0.02
)
REAL = Path(__file__).parent / "data" / "cpu_engine_in400_out100.csv.gz"
"""Four load steps of a vLLM 0.32 on one CPU core, at most 128 sequences and 2,048 tokens a step, 2026-11-28; the
machine's pace drifted by a tenth between steps, one step lies at the knee and one past saturation."""


def sweep(model, rates):
    return [observed(rate, model=model) for rate in rates]


@pytest.fixture(scope="module")
def real():
    table = pd.read_csv(REAL).query("status == 200").sort_values("sent_s")
    return [
        Observed(
            f"{rate:g}/s", rows.sent_s.to_numpy(), rows.input_tokens.to_numpy(), rows.output_tokens.to_numpy(),
            np.zeros(len(rows), dtype=np.int64), (rows.first_s - rows.sent_s).to_numpy(),
            (rows.last_s - rows.first_s).to_numpy(), "measured",
        )
        for rate, rows in table.groupby("rate")
    ]  # fmt: skip


def test_a_plateau_with_a_queue_shows_how_many_requests_run_at_once():
    seqs, kv = ceilings(sweep(FEW_SEQS, (2.0, 5.0, 9.0)))
    assert seqs.plateau
    assert not kv.plateau
    assert round(seqs.most) in (15, 16)


def test_limits_that_bind_are_read_and_the_engine_is_recovered():
    model = calibrate(sweep(FEW_SEQS, (2.0, 4.0, 9.0)), EngineLimits(), WHO)
    assert model.max_num_seqs in (15, 16)
    assert model.coefficients.a == pytest.approx(0.012, rel=0.1)
    assert any("read from a plateau" in note for note in model.notes)


def test_kv_memory_that_binds_is_read():
    """The limit that an A100 of public record had, and that a default hides."""
    model = calibrate(sweep(LITTLE_KV, (2.0, 5.0, 10.0)), EngineLimits(), WHO)
    assert model.kv_tokens_max == pytest.approx(20_000, rel=0.25)


def test_a_stated_number_that_was_exceeded_is_refused_with_both_figures():
    with pytest.raises(CalibrationError, match=r"max_num_seqs is stated as 8, but 1[67] requests decoded at once"):
        calibrate(sweep(FEW_SEQS, (2.0, 5.0, 9.0)), EngineLimits(max_num_seqs=8), WHO)


def test_a_stated_number_that_was_never_reached_while_others_waited_is_refused_with_both_figures():
    with pytest.raises(
        CalibrationError, match=r"stated as 256, but never more than 1[56] requests .* while \d+ waited"
    ):
        calibrate(sweep(FEW_SEQS, (2.0, 5.0, 9.0)), EngineLimits(max_num_seqs=256), WHO)


def test_stated_kv_memory_that_the_requests_cannot_have_fitted_in_is_refused_with_both_figures():
    with pytest.raises(CalibrationError, match=r"320 tokens, but requests held [\d,]+ tokens at once"):
        calibrate(sweep(FEW_SEQS, (2.0, 5.0, 9.0)), EngineLimits(kv_blocks=20), WHO)


def test_a_sweep_that_reached_no_limit_holds_up_to_what_was_measured_and_names_the_load_step_to_measure():
    model = calibrate(sweep(FEW_SEQS, (1.5, 2.5, 3.5)), EngineLimits(), WHO)
    (note,) = [note for note in model.notes if "reached a limit" in note]
    assert re.search(r"up to the 3\.\d+/s that was measured; .* one load step past saturation, at about [\d.]+/s", note)
    true = next(
        row for row in hold_out_rows(observed(3.0, model=FEW_SEQS, seed=3), model) if row.metric == "tpot_s_p50"
    )
    assert abs(true.error_ratio) < 0.05


def test_limits_that_are_stated_need_not_be_reached():
    assert calibrate(sweep(FEW_SEQS, (2.0, 3.0, 4.0)), EngineLimits(16, 2048, 1, 1_000_000), WHO).max_num_seqs == 16


def test_two_replicas_behind_one_address_are_simulated_as_such():
    """A fit that takes them for one finds an engine twice as wide, and one that is told finds the engine."""
    runs = []
    for rate in (4.0, 10.0, 16.0):
        run = observed(rate, n=600)
        work = run.requests()
        served = simulate(work, FEW_SEQS, replicas=2, candidates=np.array([[0, 1]]))
        times = latencies(work, served, FEW_SEQS)
        runs.append(
            Observed(
                run.name, run.arrival_s, run.input_tokens, run.output_tokens, run.cached_tokens, times.ttft_s,
                times.e2e_s - times.ttft_s, "measured",
            )
        )  # fmt: skip
    model = calibrate(runs, EngineLimits(16, 2048, 1, 1_000_000), WHO, replicas=2)
    assert model.coefficients.a == pytest.approx(0.012, rel=0.1)
    assert model.coefficients.c == pytest.approx(3e-4, rel=0.4)


def test_a_real_engine_measured_through_saturation_is_fitted_and_its_limit_read(real):
    """Least squares over queueing times once ended at a step that costs nothing (loss 0.568); by hand 0.036."""
    model = calibrate(real, EngineLimits(), WHO)
    assert quantile_loss(real, model) <= 0.05
    assert model.coefficients.a == pytest.approx(6e-3, rel=0.3)
    assert model.max_num_seqs in (127, 128)


def test_no_term_is_lost_for_good_at_a_start_that_leaves_it_out():
    """An engine without a cost per request and one without a cost per KV token are both found from the same starts."""
    for values in ({"c": 0.0, "d": 8e-7}, {"c": 6e-4, "d": 0.0}):
        true = step_model(a=0.012, b=6e-5, max_num_seqs=64, max_batched_tokens=2048, ttft_overhead_s=0.02, **values)
        got = calibrate(sweep(true, (2.0, 6.0, 9.0)), LIMITS, WHO).coefficients
        together = 500 * got.d + got.c
        assert together == pytest.approx(500 * values["d"] + values["c"], rel=0.35)
