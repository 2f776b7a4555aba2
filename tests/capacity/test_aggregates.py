"""Load points of a bench become a step model of one deployment, or a refusal that says what to name or measure."""

from dataclasses import replace

import pytest

from capacity.calibration.aggregates import Wanted, load_rows, step_model_of_points
from capacity.calibration.clients import LoadPoint, report
from capacity.calibration.fit import Identity
from capacity.calibration.limits import CalibrationError, EngineLimits
from neuron_bench.record import CaseRow
from tests.capacity.models import step_model

TRUE = step_model(a=0.008, b=4e-5, c=2e-4, d=2e-8, max_num_seqs=256, max_batched_tokens=8192, ttft_overhead_s=0.01)
WHO = Identity("m", "h100-80gb sxm", 1, 1.0, "vllm", "0.27", "2026-11-29")


def row(clients, prompt=1000, answer=200, **other):
    told = report(LoadPoint("", clients, prompt, answer, None, None), TRUE)
    return CaseRow(
        record_id=f"C={clients}", provenance="published", phase="serve", model_id="m", chip="h100-80gb sxm",
        chips_used=1, tp=1, input_tokens=prompt, output_tokens=answer, concurrency=clients, ttft_s_mean=told.ttft_s,
        tpot_s_mean=told.tpot_s, output_tokens_per_s=told.output_tokens_per_s, **other,
    )  # fmt: skip


@pytest.fixture(scope="module")
def fitted():
    rows = [row(c) for c in (1, 4, 16, 48)] + [row(c, 3000, 100) for c in (2, 16)]
    return step_model_of_points(rows, EngineLimits(max_num_seqs=256), WHO)


def test_load_points_give_a_model_that_predicts_those_left_out(fitted):
    """One of the middle and the busiest, each within a tenth; of published rows it is derived."""
    assert fitted.hold_out
    assert {row.case.rpartition(", ")[2] for row in fitted.hold_out} == {"C=16", "C=48"}
    assert all(abs(row.error_ratio) < 0.1 for row in fitted.hold_out if row.metric != "ttft_s")
    assert (fitted.provenance, fitted.validity["decoding"]) == ("derived", (1.0, 48.0))
    assert 0.05 <= fitted.relative_error < 0.15


def test_what_nobody_stated_is_noted_and_never_extrapolated(fitted):
    assert any(note.startswith("kv_blocks not stated") for note in fitted.notes)


def test_flagged_rows_are_never_fitted():
    """All flagged: refused with the reasons."""
    rows = [replace(row(4), flags="milliseconds_for_seconds")]
    with pytest.raises(CalibrationError, match=r"all flagged \(milliseconds_for_seconds\)"):
        load_rows(rows, Wanted())
    assert len(load_rows([*rows, row(4)], Wanted())) == 1


def test_a_table_of_several_deployments_asks_which():
    rows = [row(4), replace(row(4), chip="h200-141gb sxm")]
    with pytest.raises(CalibrationError, match=r"2 deployments.*name one with --model"):
        load_rows(rows, Wanted())
    assert load_rows(rows, Wanted(chip="h200-141gb sxm")) == rows[1:]


def test_an_open_load_is_simulated_as_one():
    """Poisson arrivals at a rate: throughput follows the rate, and gaps are those of who is in flight."""
    made = report(LoadPoint("", 1, 1000, 200, None, None, rate_per_s=2.0), TRUE)
    assert made.output_tokens_per_s == pytest.approx(400, rel=0.1)
    assert made.tpot_s > report(LoadPoint("", 1, 1000, 200, None, None), TRUE).tpot_s
