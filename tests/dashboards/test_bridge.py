"""Two plans are joined by a bridge whose steps add up to the last cent, each under the name of what was changed."""

from __future__ import annotations

import html
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.html.compare import write_compare
from dashboards.numbers.bridge import KINDS, OTHER, Step, bridge, signed_usd
from tests.dashboards.plans import make_plan

BASE = make_plan(simulated=False)


def costed(plan):
    """The plan with the cost of the event that its own rows make."""
    tokens = sum(
        (s.calls_in_event or 0.0) * tokens * s.prices_usd_per_mtok.get(name, 0.0) * 1e-6
        for s in plan.supplies
        for name, tokens in s.tokens_per_call.items()
    )
    usd = tokens + sum(line.usd for line in plan.purchase)
    return replace(plan, event_cost_usd=replace(plan.event_cost_usd, mid=usd))


def changed(demand=1.0, routes=1.0, tokens=1.0, prices=1.0, fleet=1.0):
    """The base with every factor of a kind times so much."""
    supplies = tuple(
        replace(
            s,
            calls_in_event=(s.calls_in_event or 0.0) * demand * routes,
            calls_per_s=replace(s.calls_per_s, p90=s.calls_per_s.p90 * demand * routes),
            tokens_per_call={name: n * tokens for name, n in s.tokens_per_call.items()},
            prices_usd_per_mtok={name: usd * prices for name, usd in s.prices_usd_per_mtok.items()},
        )
        for s in BASE.supplies
    )
    peaks = [(d, d.peak_interactions_per_s) for d in BASE.demand]
    regions = tuple(replace(d, peak_interactions_per_s=replace(peak, p90=peak.p90 * demand)) for d, peak in peaks)
    bought = demand * routes * fleet
    purchase = tuple(
        replace(
            line,
            instances=line.instances * bought,
            usd_per_hour=line.usd_per_hour * bought * prices,
            usd=line.usd * bought * prices,
        )
        for line in BASE.purchase
    )
    rules = replace(BASE.rules, interactions_in_event=BASE.rules.interactions_in_event * demand)
    return costed(replace(BASE, supplies=supplies, demand=regions, purchase=purchase, rules=rules))


FACTOR = st.floats(0.2, 5.0)


@given(FACTOR, FACTOR, FACTOR, FACTOR, FACTOR)
def test_the_steps_add_up_to_the_last_cent(demand, routes, tokens, prices, fleet):
    a, b = costed(BASE), changed(demand, routes, tokens, prices, fleet)
    found = bridge(a, b)
    assert round(100 * found.a_usd) + sum(round(100 * step.usd) for step in found.steps) == round(100 * found.b_usd)
    other = next(step.usd for step in found.steps if step.name == OTHER)
    assert abs(other) < 0.02 * len(KINDS)


@pytest.mark.parametrize("kind", ["demand", "routes", "tokens", "prices", "fleet"])
def test_one_changed_kind_is_the_one_step(kind):
    a, b = costed(BASE), changed(**{kind: 2.0})
    moved = [step for step in bridge(a, b).steps if abs(step.usd) > 0.05]
    assert [step.name for step in moved] == [kind]
    assert moved[0].usd == pytest.approx(b.event_cost_usd.mid - a.event_cost_usd.mid, abs=0.05)


def test_another_split_of_the_prompt_is_the_cache():
    """As many tokens, more of them read from cache: cheaper, and by nothing else."""
    supplies = tuple(
        replace(s, tokens_per_call={**s.tokens_per_call, "input": 0.0,
                "cache_read": s.tokens_per_call["cache_read"] + s.tokens_per_call["input"]})
        for s in BASE.supplies
    )  # fmt: skip
    moved = [step for step in bridge(costed(BASE), costed(replace(BASE, supplies=supplies))).steps if step.usd]
    assert [step.name for step in moved] == ["cache"]
    assert moved[0].usd < 0


def test_a_plan_against_itself_moves_nothing():
    assert bridge(BASE, BASE).sentence.endswith(": nothing moved")


@given(FACTOR, FACTOR, FACTOR)
def test_there_and_back_are_the_same_steps_with_their_signs_turned(demand, tokens, prices):
    a, b = costed(BASE), changed(demand=demand, tokens=tokens, prices=prices)
    there = {step.name: step.usd for step in bridge(a, b).steps}
    back = {step.name: step.usd for step in bridge(b, a).steps}
    assert all(there[name] == pytest.approx(-back[name], abs=0.03) for name in there)


def test_what_no_factor_holds_is_a_step_of_its_own():
    """A cost that the rows do not make, such as searches, is never spread over the others."""
    a = costed(BASE)
    b = replace(a, event_cost_usd=replace(a.event_cost_usd, mid=a.event_cost_usd.mid + 1000.0))
    assert [step for step in bridge(a, b).steps if step.usd] == [Step(OTHER, 1000.0)]


def test_a_model_that_only_one_plan_uses_is_routes():
    """Its calls went from none to some; its prices and tokens did not change."""
    without = costed(replace(BASE, supplies=tuple(s for s in BASE.supplies if s.model != "claude-sonnet")))
    moved = [step for step in bridge(without, costed(BASE)).steps if abs(step.usd) > 0.01]
    assert [step.name for step in moved] == ["routes"]


def test_the_compare_page_shows_the_bridge_with_its_sum(tmp_path):
    a, b = costed(BASE), changed(demand=1.5, prices=0.8)
    page = html.unescape(write_compare(tmp_path / "c.html", a, b).read_text())
    assert bridge(a, b).sentence in page
    for step in bridge(a, b).steps:
        assert signed_usd(step.usd) in page
