"""Prefix hits that no client reports: of single calls by their first tokens, of all by the server's counters."""

from dataclasses import replace

import numpy as np
import pytest

from capacity.calibration.hits import HIT_RATIO, as_measured, hit_notes, with_hits
from tests.capacity.test_calibration import TRUE, observed

BASE_S, PER_TOKEN_S = 0.05, 1e-4


def lightly_loaded(hit_share, hit_tokens=0.9, waits=False, n=400):
    """First tokens of a step without company: some prompts hit nine tenths, or (waits) some calls wait for a step."""
    step = observed(0.5, n)
    rng = np.random.default_rng(5)
    hit = rng.random(n) < hit_share
    computed = step.input_tokens * np.where(hit, 1 - hit_tokens, 1.0)
    ttft_s = BASE_S + PER_TOKEN_S * computed
    if waits:
        ttft_s = BASE_S + PER_TOKEN_S * step.input_tokens + np.where(hit, 0.0, 0.2 * rng.random(n))
    truth = np.where(hit, hit_tokens, 0.0) * step.input_tokens
    return replace(
        step, ttft_s=ttft_s * rng.lognormal(0, 0.08, n)
    ), 0.0 if waits else truth.sum() / step.input_tokens.sum()


@pytest.mark.parametrize("hit_share", [0.2, 0.5, 0.85])
def test_calls_whose_first_token_leaves_no_time_for_their_prompt_have_hit(hit_share):
    step, truth = lightly_loaded(hit_share)
    (told,), share = with_hits([step])
    assert share == pytest.approx(truth, abs=0.04)
    assert told.cached_tokens.sum() / told.input_tokens.sum() == pytest.approx(share)


@pytest.mark.parametrize("step", [lightly_loaded(0.0)[0], lightly_loaded(0.5, waits=True)[0]])
def test_calls_that_wait_for_others_are_no_misses_among_hits(step):
    assert with_hits([step]) == ([step], None)


def test_a_client_that_reports_hits_is_believed_even_of_none():
    step = replace(lightly_loaded(0.5)[0], hits_reported=True)
    assert with_hits([step]) == ([step], None)
    assert hit_notes([step], None) == ()


def test_where_first_tokens_do_not_tell_the_counters_share_is_that_of_every_prompt():
    step = replace(lightly_loaded(0.0)[0], hit_ratio=0.25)
    (told,), share = with_hits([step])
    assert share == pytest.approx(0.25, abs=0.01)
    assert (told.cached_tokens == (0.25 * step.input_tokens).astype(int)).all()
    assert "25% of prompt tokens, by the server's counters" in hit_notes([step], share)[0]


def test_a_step_with_a_queue_has_the_share_of_those_without():
    light, _ = lightly_loaded(0.5)
    full = replace(light, arrival_s=light.arrival_s / 20, ttft_s=light.ttft_s + 3.0)
    (told, queued), share = with_hits([light, full])
    first = told.cached_tokens.sum() / told.input_tokens.sum()
    assert (queued.cached_tokens == (first * full.input_tokens).astype(int)).all()
    assert share == pytest.approx(first, abs=0.01)


def test_what_is_predicted_hits_as_what_was_measured_did_unless_it_says_itself():
    work = observed(2.0).requests()
    model = replace(TRUE, validity={HIT_RATIO: (0.5, 0.5)})
    assert as_measured(work, model).cached_tokens.sum() == pytest.approx(0.5 * work.input_tokens.sum(), rel=0.01)
    known = replace(work, cached_tokens=np.ones_like(work.input_tokens))
    assert as_measured(known, model) is known
    assert as_measured(work, TRUE) is work
