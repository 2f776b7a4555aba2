"""Hit ratios that are stated."""

import numpy as np
import pytest

from capacity.demand.calls import assumed_calls
from capacity.demand.hits import with_hit_ratios
from capacity.plan import PlanError
from facts.reader import models
from scenarios.loading import load_scenario


@pytest.fixture(scope="module")
def calls():
    return assumed_calls(load_scenario("smoke"), models(), seed=1, interactions=1_000)


@pytest.mark.parametrize("model", ["nova-pro", "custom-8b"])
@pytest.mark.parametrize("ratio", [0.0, 0.3, 0.95, 1.0])
def test_a_stated_share_of_the_input_is_read_and_no_token_is_lost(calls, model, ratio):
    """Reads over all input tokens are the ratio; each prompt is as long as before; no part is negative."""
    changed = with_hit_ratios(calls, {model: ratio})
    mask = calls.of(model)
    assert changed.cache_read_tokens[mask].sum() / calls.prompt_tokens[mask].sum() == pytest.approx(ratio, abs=2e-4)
    np.testing.assert_array_equal(changed.prompt_tokens, calls.prompt_tokens)
    for part in ("input_tokens", "cache_read_tokens", "cache_write_tokens_5m", "cache_write_tokens_1h"):
        assert getattr(changed, part).min() >= 0
        np.testing.assert_array_equal(getattr(changed, part)[~mask], getattr(calls, part)[~mask])


def test_a_miss_is_written_again_where_the_model_writes(calls):
    """What a Bedrock model with cache points no longer reads is written; a self-hosted engine just computes."""
    changed = with_hit_ratios(calls, {"nova-pro": 0.1, "custom-8b": 0.1})
    for model, part in (("nova-pro", "cache_write_tokens_5m"), ("custom-8b", "input_tokens")):
        mask = calls.of(model)
        missed = (calls.cache_read_tokens - changed.cache_read_tokens)[mask].sum()
        assert (getattr(changed, part) - getattr(calls, part))[mask].sum() == missed


def test_a_model_that_nothing_calls_has_no_hits(calls):
    with pytest.raises(PlanError, match=r"capacity\.hit_ratios\.planner: no call is of this model"):
        with_hit_ratios(calls, {"planner": 0.5})
