"""The ramp: which steps are made at which rates, when it ends, and how; the runs themselves are faked."""

import pytest

from facts.ramp import Ramp
from host.errors import Exit
from peakday.run import ramp as ramps
from peakday.run.ramp import RampOptions, Step, run_ramp, step_of
from tests.peakday.gate.making import QUIET, run

ASKED = RampOptions(8.0, hold_s=900.0, look_s=60.0, longest_s=14_400.0)


@pytest.fixture
def climb(monkeypatch, tmp_path):
    """Ramp on a service that has room for 2/s, and for half more than what was held for a whole step."""
    monkeypatch.chdir(tmp_path)
    from peakday.run.load import LoadOptions

    def go(asked=ASKED, budget=None, cost_usd=1.0, valid=lambda number: True, room=2.0):
        room_per_s = [room]

        def step(rehearsal, ramp, length_s, left_usd, number, driven, console):
            over = ramp.rate > room_per_s[0]
            if ramp.holding and not over:
                room_per_s[0] = 1.5 * ramp.rate
            refused = 5 if over else 0
            return Step(ramp.rate, length_s, ramp.holding, 100, refused, 0, cost_usd, f"runs/{number}", valid(number))

        monkeypatch.setattr(ramps, "_step", step)
        monkeypatch.setattr(ramps, "_system", lambda *_: __import__("contextlib").nullcontext())
        return run_ramp("smoke", [], LoadOptions(budget_usd=budget), asked, None, QUIET)

    return go


def test_it_halves_until_it_succeeds_and_then_climbs_by_half_to_the_target(climb):
    """8 and 4 are refused, 2 succeeds: four holds at 2, 3, 4.5 and 6.75, and one at the target."""
    code, text, data = climb()
    rates = [(step["rate_per_s"], step["holding"]) for step in data["steps"]]
    assert rates[:3] == [(8.0, False), (4.0, False), (2.0, False)]
    assert rates[3:] == [(2.0, True), (3.0, True), (4.5, True), (6.75, True), (8.0, True)]
    assert code == Exit.OK
    assert text.splitlines()[-1] == "reached: 8 interactions/s, held, after 4680 s of load"


def test_it_ends_when_its_time_is_over_and_says_what_is_left(climb):
    """Three looks and two holds are 1,980 s: 3/s was held, and 3, 4.5 and 6.75 are three holds to 8/s."""
    code, text, data = climb(RampOptions(8.0, 900.0, 60.0, 2_500.0))
    assert (code, len(data["steps"])) == (Exit.INCONCLUSIVE, 5)
    assert "3/s was held, the target is 8/s; 3 more holds of 900 s at least" in text


def test_it_ends_when_the_budget_is_spent(climb):
    code, text, data = climb(budget=2.5)
    assert (code, len(data["steps"])) == (Exit.ABORTED, 3)
    assert "the budget is spent" in text


def test_an_invalid_step_decides_nothing_and_two_in_a_row_end_it(climb):
    code, text, data = climb(valid=lambda number: number != 1)
    assert [step["rate_per_s"] for step in data["steps"]][:4] == [8.0, 4.0, 4.0, 2.0]
    assert code == Exit.OK
    code, text, data = climb(valid=lambda number: number == 0)
    assert (code, len(data["steps"])) == (Exit.INVALID_RUN, 3)
    assert "INVALID, decides nothing" in text


def test_the_p90_of_the_peak_is_the_target_where_none_is_named(climb):
    """6/s in the middle, 8/s at the 95th percentile: 6 x (8/6)^(1.2816/1.6449) is 7.51."""
    data = climb(RampOptions(None, 900.0, 60.0, 14_400.0))[2]
    assert data["target_per_s"] == pytest.approx(7.507, abs=0.001)


def test_503_of_capacity_and_429_of_quota_are_counted_apart():
    made = run([0.5] * 6, ["http_error"] * 4 + ["throttled"] + ["ok"])
    codes = ["ServiceUnavailableException", "503:Unavailable", "503:connect_error", "500", "ThrottlingException", None]
    made.turns["error_code"] = codes
    step = step_of(made, Ramp.towards(4.0), 60.0)
    assert (step.calls, step.refused_503, step.refused_429) == (6, 2, 1)
    assert step.over(0.2)
    assert not step.over(0.5)


def test_real_capacity_wants_live_and_a_budget(refused):
    ended = refused(
        "ramp", "smoke", "--to", "2/s", "--target", "bedrock=https://bedrock-runtime.us-east-1.amazonaws.com"
    )
    assert ended.returncode == 2
    ended = refused("ramp", "smoke", "--to", "2/s", "--live", "--yes")
    assert ended.returncode == 2
    assert "--budget-usd" in ended.stderr
