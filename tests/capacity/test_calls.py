"""Calls assumed from a scenario: what they find cached."""

import numpy as np
import pytest

from capacity.demand.calls import assumed_calls
from facts.reader import models
from tests.capacity.scenario_of import scenario

ROUTES = {"simple": "nova-pro", "complex": "claude-sonnet"}


def cold_ratio(calls, model):
    """Share of a model's interactions whose first call reads nothing."""
    first = np.unique(calls.turn_interaction[calls.turn], return_index=True)[1]
    first = first[calls.model[first] == model]
    return float((calls.cache_read_tokens[first] == 0).mean()), len(first)


@pytest.mark.parametrize("model", ["nova-pro", "claude-sonnet"])
@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.95, 0.05)])
def test_a_shared_prefix_is_warm_as_often_as_its_own_model_and_region_are_called(model, shares):
    """exp(-rate x TTL) of each region's cache of the model, weighted by how many start there."""
    regions = {
        name: {"share": share, "time_zone": "America/New_York"}
        for name, share in zip(("us-east-1", "us-west-2"), shares, strict=True)
    }
    per_s = 1 / 150
    what = scenario(demand__interactions__peak_per_s=per_s, assistant__policy=ROUTES, event__regions=regions)
    calls = assumed_calls(what, models(), seed=1)
    rate_per_s = per_s * calls.of(model).mean()
    expected = sum(share * np.exp(-rate_per_s * share * 300) for share in shares)
    found, n = cold_ratio(calls, model)
    assert found == pytest.approx(expected, abs=3 * np.sqrt(expected * (1 - expected) / n))


def test_the_rarer_route_is_cold_more_often():
    what = scenario(demand__interactions__peak_per_s=1 / 100, assistant__policy=ROUTES)
    calls = assumed_calls(what, models(), seed=1)
    assert calls.of("claude-sonnet").sum() < calls.of("nova-pro").sum()
    assert cold_ratio(calls, "claude-sonnet") > cold_ratio(calls, "nova-pro")
