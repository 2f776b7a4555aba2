"""The naive simulator on cases small enough to check by hand."""

import numpy as np
import pytest

from capacity.simulator.requests import ServiceError, requests
from tests.capacity.models import step_model
from tests.capacity.simulator_oracle import simulate


def test_one_request_takes_its_prefill_step_and_then_a_step_per_token():
    model = step_model(a=0.01, b=0.001, c=0.002, d=0.0001)
    served = simulate(requests([1.0], 10, 3), model)
    first = 1.0 + 0.01 + 0.001 * 10
    assert served.first_s[0] == pytest.approx(first)
    assert served.end_s[0] == pytest.approx(first + 2 * (0.01 + 0.002) + 0.0001 * (11 + 12))


def test_prefill_attends_to_the_tokens_before_its_chunk():
    """Chunks of 6 and 4 attend to 3 and 6 + 2 tokens on average."""
    model = step_model(a=0.0, e=1.0, max_batched_tokens=6)
    assert simulate(requests([0.0], 10, 1), model).first_s[0] == pytest.approx(6 * 3 + 4 * 8)


def test_cached_tokens_are_not_prefilled_but_attended_to():
    model = step_model(a=0.0, b=1.0, e=0.1)
    assert simulate(requests([0.0], 10, 1, cached_tokens=8), model).first_s[0] == pytest.approx(2 + 0.1 * 2 * (8 + 1))


def test_a_long_prompt_shares_its_steps_with_running_decodes():
    """With 4 tokens a step and one decode running, 3 are left for the prompt of 9."""
    model = step_model(a=1.0, max_batched_tokens=4)
    served = simulate(requests([0.0, 0.5], [4, 9], [20, 1]), model)
    assert served.first_s[1] == pytest.approx(1.0 + 3)


def test_a_full_batch_makes_the_next_request_wait():
    served = simulate(requests([0.0, 0.0], 1, 5), step_model(a=1.0, max_num_seqs=1))
    assert served.first_s.tolist() == [1.0, 6.0]


def test_a_full_kv_store_makes_the_next_request_wait():
    served = simulate(requests([0.0, 0.0], 10, 5), step_model(a=1.0, kv_tokens=20))
    assert served.first_s.tolist() == [1.0, 6.0]


def test_preemption_starts_early_and_pays_by_recomputing():
    """Two requests of 10 + 5 tokens in 24: both start, the later gives way, recomputes and still finishes."""
    served = simulate(requests([0.0, 0.0], 10, 5), step_model(a=1.0, kv_tokens=24), preempts=True)
    assert served.first_s.tolist() == [1.0, 1.0]
    assert served.preemptions == 1
    assert served.end_s[0] == 5.0 < served.end_s[1]


def test_speculation_makes_fewer_steps():
    served = simulate(requests([0.0], 4, 9, decode_steps=4), step_model(a=1.0))
    assert served.end_s[0] - served.first_s[0] == 4.0


def test_a_padded_engine_uses_the_smallest_bucket_that_holds_the_step():
    model = step_model(buckets=[(1.0, 8, 2), (5.0, 64, 8)])
    assert simulate(requests([0.0], 8, 1), model).first_s[0] == 1.0
    assert simulate(requests([0.0], 9, 1), model).first_s[0] == 5.0


def test_the_router_joins_the_less_loaded_of_its_candidates():
    work = requests([0.0, 0.1, 0.2], 1, 50)
    served = simulate(work, step_model(a=1.0), replicas=2, candidates=np.array([[0, 1]] * 3))
    assert served.replica.tolist() == [0, 1, 0]


def test_affinity_keeps_to_the_first_candidate_within_its_slack():
    work = requests([0.0, 0.1, 0.2], 1, 50)
    served = simulate(work, step_model(a=1.0), replicas=2, candidates=np.array([[0, 1]] * 3), slack=1.5)
    assert served.replica.tolist() == [0, 0, 1]


def test_a_diverted_call_finds_less_cached():
    """Replica 0 is busy; on replica 1 only two of ten tokens are known."""
    work = requests([0.0, 0.1], 10, 50, cached_tokens=8, away_cached_tokens=2)
    served = simulate(work, step_model(a=1.0, b=0.1), replicas=2, candidates=np.array([[0, 1]] * 2))
    assert served.first_s.tolist() == pytest.approx([1.2, 0.1 + 1.8])


def test_a_request_that_has_begun_decodes_at_once_with_the_kv_it_brings():
    """Two of five decode steps are made: three are left, over 4 + 1 + 2 tokens and one more each."""
    served = simulate(requests([0.0], 4, 6, begun_steps=3), step_model(a=1.0, d=0.1))
    assert np.isnan(served.first_s[0])
    assert served.end_s[0] == pytest.approx(1.7 + 1.8 + 1.9)


def test_a_begun_request_waits_for_room_like_any_other():
    """It brings 7 tokens and makes an eighth: of ten, the first request leaves too few until it ends."""
    work = requests([0.0, 0.0], 4, [4, 6], begun_steps=[0, 3])
    served = simulate(work, step_model(a=1.0, kv_tokens=10), preempts=True)
    assert served.end_s.tolist() == [4.0, 7.0]


def test_stale_load_signals_herd():
    """All three see the loads of time zero."""
    work = requests([0.1, 0.2, 0.3], 1, 50)
    served = simulate(work, step_model(a=1.0), replicas=2, candidates=np.array([[0, 1]] * 3), signal_period_s=10.0)
    assert served.replica.tolist() == [0, 0, 0]


def test_a_request_larger_than_the_kv_store_is_refused():
    with pytest.raises(ServiceError, match="exceeds the replica's 20 KV tokens"):
        simulate(requests([0.0], 30, 5), step_model(a=1.0, kv_tokens=20))


@pytest.mark.parametrize(("prompt", "answer", "cached"), [(0, 1, 0), (1, 0, 0), (4, 1, 4), (4, 1, -1)])
def test_impossible_requests_are_refused(prompt, answer, cached):
    with pytest.raises(ServiceError):
        requests([0.0], prompt, answer, cached)


@pytest.mark.parametrize(
    "wrong", [{"begun_steps": 5}, {"begun_steps": -1}, {"away_cached_tokens": 4}, {"away_cached_tokens": -1}]
)
def test_requests_that_ended_or_find_more_than_their_prompt_are_refused(wrong):
    with pytest.raises(ServiceError):
        requests([0.0], 4, 5, 0, **wrong)
