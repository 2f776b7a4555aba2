"""`calibrate --target`: what is drawn, what a budget leaves of it, and the sentence at its end."""

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from capacity.calibration.fit import Identity, calibrate
from capacity.calibration.limits import EngineLimits
from capacity.calibration.observed import Observed
from capacity.calibration.prediction import predict_figures
from capacity.calibration.search import served
from capacity.simulator.rate_at_slo import Lengths, rate_at_slo
from capacity.simulator.requests import requests
from neuron_bench.step_model import Coefficients
from peakday.consent import NO_CONSENT
from peakday.errors import CommandError
from peakday.plan import driven_calibration as driven
from scenarios.arrivals import read_replay
from slo.slo import parse_slo
from tests.capacity.models import step_model


def sweep(folder, **changed):
    known = {"target": "openai=http://127.0.0.1:1/v1", "model": "m", "budget_s": 100.0, "calls_max": 1000}
    known |= {"prompt_tokens": 200, "answer_tokens": 40, "slo": "ttft_s_p99 <= 1", "folder": folder, "seed": 1}
    return driven.Sweep(**known | {"consent": NO_CONSENT} | changed)


def test_load_steps_are_replayable_and_the_same_for_a_seed(tmp_path):
    """Poisson at the rate asked for, lengths around those asked for."""
    drawn = driven.draw(sweep(tmp_path), 5.0, 400, "light")
    replay = read_replay(drawn.write(tmp_path / "light.csv"))
    assert np.allclose(replay.offset_s, drawn.offset_s - drawn.offset_s[0], atol=1e-5)
    assert len(drawn.prompt) / drawn.offset_s[-1] == pytest.approx(5.0, rel=0.15)
    assert np.median(drawn.prompt) == pytest.approx(200, rel=0.1)
    assert (drawn.prompt == driven.draw(sweep(tmp_path), 5.0, 400, "light").prompt).all()


def test_a_budget_is_shared_by_the_steps_that_are_left(tmp_path):
    """Time first where it is short, calls where they are; nothing once it is spent."""
    wanted = sweep(tmp_path)
    assert driven._calls(wanted, 2.0, 0.0, 0, 5) == 40
    assert driven._calls(wanted, 1000.0, 0.0, 0, 5) == 200
    assert driven._calls(wanted, 2.0, 100.0, 0, 5) == 0


def test_the_sentence_says_rate_and_range(tmp_path):
    """One replica, the SLO as typed, and 90%; none where not even one call meets it."""
    model = step_model(relative_error=0.1)
    lengths = type("Step", (), dict.fromkeys(("input_tokens", "output_tokens"), np.full(50, 100)))()
    lengths.cached_tokens = np.zeros(50, dtype=np.int64)
    assert driven.keeps(model, [lengths], sweep(tmp_path)).startswith("one replica keeps ttft_s_p99 <= 1 up to ")
    assert "at no load" in driven.keeps(model, [lengths], sweep(tmp_path, slo="ttft_s_p99 <= 0.000001"))


@pytest.fixture(scope="module")
def known_engine():
    """An engine whose steps are known, what `calibrate --target` would have measured of it, and the fit."""
    engine = replace(step_model(), max_num_seqs=16, buckets=(Coefficients(0.02, 1e-4, 0.0, 4e-4, 0.0),))
    wanted = sweep(Path(), slo="ttft_s_p99 <= 0.6")
    full_per_s = 1 / (200 * 1e-4 + 40 * (0.02 / 16 + 4e-4))
    steps = [
        measured(engine, driven.draw(wanted, share * full_per_s, 250, name, longer, answers), name)
        for name, share, longer, answers in driven._steps()
    ]
    who = Identity("m", "cpu", 1, 1.0, "known", "1", "2026-11-29")
    return engine, sorted(steps, key=lambda step: step.rate_per_s), calibrate(steps, EngineLimits(), who), wanted


def measured(engine, drawn, name):
    work = requests(drawn.offset_s, drawn.prompt, drawn.answer)
    times = served(work, engine)
    blur = np.random.default_rng(sum(name.encode())).lognormal(0, 0.02, (2, len(work)))
    return Observed(
        name, work.arrival_s, work.input_tokens, work.output_tokens, work.cached_tokens, times.ttft_s * blur[0],
        (times.e2e_s - times.ttft_s) * blur[1], "simulated",
    )  # fmt: skip


def test_the_sentence_is_right_about_an_engine_whose_steps_are_known(known_engine):
    """From light load through saturation and two length mixes: the rate in its stated range, and within a tenth."""
    engine, steps, fitted, wanted = known_engine
    said = re.search(r"up to ([\d.]+)/s \(([\d.]+) to ([\d.]+)/s, 90%\)", driven.keeps(fitted, steps, wanted))
    rate, low, high = (float(value) for value in said.groups())
    lengths = Lengths(steps[0].input_tokens, steps[0].output_tokens, steps[0].cached_tokens)
    true = rate_at_slo(lengths, engine, [parse_slo(wanted.slo, "--slo")], n=4_000, seed=1).rate_per_s
    assert low <= true <= high
    assert rate == pytest.approx(true, rel=0.1)


def test_a_rate_that_the_load_steps_leave_open_is_said_to_be(known_engine):
    """Coefficients that may all be nothing: a step that takes no time serves any rate."""
    _, steps, fitted, wanted = known_engine
    k = fitted.coefficients
    wide = np.diag([(20 * value) ** 2 for value in (k.a, k.b, k.e, k.c, k.d)])
    open_model = replace(fitted, covariance=tuple(tuple(float(value) for value in row) for row in wide))
    assert driven.keeps(open_model, steps, wanted).endswith(
        "leave open what it is: measure more of them, near this rate"
    )


def test_a_held_out_step_says_what_was_expected_of_it(known_engine):
    """By coefficients and pace; a range is the wider the further held-out steps were off against that."""
    fitted = known_engine[2]
    assert all(row.sigma is not None and row.sigma > 0 for row in fitted.hold_out)
    off = [replace(row, predicted=1.5 * row.measured) for row in fitted.hold_out]
    work = known_engine[1][0].requests()
    narrow, wide = (predict_figures(work, model, seed=1) for model in (fitted, replace(fitted, hold_out=tuple(off))))
    assert all(b.high / b.low > a.high / a.low for a, b in zip(narrow, wide, strict=True))


@pytest.mark.parametrize(
    ("target", "slo", "message"),
    [
        ("bedrock=http://127.0.0.1:1", "ttft_s_p99 <= 1", "expected openai=URL"),
        ("openai=http://127.0.0.1:1/v1", "error_ratio <= 0.01", "expected a percentile of ttft_s"),
    ],
)
def test_what_cannot_be_driven_is_refused_before_anything_is_sent(target, slo, message):
    with pytest.raises(CommandError, match=message):
        driven.sweep_of(target, "m", "1m", 500, (200, 40), slo, 1, NO_CONSENT)
    assert not list(Path("runs").glob("*calibrate-m*"))


def test_a_burst_that_nobody_answers_says_what_the_server_said():
    """It named the statuses, and guessed at the model."""
    turns = pd.DataFrame({"status": ["throttled"] * 3, "error_code": "429", "intended_start_s": 0.0, "e2e_s": np.nan})
    said = SimpleNamespace(totals=SimpleNamespace(error_samples={"429": "retry after 7 s: Busy"}))
    with pytest.raises(CommandError, match=re.escape("(throttled, 429 x 3: Busy (retry after 7 s))")) as refusal:
        driven.worked_off_per_s(SimpleNamespace(path="runs/x", turns=turns, info=said))
    assert refusal.value.exit_code == 5
