"""What a load takes of each quota, minute by minute, by hand."""

import numpy as np
import pytest

from capacity.quotas.pressure import mean_call_tokens, pressures_of, used_today
from capacity.quotas.quota import CallTokens, Granted
from facts.reader import models
from tests.capacity.test_money import calls_of

CALLS = np.array([10.0, 40.0, 25.0])
TOKENS = CallTokens(reserved=1_000.0, settled=300.0)


def of(kind, calls=CALLS, latency_s=6.0, **limits):
    granted = Granted(**({"rpm": None, "tpm": None, "tpd": None, "source": "published"} | limits))
    return [row for row in pressures_of("m", "r", calls, TOKENS, latency_s, granted) if row.kind == kind]


def test_requests_are_the_busiest_minutes_and_its_minutes_are_those_above_the_limit():
    (row,) = of("rpm", rpm=24.0)
    assert (row.needed, row.granted, row.minutes_over) == (40.0, 24.0, (1, 2))
    assert of("rpm", rpm=25.0)[0].minutes_over == (1,)


@pytest.mark.parametrize(
    ("latency_s", "needed"),
    [(6.0, 40 * 300), (30.0, 40 / 60 * 1_000 * 30), (60.0, 40 * 1_000), (600.0, 40 * 1_000)],
)
def test_tokens_are_the_larger_of_what_is_charged_and_what_is_held_in_flight(latency_s, needed):
    """Little's law: so many calls are in flight as begin in the time that one lasts, of a minute at most."""
    (row,) = of("tpm", latency_s=latency_s, tpm=1.0)
    assert row.needed == pytest.approx(needed)


def test_tokens_of_a_day_add_up_and_begin_anew_after_1440_minutes():
    used = used_today(np.ones(3_000))
    assert used[[0, 1, 1_439, 1_440, 1_441, 2_879, 2_880]].tolist() == [1, 2, 1_440, 1, 2, 1_440, 1]
    (row,) = of("tpd", calls=np.ones(3_000), tpd=1_439 * 300.0)
    assert (row.needed, row.minutes_over) == (1_440 * 300.0, (1_439, 2_879))


@pytest.mark.parametrize("calls", [CALLS, CALLS[:0]])
def test_a_kind_without_a_limit_and_a_load_without_a_minute_are_not_judged(calls):
    assert pressures_of("m", "r", calls, TOKENS, 6.0, Granted(None, None, None, "published")) == []
    assert of("rpm", calls=CALLS[:0], rpm=5.0) == []


def test_a_source_is_named_by_kind():
    (row,) = of("rpm", rpm=5.0, sources={"rpm": "account"})
    assert row.source == "account"
    assert of("tpm", tpm=5.0, sources={"rpm": "account"})[0].source == "published"


def test_the_mean_call_reserves_what_it_asks_for_or_the_models_own_maximum():
    model = models()["claude-sonnet"]
    calls = calls_of()
    mine = calls.of(model.key)
    tokens, reserves = mean_call_tokens(calls, model, 500)
    assert reserves == 500
    assert tokens.reserved == pytest.approx(calls.prompt_tokens[mine].mean() + 500)
    charged = (calls.prompt_tokens - calls.cache_read_tokens + 5.0 * calls.output_tokens)[mine].mean()
    assert tokens.settled == pytest.approx(charged)
    assert mean_call_tokens(calls, model, None)[1] == model.max_output_tokens
