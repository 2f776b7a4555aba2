"""An engine whose coefficients we know is recovered from its timings; what cannot be told is refused."""

from dataclasses import replace

import numpy as np
import pytest

from capacity.calibration.fit import Identity, calibrate, hold_out_rows
from capacity.calibration.limits import CalibrationError, EngineLimits
from capacity.calibration.observed import EngineTimes, Observed
from capacity.calibration.refusals import within_reach
from capacity.simulator.engine import simulate
from capacity.simulator.rate_at_slo import latencies
from capacity.simulator.requests import requests
from tests.capacity.models import step_model

TRUE = step_model(
    a=0.012, b=6e-5, e=4e-9, c=3e-4, d=4e-8, max_num_seqs=64, max_batched_tokens=2048, ttft_overhead_s=0.02
)
LIMITS = EngineLimits(max_num_seqs=64, max_batched_tokens=2048, block_tokens=1, kv_blocks=1_000_000)
WHO = Identity("tiny", "cpu", 1, 1.0, "test", "1", "2026-11-23")


def observed(rate_per_s, n=400, noise=0.03, seed=1, model=TRUE, prompt=600, answer=60):
    """What a load generator would have measured on the true engine, with noise on every time."""
    rng = np.random.default_rng([seed, int(rate_per_s * 1000)])
    work = requests(
        np.cumsum(rng.exponential(1 / rate_per_s, n)),
        np.clip(rng.lognormal(np.log(prompt), 0.8, n), 20, 6_000).astype(int),
        np.clip(rng.lognormal(np.log(answer), 0.6, n), 2, 400).astype(int),
    )
    times = latencies(work, simulate(work, model), model)
    blur = rng.lognormal(0, noise, (2, n))
    decode_s = (times.e2e_s - times.ttft_s) * blur[1]
    return Observed(
        f"step-{rate_per_s:g}", work.arrival_s, work.input_tokens, work.output_tokens, work.cached_tokens,
        times.ttft_s * blur[0], decode_s, "measured",
    )  # fmt: skip


def one_length(rate_per_s):
    """A load step whose prompts are all of 600 tokens."""
    rng = np.random.default_rng([7, int(rate_per_s)])
    n = 600
    work = requests(
        np.cumsum(rng.exponential(1 / rate_per_s, n)), np.full(n, 600), np.clip(rng.poisson(60, n), 2, 400).astype(int)
    )
    times = latencies(work, simulate(work, TRUE), TRUE)
    return Observed(
        f"one-{rate_per_s:g}", work.arrival_s, work.input_tokens, work.output_tokens, work.cached_tokens,
        times.ttft_s, times.e2e_s - times.ttft_s, "measured",
    )  # fmt: skip


@pytest.fixture(scope="module")
def fitted():
    return calibrate([observed(rate) for rate in (2.0, 5.0, 8.0, 11.0, 13.0)], LIMITS, WHO)


def test_a_rate_sweep_recovers_the_engine(fitted):
    got, true = fitted.coefficients, TRUE.coefficients
    assert got.a == pytest.approx(true.a, rel=0.05)
    assert got.b == pytest.approx(true.b, rel=0.15)
    assert got.c == pytest.approx(true.c, rel=0.15)
    assert fitted.ttft_overhead_s == pytest.approx(0.02, rel=0.25)


def scraped(run):
    """The same load step with what the engine's own histograms say of it."""
    work = run.requests()
    times = latencies(work, simulate(work, TRUE), TRUE)
    return replace(
        run,
        engine=EngineTimes(float(times.queue_s.mean()), float((times.ttft_s - times.queue_s - times.front_s).mean())),
    )


def test_the_engines_own_times_tell_the_front_end_from_a_step():
    """Busy steps alone leave what is before the engine to guess; its histograms leave 20 ms."""
    model = calibrate([scraped(observed(rate)) for rate in (8.0, 10.0, 12.0)], LIMITS, WHO)
    assert model.ttft_overhead_s == pytest.approx(TRUE.ttft_overhead_s, rel=0.06)
    assert model.coefficients.b == pytest.approx(TRUE.coefficients.b, rel=0.15)


def test_scatter_does_not_make_the_engine_look_fast():
    """Times that scatter by a sixth about the model's leave its medians where they are."""
    noisy = [observed(rate, noise=0.16, n=800) for rate in (5.0, 8.0, 11.0)]
    model = calibrate(noisy, LIMITS, WHO)
    rows = {row.metric: row for row in hold_out_rows(observed(9.0, noise=0.0, n=800), model)}
    assert abs(rows["tpot_s_p50"].error_ratio) < 0.03


def test_held_out_load_steps_are_predicted_within_the_bars(fitted):
    """Throughput 3%, TPOT p99 (or p95) 5%, TTFT p95 15%, on load steps left out of the fit, below 0.85 of the knee."""
    worst = {}
    for row in fitted.hold_out:
        if row.case.split()[0] in ("step-11", "step-13"):
            continue
        worst[row.metric] = max(worst.get(row.metric, 0.0), abs(row.error_ratio))
    assert list(dict.fromkeys(row.case.split()[0] for row in fitted.hold_out)) == list(fitted.inputs)
    assert worst["output_tokens_per_s"] < 0.03
    assert worst["tpot_s_p95"] < 0.05
    assert worst["ttft_s_p95"] < 0.15


def test_another_length_mix_is_predicted_too(fitted):
    rows = {row.metric: row for row in hold_out_rows(observed(6.0, prompt=200, answer=150, seed=9), fitted)}
    assert abs(rows["tpot_s_p50"].error_ratio) < 0.05
    assert abs(rows["output_tokens_per_s"].error_ratio) < 0.03


def test_a_load_step_of_single_tokens_is_refused():
    """Labels, scores: nothing decodes, so nothing tells what a step takes, alone or beside other load steps."""
    run = observed(4.0)
    single = replace(run, name="labels", output_tokens=np.ones_like(run.output_tokens), decode_s=0 * run.decode_s)
    for runs in ([single], [observed(8.0), single]):
        with pytest.raises(CalibrationError, match="labels: 0 answers have two tokens or more, 10 needed"):
            calibrate(runs, LIMITS, WHO)


def test_the_fit_states_its_range_and_how_sure_it_is(fitted):
    assert fitted.validity["requests_per_s"] == pytest.approx((2.0, 13.0), rel=0.15)
    assert fitted.validity["decoding"][1] > 10
    assert fitted.condition_number > 1
    sigma_a = fitted.covariance[0][0] ** 0.5
    assert 0 < sigma_a < 0.1 * fitted.coefficients.a
    assert fitted.inputs == ("step-2", "step-5", "step-8", "step-11", "step-13")


def test_a_bench_tells_apart_what_a_sweep_of_one_length_cannot():
    """All prompts alike: a sweep alone cannot know what a longer one costs; a bench that is a tenth slow does."""
    sweep = [one_length(rate) for rate in (4.0, 8.0, 12.0)]
    k = TRUE.coefficients
    bench = replace(TRUE, buckets=(replace(k, a=1.1 * k.a, b=1.1 * k.b, c=1.1 * k.c),), inputs=("bench-1",))
    far = observed(0.5, prompt=2_000, noise=0.0)

    def error(model):
        return abs(next(row for row in hold_out_rows(far, model) if row.metric == "ttft_s_p50").error_ratio)

    alone, both = calibrate(sweep, LIMITS, WHO), calibrate(sweep, LIMITS, WHO, bench=bench)
    assert both.inputs == (*alone.inputs, "bench-1")
    assert error(both) < 0.1
    assert error(both) <= error(alone) + 0.02


def test_a_light_sweep_is_sent_to_three_times_its_busiest_rate_at_most():
    """Far past saturation a step tells little but its queue."""
    with pytest.raises(CalibrationError, match=r"measure at about 3 x 0\.\d+/s"):
        calibrate([observed(rate) for rate in (0.1, 0.2, 0.3)], LIMITS, WHO)


def test_a_step_far_beyond_the_others_is_no_misfit_for_not_being_foretold():
    sweep = sorted([observed(rate) for rate in (1.0, 2.0, 12.0)], key=lambda run: run.rate_per_s)
    rows = [row for run in sweep for row in hold_out_rows(run, TRUE)]
    near = within_reach(rows, sweep)
    assert {row.case.split()[0] for row in near} == {"step-1", "step-2"}
    assert within_reach(rows[:10], sweep[:2]) == rows[:10]


def test_one_light_run_cannot_size_a_fleet_and_the_next_measurement_is_named():
    with pytest.raises(CalibrationError, match=r"a light load cannot size a fleet: measure at about \d+ x 0\.\d+/s"):
        calibrate([observed(0.5)], LIMITS, WHO)


def test_too_few_calls_are_refused():
    with pytest.raises(CalibrationError, match="50 calls with timings, 200 needed"):
        calibrate([observed(5.0, n=50)], LIMITS, WHO)


def test_invented_timings_are_refused():
    with pytest.raises(CalibrationError, match="schema_example values are invented"):
        calibrate([replace(observed(5.0), provenance="schema_example")], LIMITS, WHO)


def test_a_simulated_run_makes_a_simulated_model():
    model = calibrate([replace(observed(9.0), provenance="simulated"), observed(5.0)], LIMITS, WHO)
    assert model.provenance == "simulated"


def test_a_quantile_without_enough_samples_is_left_out(fitted):
    assert not any(row.metric.endswith("p99") for row in fitted.hold_out)
    few = hold_out_rows(observed(5.0, n=100), fitted)
    assert {row.metric for row in few} == {"output_tokens_per_s", "tpot_s_p50", "ttft_s_p50"}


def test_rounds_that_ask_for_tools_load_the_engine_and_are_not_timed(fitted):
    """Their first content is no first token: with a third of the calls so garbled, the same engine is found."""
    sweep = []
    for rate in (2.0, 5.0, 8.0, 11.0, 13.0):
        run = observed(rate)
        tools = np.arange(len(run.arrival_s)) % 3 == 0
        late_s = run.ttft_s + run.decode_s
        sweep.append(
            replace(run, ttft_s=np.where(tools, late_s, run.ttft_s), decode_s=run.decode_s * ~tools, timed=~tools)
        )
    model = calibrate(sweep, LIMITS, WHO)
    assert model.coefficients.a == pytest.approx(fitted.coefficients.a, rel=0.05)
    assert model.relative_error < 0.05


def test_a_fit_that_misses_its_own_held_out_runs_is_refused():
    """Timings that no engine made give no step model, however small the residuals of the fit."""
    runs = [observed(rate) for rate in (2.0, 5.0, 8.0)]
    runs[1] = replace(runs[1], decode_s=runs[1].decode_s * 10)
    with pytest.raises(CalibrationError, match="held out"):
        calibrate(runs, EngineLimits(), WHO)
