"""From measured cases to a step model: what was put in comes out, and too little is refused."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuron_bench.errors import BenchUsageError
from neuron_bench.fit.bench import Engine, Observation, fit_steps, observations, split, step_model
from neuron_bench.record import CASES, Bench

TRUE = {"a": 4e-3, "b": 2e-4, "e": 3e-8, "c": 1e-4, "d": 5e-7}
OVERHEAD_S = 6e-3
ENGINE = Engine(max_num_seqs=16, max_batched_tokens=2048, block_tokens=16, kv_blocks=4096)


def prefill_row(tokens: int, **change: Any) -> dict[str, Any]:
    steps = math.ceil(tokens / ENGINE.max_batched_tokens)
    seconds = OVERHEAD_S + TRUE["a"] * steps + TRUE["b"] * tokens + TRUE["e"] * tokens * tokens / 2
    return row(f"prefill-{tokens}", "prefill", seconds, input_tokens=tokens, batch=1) | change


def decode_row(users: int, context: float, **change: Any) -> dict[str, Any]:
    seconds = TRUE["a"] + TRUE["c"] * users + TRUE["d"] * users * context
    return row(f"decode-{users}-{context}", "decode", seconds, context_tokens=context, batch=users) | change


def row(name: str, phase: str, seconds: float, **known: Any) -> dict[str, Any]:
    timing = {"wall_s_p50": seconds, "wall_s_p50_lo": seconds, "wall_s_p50_hi": seconds, "n_samples": 100}
    who = {"record_id": name, "phase": phase, "method": "endpoint", "provenance": "measured", "model_id": "m"}
    who |= {"device_kind": "neuron", "chip": "trainium2", "chips_used": 1.0}
    return who | timing | known | {"flags": known.get("flags", ""), "created_utc": "2026-11-23T10:00:00"}


def bench(rows: list[dict[str, Any]]) -> Bench:
    frame = pd.DataFrame([{name: one.get(name) for name in CASES} for one in rows])
    return Bench(Path("benches/test"), {"engine_version": "1"}, frame)


ROWS = [prefill_row(n) for n in (32, 128, 512, 1024, 2048, 4096)]
ROWS += [decode_row(users, context) for users in (1, 2, 4, 8) for context in (100.0, 1000.0)]


def test_the_coefficients_that_made_the_times_come_back() -> None:
    """Exact times give exact coefficients, chunked prompts included."""
    model = step_model(bench(ROWS), ENGINE)
    for name, value in TRUE.items():
        assert getattr(model.coefficients, name) == pytest.approx(value, rel=1e-6)
    assert model.ttft_overhead_s == pytest.approx(OVERHEAD_S, rel=1e-6)
    assert model.relative_error == pytest.approx(0, abs=1e-9)


@given(noise=st.lists(st.floats(0.9, 1.1), min_size=len(ROWS), max_size=len(ROWS)))
def test_coefficients_are_never_negative(noise: list[float]) -> None:
    """Whatever the noise: a step that gets shorter with more work is no step."""
    noisy = [one | {"wall_s_p50": one["wall_s_p50"] * factor} for one, factor in zip(ROWS, noise, strict=True)]
    fitted = fit_steps(observations(bench(noisy), max_batched_tokens=2048))
    assert min(fitted.values) >= 0


@given(factor=st.floats(1e-3, 1e3))
def test_a_change_of_time_unit_scales_every_coefficient(factor: float) -> None:
    """Seconds or milliseconds: predictions over measurements stay."""
    observed = observations(bench(ROWS), max_batched_tokens=2048)
    scaled = [replace(observation, seconds=observation.seconds * factor) for observation in observed]
    for value, other in zip(fit_steps(observed).values, fit_steps(scaled).values, strict=True):
        assert other == pytest.approx(value * factor, rel=1e-6)


def test_flagged_cases_are_not_used() -> None:
    """A wrong and flagged row changes nothing; a contended one is used, and the model's notes say so."""
    wrong = prefill_row(256, wall_s_p50=99.0, flags="above_roofline")
    assert step_model(bench([*ROWS, wrong]), ENGINE).coefficients == step_model(bench(ROWS), ENGINE).coefficients
    notes = step_model(bench([*ROWS, prefill_row(256, flags="contended")]), ENGINE).notes
    assert any("others used the machine" in note for note in notes)


def test_half_is_held_out_and_the_ends_are_kept() -> None:
    """Interpolation is what a hold-out may test: the largest case is always fitted."""
    kept, held = split(observations(bench(ROWS), max_batched_tokens=2048))
    assert len(held) == 5
    assert len(kept) == 9
    assert "prefill-4096" in {one.case for one in kept}
    assert "decode-8-1000.0" in {one.case for one in kept}
    assert not {one.case for one in kept} & {one.case for one in held}


def test_the_hold_out_error_is_the_models_error() -> None:
    """One case of the held half 20% off shows in its row and in relative_error."""
    rows = [
        one | ({"wall_s_p50": one["wall_s_p50"] * 1.2} if one["record_id"] == "prefill-128" else {}) for one in ROWS
    ]
    model = step_model(bench(rows), ENGINE)
    (row,) = [one for one in model.hold_out if one.case == "prefill-128"]
    assert row.error_ratio == pytest.approx(1 / 1.2 - 1, rel=0.05)
    assert model.relative_error == pytest.approx(abs(row.error_ratio) / math.sqrt(len(model.hold_out)), rel=0.1)


@pytest.mark.parametrize("rows", [ROWS[:1] + ROWS[6:], ROWS[:8]])
def test_too_few_cases_are_refused_with_the_remedy(rows: list[dict[str, Any]]) -> None:
    """One prompt length, or one batch size, fits no step times."""
    with pytest.raises(BenchUsageError, match="run the suite `full`"):
        step_model(bench(rows), ENGINE)


def test_a_schema_example_fits_nothing() -> None:
    """Its values are invented."""
    with pytest.raises(BenchUsageError, match="invented"):
        step_model(bench([one | {"provenance": "schema_example"} for one in ROWS]), ENGINE)


def test_the_validity_range_is_what_was_seen() -> None:
    """Prompts of 32 to 4,096 tokens, 1 to 8 decoding."""
    validity = step_model(bench(ROWS), ENGINE).validity
    assert validity["input_tokens"] == (32, 4096)
    assert validity["decoding"] == (1, 8)
    assert validity["context_tokens"] == (100, 1000)


def test_an_observation_of_a_static_graph_counts_the_padding() -> None:
    """A cache of 512 is read whole, whatever is in it."""
    rows = [row("d", "decode", 1e-3, batch=4, bucket_tokens=512, context_tokens=100.0, method="trace")]
    (seen,) = observations(bench(rows), max_batched_tokens=2048)
    assert isinstance(seen, Observation)
    assert seen.kv_tokens == 4 * 512


QUICK = [prefill_row(64), prefill_row(512), decode_row(1, 256.0), decode_row(4, 256.0)]


def test_a_fit_without_a_hold_out_has_an_error_of_judgement_and_says_so() -> None:
    """As many coefficients as cases fit anything: 0% of nothing is no error."""
    model = step_model(bench(QUICK), ENGINE)
    assert model.hold_out == ()
    assert model.relative_error >= 0.20
    assert any("by judgement, not measured" in note for note in model.notes)


def test_the_noise_of_the_medians_is_part_of_the_error() -> None:
    """Predictions may meet them, and they are not known better than that."""
    noisy = [one | {"wall_s_p50_lo": one["wall_s_p50"] * 0.9, "wall_s_p50_hi": one["wall_s_p50"] * 1.1} for one in ROWS]
    assert step_model(bench(noisy), ENGINE).relative_error == pytest.approx(0.2 / 2 / 1.645, rel=1e-6)


def test_chips_of_a_replica_come_from_the_bench() -> None:
    """Eight chips behind two copies are four each; another number is a contradiction."""
    rows = [one | {"chips_used": 8.0, "replicas": 2, "tp": 16} for one in ROWS]
    model = step_model(bench(rows), ENGINE)
    assert (model.chips_per_replica, model.tp) == (4.0, 16)
    with pytest.raises(BenchUsageError, match="4 chips a replica; --chips-per-replica 1 contradicts it"):
        step_model(bench(rows), replace(ENGINE, chips_per_replica=1.0))


def test_unknown_chips_are_asked_for_and_never_one() -> None:
    """With the number that the degree suggests."""
    rows = [one | {"chips_used": None, "tp": 8} for one in ROWS]
    with pytest.raises(BenchUsageError, match=r"give --chips-per-replica \(tp 8 is 2 of a trainium2"):
        step_model(bench(rows), ENGINE)
    assert step_model(bench(rows), replace(ENGINE, chips_per_replica=2.0)).chips_per_replica == 2.0


@pytest.mark.parametrize("change", [{"model_id": "other"}, {"chip": "inferentia2"}])
def test_a_bench_of_several_models_or_chips_fits_no_step_model(change: dict[str, Any]) -> None:
    """It would be of none of them."""
    with pytest.raises(BenchUsageError, match="a step model is of one"):
        step_model(bench([*ROWS, ROWS[0] | change]), ENGINE)


def test_a_cpu_bench_is_never_calibrated_as_a_chip() -> None:
    """`calibrate --chip` cannot turn a laptop into an accelerator."""
    rows = [one | {"device_kind": "cpu", "chip": None, "chips_used": None} for one in ROWS]
    assert step_model(bench(rows), ENGINE).chip == "cpu"
    with pytest.raises(BenchUsageError, match="measured on cpu; --chip inferentia2 contradicts it"):
        step_model(bench(rows), replace(ENGINE, chip="inferentia2"))
