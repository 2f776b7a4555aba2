"""Quotas as needs, as bounds and as buckets."""

import numpy as np
import pytest

from capacity.quotas.quota import (
    CallTokens,
    Granted,
    _use_of_the_day,
    assumed_latency_s,
    call_tokens,
    granted_limits,
    in_flight_max,
    needs,
    steady_bound_per_s,
)
from capacity.quotas.throttling import throttled_calls
from capacity.rows.figures import Levels
from capacity.rows.needs import RegionDemand
from facts.quota_names import Limits
from facts.reader import models
from scenarios.schema import Quota
from tests.capacity.bucket_oracle import run_buckets

FLAT = RegionDemand("r", Levels(1, 1, 1), (0.0, 60.0, 120.0), (1, 2, 1), (1, 2, 1), (1, 2, 1))


def calls(rate_per_s, n=20_000, reserved=3_000, settled=1_000, latency_s=5.0):
    at_s = np.cumsum(np.random.default_rng(1).exponential(1 / rate_per_s, n))
    return at_s, np.full(n, reserved), np.full(n, settled), np.full(n, latency_s)


def test_a_quota_binds_when_the_timeline_first_needs_more_than_is_granted():
    limits = Granted(None, 1.5e5, None, "test")
    per_s = Levels(1.0, 1.0, 1.0)
    tpm = needs(per_s, per_s, CallTokens(reserved=3_000, settled=1_000), limits, FLAT)[1]
    assert tpm.needed_reservation.p90 == 180_000
    assert tpm.needed_settlement.p90 == 60_000
    assert tpm.binds_at_offset_s == 60.0


def test_what_is_not_granted_never_binds():
    for need in needs(Levels(1e6, 1e6, 1e6), Levels(1, 1, 1), CallTokens(1, 1), Granted(None, None, None, ""), FLAT):
        assert need.granted is None
        assert need.binds_at_offset_s is None


def test_the_scenarios_quota_replaces_the_published_one():
    sonnet = models()["claude-sonnet"]
    assert granted_limits(sonnet, Quota(tpm=7.0)).tpm == 7.0
    assert granted_limits(sonnet, None).tpm == sonnet.quota.tpm


def test_stating_one_kind_leaves_the_other_published_kinds_on():
    sonnet = models()["claude-sonnet"]
    found = granted_limits(sonnet, Quota(rpm=7.0))
    assert (found.rpm, found.tpm, found.tpd) == (7.0, sonnet.quota.tpm, sonnet.quota.tpm * 1_440)
    assert found.sources == {"rpm": "scenario: quotas"}
    assert granted_limits(sonnet, Quota(tpm=7.0)).rpm == sonnet.quota.rpm


def test_a_published_rpm_is_in_doubt_until_the_scenario_or_the_account_names_it():
    sonnet = models()["claude-sonnet"]
    assert granted_limits(sonnet, None).in_doubt == ("rpm",)
    assert granted_limits(sonnet, Quota(rpm=200.0)).in_doubt == ()
    held = granted_limits(sonnet, None, Limits(rpm=200.0, tpm=5e5, source="pulled"))
    assert (held.rpm, held.in_doubt) == (200.0, ())
    assert granted_limits(sonnet, None).counted.rpm is None
    alone = granted_limits(sonnet, None, Limits(rpm=200.0, source="pulled"))
    assert (alone.rpm, alone.tpm, alone.source) == (200.0, None, "pulled")
    assert granted_limits(sonnet, None, Limits(source="pulled")).tpm == sonnet.quota.tpm
    assert steady_bound_per_s(granted_limits(sonnet, None), CallTokens(1, 1), 1.0) == 500_000 / 60


MANTLE = Granted(None, None, None, "", {}, 600_000.0, 120_000.0, "bedrock-mantle")


def test_an_endpoint_that_counts_input_and_output_apart_has_those_two_kinds():
    """10 calls/s of 900 in, 100 written, 400 max_tokens, 200 out, held 2 s: by hand."""
    per_s = Levels(10.0, 10.0, 10.0)
    tokens = call_tokens(
        input_tokens=900, cache_read_tokens=5_000, cache_write_tokens=100, output_tokens=200, max_tokens=400,
        output_burndown_ratio=5,
    )  # fmt: skip
    into, out = needs(per_s, per_s, tokens, MANTLE, FLAT, latency_s=2.0)
    assert (into.kind, into.needed_settlement.p90, into.needed_reservation.p90) == ("input_tpm", 600_000, 28_000)
    assert (out.kind, out.needed_settlement.p90, out.needed_reservation.p90) == ("output_tpm", 120_000, 120_000)
    assert steady_bound_per_s(MANTLE, tokens, 2.0) == 10.0


def test_a_quota_of_output_cuts_answers_off_and_throttles_no_call():
    tokens = call_tokens(
        input_tokens=10, cache_read_tokens=0, cache_write_tokens=0, output_tokens=400, max_tokens=400,
        output_burndown_ratio=1,
    )  # fmt: skip
    sent = throttled_calls(np.full(1_200, 10), tokens, 2.0, MANTLE, gives_back=True)
    assert sent.throttled_ratio == 0.0
    assert sent.cut_ratio == pytest.approx(0.475, abs=0.005)  # 20 min of 240,000 against 20 refills and a full bucket


def test_calls_in_flight_are_what_a_quota_lets_reserve_at_once():
    """The published example: 2,000,000 a minute, 500 tokens in, max_tokens of 1,000 and of 64,000."""
    assert [in_flight_max(2_000_000, 500, most) for most in (1_000, 64_000)] == [1_333, 31]


def test_the_last_point_of_a_day_lasts_as_long_as_the_first():
    """Two hours at 1/s and 2/s: a third of the use of the day by the end of the first, all by that of the second."""
    two = RegionDemand("r", Levels(1, 1, 1), (0.0, 3_600.0), (1, 2), (1, 2), (1, 2))
    assert _use_of_the_day(900.0, two).tolist() == pytest.approx([300.0, 900.0])


def test_a_stated_null_is_not_limited():
    found = granted_limits(models()["claude-sonnet"], Quota(rpm=None))
    assert found.rpm is None
    assert found.tpm is not None


def test_a_days_grant_follows_the_stated_minute():
    assert granted_limits(models()["claude-sonnet"], Quota(tpm=7.0)).tpd == 7.0 * 1_440


@pytest.mark.parametrize(
    ("limits", "reserved", "bound"),
    [
        (Granted(600, None, None, ""), 3_000, 10.0),  # rpm / 60
        (Granted(None, 600_000, None, ""), 3_000, 10.0),  # tpm / (60 settled)
        (Granted(None, 600_000, None, ""), 30_000, 4.0),  # tpm / (reserved x latency)
    ],
)
def test_the_steady_bound_is_where_the_bucket_starts_to_throttle(limits, reserved, bound):
    tokens = CallTokens(reserved=reserved, settled=1_000)
    assert steady_bound_per_s(limits, tokens, 5.0) == pytest.approx(bound)
    below, above = (run_buckets(*calls(bound * x, reserved=reserved), limits).ratio for x in (0.5, 2.0))
    assert below < 0.01
    assert above == pytest.approx(0.5, abs=0.05)


def test_a_reservation_that_never_comes_back_throttles_three_times_sooner():
    limits = Granted(None, 600_000, None, "")
    assert run_buckets(*calls(7.0), limits).ratio == 0
    assert run_buckets(*calls(7.0), limits, gives_back=False).ratio == pytest.approx(1 - (10 / 3) / 7, abs=0.02)


def test_the_kind_that_refuses_and_its_moment_are_named():
    found = run_buckets(*calls(20.0), Granted(600, 1e9, None, ""))
    assert found.by_kind["rpm"] > 0 == found.by_kind["tpm"]
    assert 0 < found.first_s["rpm"] < 120


def test_a_minutes_quota_loses_the_excess_of_the_timeline():
    """Rates 1, 2, 1 need 90,000, 180,000 and 90,000 of 150,000: a twelfth of the calls is over."""
    per_s = Levels(1.0, 1.0, 1.0)
    tpm = needs(per_s, per_s, CallTokens(reserved=3_000, settled=1), Granted(None, 1.5e5, None, ""), FLAT)[1]
    assert tpm.throttled_ratio == pytest.approx(2 * (1 - 150 / 180) / 4)


def test_what_is_carried_for_a_lost_region_binds_but_throttles_no_share_of_the_event():
    per_s, limits = Levels(1.0, 1.0, 1.0), Granted(None, 1.5e5, None, "")
    tpm = needs(per_s, per_s, CallTokens(reserved=3_000, settled=1), limits, FLAT, region_factor=1.5)[1]
    assert tpm.needed_reservation.p90 == 180_000
    assert tpm.binds_at_offset_s == 60.0
    assert tpm.throttled_ratio == 0.0


def test_a_days_quota_binds_when_it_is_used_up_and_is_full_again_the_next_day():
    hours = tuple(3_600.0 * h for h in range(48))
    flat = RegionDemand("r", Levels(1, 1, 1), hours, (1.0,) * 48, (1.0,) * 48, (1.0,) * 48)
    calls = Levels(1.0, 1.0, 1.0)
    tpd = needs(calls, Levels(1, 86_400, 1), CallTokens(1, 1), Granted(None, None, 43_200, ""), flat)[2]
    assert tpd.binds_at_offset_s == 12 * 3_600
    assert 0.1 < tpd.throttled_ratio < 0.5


def test_reservations_come_back_so_only_calls_in_flight_hold_them():
    """E[R] x lambda x latency, never more than a minute's worth; what the bucket admits is not called short."""
    limits, per_s = Granted(None, 600_000, None, ""), Levels(7.0, 7.0, 7.0)
    tokens = CallTokens(reserved=3_000, settled=1_000)
    tpm = needs(per_s, per_s, tokens, limits, FLAT, latency_s=5.0)[1]
    assert (tpm.needed_settlement.p90, tpm.needed_reservation.p90) == (420_000, 105_000)
    assert run_buckets(*calls(7.0), limits).ratio == 0
    assert tpm.binds_at_offset_s is None
    assert needs(per_s, per_s, tokens, limits, FLAT, latency_s=500.0)[1].needed_reservation.p90 == 1_260_000


def test_a_call_reserves_its_prompt_and_max_tokens_and_is_charged_without_cache_reads():
    tokens = call_tokens(
        input_tokens=10, cache_read_tokens=20, cache_write_tokens=30, output_tokens=5, max_tokens=100,
        output_burndown_ratio=5,
    )  # fmt: skip
    assert tokens == CallTokens(reserved=160, settled=65, admitted=140, input=40, output=5)


def test_a_call_that_nobody_timed_lasts_a_second_and_50_tokens_a_second():
    assert assumed_latency_s(100) == 3.0
