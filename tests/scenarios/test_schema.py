"""Values that a scenario works out from its own keys."""

import pytest

from scenarios.loading import load_scenario
from scenarios.schema import Fault


@pytest.mark.parametrize(
    ("start_s", "seen"),
    [(0.0, (100.0, 50.0)), (90.0, (10.0, 50.0)), (120.0, (0.0, 30.0)), (150.0, None), (900.0, None)],
)
def test_a_fault_is_seen_from_the_windows_start(start_s, seen):
    """Ahead it comes sooner, begun it is cut, past it is gone."""
    fault = Fault(kind="throttle", at_s=100.0, length_s=50.0).seen_from(start_s)
    assert (None if fault is None else (fault.at_s, fault.length_s)) == seen


def test_lengths_of_the_client_mix_are_weighted_by_share():
    """A quarter of the traffic with double answers makes them a quarter longer; no clients change nothing."""
    clients = "{a: {share: 0.25, output_tokens_ratio: 2, input_tokens_ratio: 0.2}, b: {share: 0.75}}"
    mixed = load_scenario("smoke", [f"demand.interactions.clients={clients}"]).demand.interactions
    assert mixed.output_tokens_ratio == pytest.approx(1.25)
    assert mixed.input_tokens_ratio == pytest.approx(0.8)
    assert load_scenario("smoke").demand.interactions.output_tokens_ratio == 1


def test_the_most_specific_policy_wins():
    """intent/complexity before intent before complexity."""
    policy = load_scenario("smoke", ["assistant.policy.by_intent={deals: nova-pro, deals/complex: nova-2-lite}"])
    route = policy.assistant.policy.model_for
    assert [route("deals", "simple"), route("deals", "complex"), route("payment", "simple")] == [
        "nova-pro", "nova-2-lite", "custom-8b",
    ]  # fmt: skip
