"""A run is predicted before it is made; its own figures then lie in the range, or do not."""

import json
from dataclasses import replace

import numpy as np
import pytest

from capacity.calibration.certainty import KNOWN
from capacity.calibration.fit import calibrate
from capacity.calibration.prediction import (
    Prediction,
    extrapolations,
    measured_figures,
    predict_figures,
    rate_error,
    read_prediction,
    refuse_hindsight,
    score_prediction,
    write_prediction,
)
from capacity.plan import PlanError
from capacity.simulator.rate_at_slo import Lengths, rate_at_slo
from slo.slo import Slo
from tests.capacity.models import step_model
from tests.capacity.test_calibration import LIMITS, TRUE, WHO, observed


@pytest.fixture(scope="module")
def fitted():
    return calibrate([observed(rate) for rate in (2.0, 5.0, 8.0, 11.0, 13.0)], LIMITS, WHO)


def prediction(figures):
    return Prediction("step", "2026-11-23T10:00:00+00:00", "m", "0", "a.csv", "1", 400, 9.0, tuple(figures))


def test_a_rung_the_fit_never_saw_lies_in_its_ranges(fitted):
    run = observed(9.5, seed=7)
    outcomes = score_prediction(prediction(predict_figures(run.requests(), fitted, seed=1)), run)
    assert {outcome.predicted.metric for outcome in outcomes} == set(measured_figures(run))
    assert all(outcome.inside for outcome in outcomes)


def test_an_engine_that_changed_falls_outside(fitted):
    """Steps twice as long: the prediction can be wrong, and says so, the worst figure first."""
    slower = replace(TRUE, buckets=(replace(TRUE.coefficients, a=0.024),))
    run = observed(9.5, seed=7, model=slower)
    outcomes = score_prediction(prediction(predict_figures(run.requests(), fitted, seed=1)), run)
    assert not outcomes[0].inside
    errors = [abs(outcome.error_ratio) for outcome in outcomes]
    assert errors == sorted(errors, reverse=True)


def test_a_range_widens_with_the_hold_out_error(fitted):
    work = observed(9.5).requests()
    worse = replace(
        fitted,
        hold_out=tuple(
            replace(row, predicted=row.measured + 3 * (row.predicted - row.measured)) for row in fitted.hold_out
        ),
    )
    for narrow, wide in zip(predict_figures(work, fitted, seed=1), predict_figures(work, worse, seed=1), strict=True):
        assert wide.high - wide.low > narrow.high - narrow.low
        assert wide.value == narrow.value


def test_a_rate_at_which_the_drift_hides_the_medians_is_named(fitted):
    known = replace(fitted, validity=fitted.validity | {KNOWN: (0.0, 8.0)})
    (warning,) = extrapolations(observed(9.5).requests(), known)
    assert "medians are known up to 8 only" in warning
    nowhere = replace(fitted, validity=fitted.validity | {KNOWN: (0.0, 0.0)})
    assert "medians are known at no rate that was drawn" in extrapolations(observed(9.5).requests(), nowhere)[0]


def test_what_lies_beyond_the_calibrated_range_is_named(fitted):
    fitted = replace(fitted, validity={name: span for name, span in fitted.validity.items() if name != KNOWN})
    assert extrapolations(observed(9.5).requests(), fitted) == ()
    (rate,) = extrapolations(observed(30.0).requests(), fitted)
    assert rate.startswith("requests_per_s: 3")
    longer = extrapolations(observed(9.5, prompt=2_000).requests(), fitted)
    assert [text.split(":")[0] for text in longer] == ["input_tokens", "context_tokens"]


def test_the_same_seed_gives_the_same_prediction(fitted):
    work = observed(9.5).requests()
    assert predict_figures(work, fitted, seed=3) == predict_figures(work, fitted, seed=3)


def test_a_step_model_that_knows_no_error_predicts_nothing():
    with pytest.raises(PlanError, match="without a range"):
        predict_figures(observed(9.5).requests(), step_model(), seed=1)


def test_a_short_run_is_judged_at_p95_and_a_long_one_at_p99():
    assert "ttft_s_p95" in measured_figures(observed(9.5, n=400))
    assert "ttft_s_p99" in measured_figures(observed(9.5, n=1_000))
    assert {"ttft_s_p50", "tpot_s_p50", "output_tokens_per_s"} == set(measured_figures(observed(9.5, n=100)))


def test_single_tokens_have_no_tpot(fitted):
    """Labels, scores: what is predicted of them, and scored, is first tokens and throughput."""
    run = observed(9.5)
    single = replace(run, output_tokens=np.ones_like(run.output_tokens), decode_s=0 * run.decode_s)
    outcomes = score_prediction(prediction(predict_figures(single.requests(), fitted, seed=1)), single)
    assert {outcome.predicted.metric for outcome in outcomes} == {"output_tokens_per_s", "ttft_s_p50", "ttft_s_p95"}


def test_a_run_too_short_for_every_predicted_figure_is_refused():
    lone = prediction([replace(figure, metric="ttft_s_p999") for figure in prediction_figures()])
    with pytest.raises(PlanError, match="none of the predicted figures"):
        score_prediction(lone, observed(9.5))


def prediction_figures():
    from capacity.calibration.prediction import Predicted

    return [Predicted("ttft_s_p50", 0.1, 0.05, 0.2)]


@pytest.mark.parametrize("made", ["2026-11-24T00:00:00Z", "2026-11-24T00:00:01+00:00", "2026-11-24T01:00:00+01:00"])
def test_hindsight_is_refused(made):
    with pytest.raises(PlanError, match="older than what it predicts"):
        refuse_hindsight(made, "2026-11-24T00:00:00+00:00", "rung-4")


def test_foresight_is_not():
    refuse_hindsight("2026-11-23T23:59:59Z", "2026-11-24T00:00:00+00:00", "rung-4")


def test_a_moment_that_is_none_is_refused():
    with pytest.raises(PlanError, match="is no time"):
        refuse_hindsight("soon", "2026-11-24T00:00:00+00:00", "rung-4")


def test_a_file_comes_back_as_it_was(tmp_path):
    made = prediction(prediction_figures())
    assert read_prediction(write_prediction(made, tmp_path / "r.prediction.json")) == made


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "no JSON"),
        ('{"schema": "other"}', "no prediction of schema"),
        ('{"schema": "peakday.prediction/1"}', "damaged"),
    ],
)
def test_a_file_that_is_no_prediction_is_refused(tmp_path, text, reason):
    path = tmp_path / "r.prediction.json"
    path.write_text(text)
    with pytest.raises(PlanError, match=reason):
        read_prediction(path)


def test_the_numbers_are_plain_json(tmp_path, fitted):
    made = prediction(predict_figures(observed(9.5).requests(), fitted, seed=1))
    raw = json.loads(write_prediction(made, tmp_path / "r.prediction.json").read_text())
    assert all(np.isfinite(figure["value"]) for figure in raw["figures"])


def test_the_graphs_of_an_engine_that_pads_are_drawn_too():
    """Its sizes are constants made of a, b, e and c, and a range that left them fixed was too narrow."""
    padded = calibrate([observed(rate) for rate in (2.0, 5.0, 8.0)], replace(LIMITS, token_buckets=(512, 2048)), WHO)
    fixed = replace(padded, covariance=tuple((0.0,) * 5 for _ in range(5)))
    work = observed(5.0).requests()
    wide, narrow = (
        {figure.metric: figure.high / figure.low for figure in predict_figures(work, model, seed=1)}
        for model in (padded, fixed)
    )
    assert wide["tpot_s_p50"] > narrow["tpot_s_p50"]


def spread(a, c):
    """A covariance of a and c alone, by their standard deviations."""
    return tuple(tuple(float(v) for v in row) for row in np.diag([a**2, 0.0, 0.0, c**2, 0.0]))


def test_no_graph_is_drawn_quicker_than_one_that_holds_less():
    """A cost of a request that may be nothing is never below it: a graph of 256 would take no time else."""
    graphs = [(0.02 + 3e-5 * seqs, 0, seqs) for seqs in (1, 16, 256)]
    model = replace(step_model(buckets=graphs), covariance=spread(1e-4, 1e-3), inputs=("one",), pace_sigma=0.0)
    drawn = []
    rate_error(lambda engine: drawn.append([k.a for k in engine.buckets]) or 1.0, model)
    assert all(a == sorted(a) and a[0] > 0.015 for a in drawn)
    assert any(a[-1] > 0.1 for a in drawn)


def test_a_rate_is_unknown_where_its_error_leaves_steps_that_take_no_time():
    limits = [Slo("tpot_s", 0.99, 1.0)]
    sample = Lengths(np.array([100]), np.array([20]), np.array([0]))
    model = replace(step_model(a=1e-3), covariance=spread(1e-2, 0.0), inputs=("one",))

    def rate(engine):
        return rate_at_slo(sample, engine, limits, n=200, seed=1).rate_per_s

    assert rate_error(rate, model) == np.inf
    assert rate_error(rate, replace(model, covariance=spread(1e-5, 0.0))) < 0.1
