"""The buckets over a whole event: equal to the bucket call by call, and what a plan says of them."""

import numpy as np
import pytest

from capacity.quotas.quota import CallTokens, Granted
from capacity.quotas.throttling import calls_each_second, increases, max_tokens_advice, throttled_calls
from capacity.rows.figures import Levels
from capacity.rows.needs import MaxTokensAdvice, QuotaNeed, RegionDemand
from tests.capacity.bucket_oracle import run_buckets
from tests.capacity.runs import run
from tests.capacity.scenario_of import scenario
from tests.capacity.test_plan_small import SHORT, plan

FLAT = RegionDemand("r", Levels(1, 1, 1), (0.0,), (1.0,), (1.0,), (1.0,))
LATENCY_S = 5.0


@pytest.mark.parametrize("gives_back", [True, False])
@pytest.mark.parametrize(
    "limits",
    [Granted(600, None, None, ""), Granted(None, 600_000, None, ""), Granted(900, 1_000_000, None, "")],
)
@pytest.mark.parametrize("rate_per_s", [4.0, 9.0, 20.0])
@pytest.mark.parametrize(("reserved", "settled"), [(3_000, 1_000), (1_500, 3_000)])
def test_seconds_of_calls_meet_the_bucket_call_by_call(limits, rate_per_s, gives_back, reserved, settled):
    """Also where a call is charged more than it reserved: output burns five times, and max_tokens is small."""
    counts = calls_each_second(FLAT, "p90", rate_per_s, 3_000.0, seed=3)
    at_s = np.repeat(np.arange(len(counts), dtype=float), counts)
    n = len(at_s)
    arrays = (np.full(n, reserved), np.full(n, settled), np.full(n, LATENCY_S - 1e-6))
    one_by_one = run_buckets(at_s, *arrays, limits, gives_back=gives_back)
    found = throttled_calls(counts, CallTokens(reserved, settled), LATENCY_S, limits, gives_back=gives_back)
    assert found.throttled_ratio == pytest.approx(one_by_one.ratio, abs=0.005)
    for kind, share in found.by_kind.items():
        assert share == pytest.approx(one_by_one.by_kind[kind] / n, abs=0.02)
        assert found.first_s[kind] == pytest.approx(one_by_one.first_s[kind], abs=2.0)


def test_a_days_tokens_run_out_and_come_back_evenly():
    """Half a day's need granted, spread over the day: half of what comes after the full bucket is gone."""
    counts = calls_each_second(FLAT, "p90", 1.0, 86_400.0, seed=1)
    found = throttled_calls(counts, CallTokens(10, 10), 1.0, Granted(None, None, 432_000, ""), gives_back=True)
    assert set(found.by_kind) == {"tpd"}
    assert found.first_s["tpd"] == pytest.approx(86_400, rel=0.05)


def test_an_advised_max_tokens_leaves_all_but_one_answer_in_a_thousand_whole():
    answers = np.full(10_000, 100)
    answers[:5] = 4_000
    assert max_tokens_advice(answers, 3_000.0, 1_024) == MaxTokensAdvice(128, 2_104.0, 3_000.0)
    assert max_tokens_advice(answers * 100, 3_000.0, 1_024).max_tokens == 1_024


def test_too_few_answers_advise_nothing_but_how_many_it_takes():
    """60 answers hold no one in a thousand; ten of those need 10,000."""
    few, enough = (max_tokens_advice(np.full(n, 100), 3_000.0, 1_024) for n in (9_999, 10_000))
    assert few == MaxTokensAdvice(1_024, 3_000.0, 3_000.0, calls=9_999, calls_needed=10_000)
    assert enough.max_tokens == 128
    record = plan(run=run()).supplies[0].throttling.max_tokens_advice
    assert (record.calls, record.calls_needed) == (60, 10_000)
    assert not any("answers whole" in line for line in plan(run=run()).warnings)


def test_what_to_ask_for_is_the_service_levels_under_the_reading_that_asks_for_more():
    need = QuotaNeed("tpm", Levels(1, 2, 3, bought=12_345), Levels(1, 2, 3), 5_000, None, "")
    assert increases((need,)) == {"tpm": 12_400}
    assert increases((QuotaNeed("tpm", Levels(1, 2, 3), Levels(1, 2, 3), 5_000, None, ""),)) == {}


def test_a_plan_has_the_buckets_of_every_limited_model_under_both_readings():
    made = plan(scenario(**SHORT, quotas={"claude-sonnet": {"rpm": 300, "tpm": 2_000_000}}))
    sonnet = next(s for s in made.supplies if s.model == "claude-sonnet").throttling
    settled, reserved = (getattr(sonnet, reading)["p90"] for reading in ("settlement", "reservation"))
    assert 0 < settled.throttled_ratio <= reserved.throttled_ratio < 1
    assert sonnet.settlement["p50"].throttled_ratio <= settled.throttled_ratio
    assert set(settled.first_s) == set(settled.by_kind)
    assert set(sonnet.ask_for) <= {"rpm", "tpm", "tpd"}


def test_no_region_is_lost_for_a_whole_event():
    """Region loss raises the need of the peak, in calls and in quota; the event's throttled calls stay as they were."""
    quota = {"quotas": {"claude-sonnet": {"rpm": 300, "tpm": 2_000_000}}}
    never, may = (
        next(
            supply
            for supply in plan(scenario(**SHORT, **quota, capacity__resilience__region_loss=lost)).supplies
            if supply.model == "claude-sonnet"
        )
        for lost in (False, True)
    )
    assert may.quotas[0].needed_settlement.p90 == pytest.approx(never.quotas[0].needed_settlement.p90 / 0.6)
    for reading in ("settlement", "reservation"):
        assert getattr(may.throttling, reading) == getattr(never.throttling, reading)


def test_a_lower_max_tokens_is_advised_where_it_spares_reservations():
    assert any("leaves 99.9% of answers whole" in line for line in plan().warnings)


def test_nothing_limited_is_nothing_throttled():
    free = {"claude-sonnet": {"rpm": None, "tpm": None, "tpd": None}}
    made = plan(scenario(**SHORT, quotas=free))
    assert next(s for s in made.supplies if s.model == "claude-sonnet").throttling is None
