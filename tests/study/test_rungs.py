"""The study's rungs: drawn from a seed, long enough, and fitted and held out in turn."""

import csv

import numpy as np

from study.rungs import CALLS_MIN, LADDER, LENGTH_MAX_S, MIXES, last_offset_s, plan, write_burst, write_rung


def arrivals(path):
    with path.open() as file:
        return np.array([float(row["TIMESTAMP"]) for row in csv.DictReader(file)])


def rung(name):
    return next(each for each in plan() if each.name == name)


def test_alternate_rungs_are_held_out_and_the_top_one_too():
    ladder = {
        each.share: each.role for each in plan() if each.mix == "chat" and not each.spike and each.role != "repeat"
    }
    assert [ladder[share] for share in LADDER] == ["calibrate", "held_out"] * 3


def test_what_is_calibrated_from_runs_first():
    roles = [each.role for each in plan()]
    assert roles == sorted(roles, key=lambda role: role != "calibrate")


def test_a_rung_is_two_thousand_calls_or_five_minutes(tmp_path):
    write_rung(rung("chat-0.5"), 40.0, 1, tmp_path / "fast.csv")
    assert abs(len(arrivals(tmp_path / "fast.csv")) - CALLS_MIN) < 5 * CALLS_MIN**0.5
    write_rung(rung("chat-0.5"), 4.0, 1, tmp_path / "slow.csv")
    assert LENGTH_MAX_S - 10 < arrivals(tmp_path / "slow.csv").max() <= LENGTH_MAX_S


def test_the_window_of_a_replay_reaches_to_its_last_call(tmp_path):
    write_rung(rung("chat-spike"), 8.0, 1, tmp_path / "spike.csv")
    assert last_offset_s(tmp_path / "spike.csv") == arrivals(tmp_path / "spike.csv").max()


def test_the_same_seed_draws_the_same_rung(tmp_path):
    for name in ("a.csv", "b.csv"):
        write_rung(rung("chat-0.65"), 10.0, 7, tmp_path / name)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_a_spike_is_four_times_as_dense_in_its_tenth(tmp_path):
    write_rung(rung("chat-spike"), 20.0, 1, tmp_path / "spike.csv")
    at = arrivals(tmp_path / "spike.csv")
    share = ((at > 0.4 * at.max()) & (at < 0.5 * at.max())).mean()
    assert 0.25 < share < 0.4


def test_a_repeat_replays_the_file_of_its_rung():
    assert rung("chat-0.5-again").file == rung("chat-0.5").file


def test_lengths_stay_in_their_range(tmp_path):
    write_burst(MIXES["chat"], 500, 1, tmp_path / "burst.csv")
    with (tmp_path / "burst.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert all(16 <= int(row["ContextTokens"]) <= 768 and 4 <= int(row["GeneratedTokens"]) <= 128 for row in rows)
