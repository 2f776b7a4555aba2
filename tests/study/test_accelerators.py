"""Public measurements are read as their sources say, split before they are fitted, and counted per source."""

import pytest

from study.accelerators import (
    CURVES,
    Outcome,
    Result,
    deployments,
    knee,
    neuron,
    neuron_curves,
    point,
    rows,
    shape,
    table,
)


def test_every_published_row_has_its_source_commit_and_licence():
    for name in (*CURVES, "points_neuron_contrib"):
        assert rows(name)[["source_repo", "source_commit", "licence"]].notna().all().all()


def test_a_client_that_left_its_clients_idle_is_not_scored():
    """Little's law: rows of gpu_conc with fewer than four fifths of their clients in flight are marked."""
    kept = rows("points_gpu_conc")
    busy = kept["req_per_s"] * kept["e2e_mean_ms"] / 1000 / kept["concurrency"]
    assert len(kept) == 13
    assert busy.min() > 0.8


def test_inferencex_lengths_are_a_tenth_below_nominal_and_spread():
    row = next(rows("points_inferencex").itertuples())
    assert point(row).input_tokens == pytest.approx(0.9 * row.isl)
    assert point(row).spread == 0.8


def test_two_lowest_points_of_a_neuron_curve_predict_its_throughput_within_five_per_cent():
    results = [neuron(curve) for curve in neuron_curves()]
    errors = sorted(abs(o.error_ratio) for r in results for o in r.outcomes if o.metric == "tokens/s")
    assert len(errors) >= 4
    assert errors[len(errors) // 2] <= 0.05


def test_shape_transfer_predicts_only_lengths_it_was_not_fitted_to():
    """Of a deployment with three length pairs, the pair between the extremes."""
    part = next(d for d in deployments("points_nv_gap_analysis") if d[["isl", "osl"]].drop_duplicates().shape[0] == 3)
    result = shape(part)
    middle = part.groupby(["isl", "osl"]).size()
    assert 0 < len(result.outcomes) <= 2 * middle.max()


def test_the_knee_is_predicted_from_half_of_the_concurrency():
    part = min((d for d in deployments("points_inferencex") if knee_rows(d)), key=len)
    result = knee(part)
    assert result.refused is None
    assert {outcome.metric.split()[0] for outcome in result.outcomes} == {"tpot", "ttft"}


def knee_rows(part):
    sizes = part.groupby("config_id")["concurrency"].agg(["size", "min", "max"])
    return ((sizes["size"] >= 4) & (sizes["min"] <= sizes["max"] / 2)).all()


def test_sources_are_never_pooled_and_refusals_are_counted():
    results = [
        Result("shape", "one", (Outcome("shape", "one", "tpot", 1.1, 1.0, 0.1),)),
        Result("shape", "two", refused="two with a TPOT are needed"),
    ]
    text = table(results)
    assert "| shape | one | tpot | 1 | 10.0% | 10.0% | +10.0% |" in text
    assert "| shape | two | - | 0 | - | - | - | - | 1 of 1 |" in text
