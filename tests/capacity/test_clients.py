"""A load tool's report is reproduced by simulating its client, and an engine is found from such reports alone."""

from dataclasses import replace

import numpy as np
import pytest

from capacity.calibration.clients import LoadPoint, report
from capacity.calibration.known import Known
from capacity.calibration.limits import CalibrationError
from capacity.calibration.points import _expert_buckets, fit_points
from neuron_bench.step_model import Coefficients
from tests.capacity.models import step_model

TRUE = step_model(a=0.008, b=4e-5, c=2e-4, d=2e-8, max_num_seqs=256, max_batched_tokens=8192, ttft_overhead_s=0.01)


def point(concurrency, prompt=1000, answer=200, ttft=None, tpot=None, **other):
    return LoadPoint(f"C={concurrency}", concurrency, prompt, answer, ttft, tpot, **other)


def stated(concurrency, prompt=1000, answer=200):
    """What a tool says of the true engine."""
    told = report(point(concurrency, prompt, answer, spread=0.8), TRUE)
    return LoadPoint(
        f"C={concurrency}", concurrency, prompt, answer, told.ttft_s, told.tpot_s, told.output_tokens_per_s, spread=0.8
    )


def test_one_client_gets_what_the_step_model_says():
    made = report(point(1), TRUE)
    assert made.ttft_s == pytest.approx(0.01 + 0.008 + 4e-5 * 1000)
    assert made.tpot_s == pytest.approx(0.008 + 2e-4 + 2e-8 * 1100, rel=0.01)


def test_the_opening_burst_is_in_the_mean_as_often_as_it_was_sent():
    """A run of two rounds has five times the share of the burst that one of ten has."""
    short, long = (report(point(64, rounds=rounds, spread=0.8), TRUE).ttft_s for rounds in (2.0, 10.0))
    assert short > 1.5 * long


def test_a_wave_is_all_at_once_and_nothing_after():
    """First tokens wait for the prompts before them: a wave of 16 takes half of 16 prompts on average at least."""
    made = report(point(16, wave=True), TRUE)
    assert made.ttft_s > 8 * 4e-5 * 1000
    assert made.output_tokens_per_s < 16 / made.tpot_s


def test_clients_beyond_the_sequence_limit_wait():
    few = step_model(a=0.008, b=4e-5, c=2e-4, d=2e-8, max_num_seqs=8, max_batched_tokens=8192)
    inside, beyond = report(point(8), few), report(point(32), few)
    assert beyond.tpot_s == pytest.approx(inside.tpot_s, rel=0.05)
    assert beyond.ttft_s > inside.ttft_s + 2 * 200 * inside.tpot_s


def test_throughput_obeys_littles_law():
    made = report(point(32), TRUE)
    assert made.output_tokens_per_s == pytest.approx(32 * 200 / (made.ttft_s + 199 * made.tpot_s))


def test_an_engine_is_found_from_load_points_of_two_length_pairs():
    points = [stated(c, *pair) for c in (1, 8, 32, 64) for pair in ((1000, 200), (4000, 100))]
    fit = fit_points(points, step_model(max_num_seqs=1024, kv_tokens=10_000_000))
    for c, pair in ((16, (1000, 200)), (48, (2000, 400)), (128, (1000, 200))):
        told, made = stated(c, *pair), report(point(c, *pair, spread=0.8), fit.model)
        assert made.tpot_s == pytest.approx(told.tpot_s, rel=0.06)
        assert made.ttft_s == pytest.approx(told.ttft_s, rel=0.15)


def test_a_kv_memory_that_was_never_full_is_known_by_arithmetic_and_the_queue_behind_it_predicted():
    """Fitted below 40,000 tokens; at 64 clients of 1,200 the memory is full and first tokens wait for an end."""
    true = replace(TRUE, kv_blocks=40_000)
    points = [told_by(true, c) for c in (1, 4, 8, 16, 32)]
    fit = fit_points(points, step_model(max_num_seqs=1024, kv_tokens=10_000_000), Known((42_000.0, 21_000.0)))
    full = told_by(true, 64)
    assert full.ttft_s > 3 * told_by(true, 32).ttft_s
    assert fit.report(replace(full, ttft_s=None)).ttft_s == pytest.approx(full.ttft_s, rel=0.25)
    assert not fit.kv_read


def test_a_kv_memory_is_read_from_where_first_tokens_jump():
    """Nothing is known before: half of what was given, and the points at 64 and 96 clients say so."""
    true = replace(TRUE, kv_blocks=40_000)
    points = [told_by(true, c) for c in (1, 8, 32, 64, 96)]
    fit = fit_points(points, step_model(max_num_seqs=1024, kv_tokens=10_000_000))
    assert fit.kv_read
    assert fit.model.kv_tokens_max == pytest.approx(40_000, rel=0.1)


def test_a_mixture_of_experts_slows_down_less_and_less():
    """Fitted to 16 clients, whose every request still adds experts to read; at 64 all are read."""
    buckets = _expert_buckets(Coefficients(0.006, 2e-5, 0.0, 1e-4, 1e-8, 0), 0.004, 32.0)
    true = replace(TRUE, buckets=(*buckets, Coefficients(0.010, 2e-5, 0.0, 1e-4, 1e-8)))
    points = [told_by(true, c) for c in (1, 4, 8, 16)]
    base = step_model(max_num_seqs=1024, kv_tokens=10_000_000)
    curved, straight = (fit_points(points, base, Known(experts_ratio=ratio)) for ratio in (32.0, None))
    at_64 = told_by(true, 64)
    assert curved.report(at_64).tpot_s == pytest.approx(at_64.tpot_s, rel=0.06)
    assert straight.report(at_64).tpot_s > 1.07 * at_64.tpot_s


def told_by(engine, concurrency, prompt=1000, answer=200):
    made = report(point(concurrency, prompt, answer, spread=0.8), engine)
    return point(concurrency, prompt, answer, spread=0.8, ttft=made.ttft_s, tpot=made.tpot_s)


def test_a_single_point_is_refused_with_what_to_measure():
    with pytest.raises(CalibrationError, match="measure another concurrency"):
        fit_points([stated(8)], TRUE)


def test_lengths_of_a_spread_keep_their_mean():
    from capacity.calibration.clients import _lengths

    drawn = _lengths(900.0, 0.8, 200, 1)
    assert np.mean(drawn) == pytest.approx(900, rel=0.005)
    assert drawn.min() >= 0.79 * drawn.max()
