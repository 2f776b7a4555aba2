"""The study's load steps: drawn from a seed, long enough, and fitted and held out in turn."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from study.arrivals import keep_arrivals, read_arrivals
from study.load_steps import (
    CALLS_MIN,
    LENGTH_MAX_S,
    MIXES,
    RATE_SWEEP,
    SHORT_LENGTH_S,
    draw_burst,
    draw_load_step,
    plan,
    short_plan,
)

KEPT = sorted(Path("docs/study").glob("*/*.prediction.json"))


def step(name):
    return next(each for each in plan() if each.name == name)


def test_alternate_load_steps_are_held_out_and_the_top_one_too():
    sweep = {
        each.share: each.role for each in plan() if each.mix == "chat" and not each.spike and each.role != "repeat"
    }
    assert [sweep[share] for share in RATE_SWEEP] == ["calibrate", "held_out"] * 3


def test_what_is_calibrated_from_runs_first():
    roles = [each.role for each in plan()]
    assert roles == sorted(roles, key=lambda role: role != "calibrate")


def test_the_short_study_goes_through_saturation_and_holds_what_lies_between():
    """Each of its two sessions is under eight minutes, the time to start runs included."""
    calibrated, others = ([s for s in short_plan() if (s.role == "calibrate") is first] for first in (True, False))
    assert max(each.share for each in calibrated) > 1
    assert {each.mix for each in calibrated} == {each.mix for each in others} == set(MIXES)
    held_out = {each.share for each in others if each.role == "held_out"}
    assert held_out.isdisjoint(each.share for each in calibrated)
    assert max(len(calibrated), len(others)) * (SHORT_LENGTH_S + 10) < 480
    drawn = draw_load_step(calibrated[0], 4.0, 1, SHORT_LENGTH_S)
    assert SHORT_LENGTH_S - 10 < drawn.last_offset_s <= SHORT_LENGTH_S


def test_a_load_step_is_two_thousand_calls_or_five_minutes():
    fast, slow = (draw_load_step(step("chat-0.5"), rate, 1) for rate in (40.0, 4.0))
    assert abs(len(fast.offset_us) - CALLS_MIN) < 5 * CALLS_MIN**0.5
    assert LENGTH_MAX_S - 10 < slow.last_offset_s <= LENGTH_MAX_S


def test_the_same_seed_draws_the_same_load_step(tmp_path):
    first, second = (
        draw_load_step(step("chat-0.65"), 10.0, 7).write_csv(tmp_path / name) for name in ("a.csv", "b.csv")
    )
    assert first.read_bytes() == second.read_bytes()


def test_a_spike_is_four_times_as_dense_in_its_tenth():
    at = draw_load_step(step("chat-spike"), 20.0, 1).offset_us
    share = ((at > 0.4 * at.max()) & (at < 0.5 * at.max())).mean()
    assert 0.25 < share < 0.4


def test_a_repeat_replays_the_arrivals_of_its_load_step():
    assert step("chat-0.5-again").arrivals == step("chat-0.5").arrivals


def test_lengths_stay_in_their_range():
    burst = draw_burst(MIXES["chat"], 500, 1)
    assert ((burst.prompt_tokens >= 16) & (burst.prompt_tokens <= 768)).all()
    assert ((burst.answer_tokens >= 4) & (burst.answer_tokens <= 128)).all()


def test_kept_arrivals_are_read_as_they_were_drawn(tmp_path):
    kept, drawn = tmp_path / "kept.parquet", {name: draw_burst(MIXES[name], 50, 1) for name in MIXES}
    for name, arrivals in drawn.items():
        keep_arrivals("tiny", name, arrivals, kept)
    for name, arrivals in drawn.items():
        again = read_arrivals("tiny", name, kept)
        assert np.array_equal(again.offset_us, arrivals.offset_us)
        assert np.array_equal(again.prompt_tokens, arrivals.prompt_tokens)
    assert read_arrivals("tiny", "other", kept) is None


@pytest.mark.checkout
@pytest.mark.parametrize("path", KEPT, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_kept_arrivals_are_those_that_a_published_prediction_names(path, tmp_path):
    """To the byte of the file that was replayed."""
    prediction = json.loads(path.read_text())
    name = prediction["arrivals"].removesuffix(".csv")
    file = read_arrivals(path.parent.name, name).write_csv(tmp_path / "arrivals.csv")
    assert hashlib.sha256(file.read_bytes()).hexdigest() == prediction["arrivals_sha256"]
