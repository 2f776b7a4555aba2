"""Calls assumed from a scenario: what its sessions do, and what they find cached."""

from dataclasses import replace

import numpy as np
import pytest

from capacity.caching.provider import CachedCalls, read_tokens
from capacity.cost.interaction import cache_hit_figures
from capacity.demand.calls import assumed_calls
from capacity.demand.conversations import transitions
from emulator.bedrock.prompt_cache import Boundary, Point, PromptCache
from facts.reader import models
from scenarios.sessions import count_shares
from tests.capacity.scenario_of import scenario

ROUTES = {"simple": "nova-pro", "complex": "claude-sonnet"}
SONNET = {"assistant__policy": {"simple": "claude-sonnet", "complex": "claude-sonnet"}}
ONE_CALL = {
    "mix__interactions_per_session": {"mean": 1.0, "max": 1},
    "mix__turns_per_interaction": {"mean": 1.0, "max": 1},
    "capacity__assumed_tokens": {"calls_per_turn": 1.0},
}


def hits(model="claude-sonnet", **changes):
    return cache_hit_figures(assumed_calls(scenario(**changes), models(), seed=1, interactions=2_000), model)


@pytest.mark.parametrize("model", ["nova-pro", "claude-sonnet"])
@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.95, 0.05)])
def test_a_shared_prefix_is_warm_as_often_as_its_own_model_and_region_are_called(model, shares):
    """exp(-rate x TTL) of each region's cache of the model, weighted by how many start there."""
    regions = {
        name: {"share": share, "time_zone": "America/New_York"}
        for name, share in zip(("us-east-1", "us-west-2"), shares, strict=True)
    }
    per_s = 1 / 150
    what = scenario(
        demand__interactions__peak_per_s=per_s, assistant__policy=ROUTES, event__regions=regions, **ONE_CALL
    )
    calls = assumed_calls(what, models(), seed=1)
    mine = calls.of(model)
    expected = sum(share * np.exp(-per_s * mine.mean() * share * 300) for share in shares)
    cold = (calls.cache_read_tokens[mine] == 0).mean()
    assert cold == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / mine.sum()))


def test_longer_thinking_than_the_cache_lives_loses_the_conversation():
    slow = SONNET | {"mix__think_s": {"median": 1200, "cv": 0.5, "max": 3600}}
    hour = {"assistant__cache_ttl": {"shared": "1h", "customer": "1h", "conversation": "1h"}}
    quick, late, kept = hits(**SONNET), hits(**slow), hits(**slow, **hour)
    assert late["conversation"] < quick["conversation"] - 0.1  # tool rounds of one turn still follow at once
    assert late["customer"] < quick["customer"]
    assert late["all"] < kept["all"] == pytest.approx(quick["all"], abs=0.02)


def test_what_another_model_left_is_no_hit():
    """Half of an interaction's turns on each of two models: each finds less of the conversation than one alone."""
    mixed = {"mix__intents": {"comparison": {"weight": 1.0, "complex_ratio": 0.5}}, "assistant__policy": ROUTES}
    assert hits(**mixed)["customer"] < hits(**SONNET)["customer"] - 0.05
    assert hits(**mixed)["conversation"] < hits(**SONNET)["conversation"]


def test_a_customer_who_comes_back_within_the_lifetime_finds_their_part_but_not_the_old_conversation():
    many = SONNET | {"mix__interactions_per_session": {"mean": 3.0, "max": 6}}
    soon = many | {"mix__between_interactions_s": {"median": 20, "cv": 0.1}}
    later = many | {"mix__between_interactions_s": {"median": 2000, "cv": 0.1}}
    assert hits(**soon)["customer"] > hits(**later)["customer"] + 0.1


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_calls_an_interaction_are_those_of_the_markov_chain(seed):
    """Exact: sum over places of P(so many turns) x the chain's intents there x the route's share x calls a turn."""
    moves = {"comparison": {"order_status": 1.0}}
    what = scenario(assistant__policy=ROUTES, mix__transitions=moves, mix__stay_ratio=0.3)
    mix, calls = what.mix, assumed_calls(what, models(), seed=seed)
    intents = np.array([part.weight for part in mix.intents.values()])
    complex_ratio = np.array([part.complex_ratio for part in mix.intents.values()])
    shares = count_shares(mix.turns_per_interaction.mean, mix.turns_per_interaction.max)
    turns = 0.0
    for place in range(len(shares)):
        turns += shares[place:].sum() * float(intents @ complex_ratio)
        intents = intents @ transitions(mix)
    expected = turns * what.capacity.assumed_tokens.calls_per_turn
    assert calls.per_interaction("claude-sonnet") == pytest.approx(expected, rel=0.015)


def test_mean_tokens_are_the_scenarios_whatever_the_seed():
    means = [assumed_calls(scenario(), models(), seed=seed).output_tokens.mean() for seed in (1, 2, 3)]
    assert means == pytest.approx([scenario().capacity.assumed_tokens.output_tokens] * 3, rel=0.003)


def test_hits_are_those_of_the_emulators_own_cache():
    """The same prompts through the cache that serves rehearsals: an implementation of its own, call by call."""
    rng = np.random.default_rng(5)
    calls, now_s = [], 0.0
    for session in range(60):
        end = 2_500
        now_s += float(rng.exponential(200))
        at_s, parts = now_s, []
        for turn in range(int(rng.integers(1, 5))):
            end += int(rng.integers(50, 400))
            parts.append((10 * session + turn, end))
            at_s += float(rng.choice([5.0, 100.0, 400.0]))
            calls.append((at_s, str(rng.choice(["claude-sonnet", "nova-pro"])), session, tuple(parts)))
    calls.sort()
    caches = {name: PromptCache(models()[name].cache.min_tokens or 0, 20) for name in ("claude-sonnet", "nova-pro")}
    for lap_s in (-1e6, 0.0):
        expected = []
        for at_s, model, session, parts in calls:
            ends = [("s", 1_900), ((session, lap_s), 2_500), *(((part, lap_s), end) for part, end in parts)]
            boundaries = [Boundary(repr(ends[: place + 1]).encode(), end) for place, (_, end) in enumerate(ends)]
            points = [Point(0), Point(1), Point(len(ends) - 1)]
            use = caches[model].look_up(boundaries, points, at_s + lap_s)
            caches[model].store(use, at_s + lap_s)
            expected.append(use.read)
    at, model, session, parts = zip(*calls, strict=True)
    columns = CachedCalls(
        at_s=np.array(at),
        model=np.array(model, dtype=object),
        region=np.zeros(len(calls), dtype=np.int64),
        session=np.array(session),
        shared=np.full(len(calls), 1_900),
        customer=np.full(len(calls), 2_500),
        parts=np.array([len(of_call) for of_call in parts]),
        part=np.array([part for of_call in parts for part, _ in of_call]),
        end=np.array([end for of_call in parts for _, end in of_call]),
    )
    lifetimes = dict.fromkeys(("shared", "customer", "conversation"), "5m")
    assert read_tokens(columns, models(), lifetimes, 1e6).tolist() == expected


def test_a_tokenizer_of_its_own_scales_every_count_of_a_model_and_no_hit_ratio():
    """1.25 times the tokens of the same text: of each class, within a token a call; what is read stays what is read."""
    plain = models()
    finer = plain | {"claude-sonnet": replace(plain["claude-sonnet"], tokenizer_ratio=1.25)}
    one, other = (assumed_calls(scenario(**SONNET), known, seed=1, interactions=500) for known in (plain, finer))
    for name in ("prompt_tokens", "output_tokens", "cache_read_tokens", "shared_tokens"):
        assert np.abs(getattr(other, name) - 1.25 * getattr(one, name)).max() <= 0.5
    assert (other.input_tokens >= 0).all()
