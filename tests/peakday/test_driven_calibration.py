"""`calibrate --target`: what is drawn, what a budget leaves of it, and the sentence at its end."""

from pathlib import Path

import numpy as np
import pytest

from peakday.consent import NO_CONSENT
from peakday.errors import CommandError
from peakday.plan import driven_calibration as driven
from scenarios.arrivals import read_replay
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
