"""A preview shows what the scenario asks for."""

import numpy as np
import pytest

from scenarios.advice import advice
from scenarios.demand import curve
from scenarios.errors import ScenarioError
from scenarios.loading import json_values, load_scenario
from scenarios.preview import preview
from scenarios.preview_text import amount, preview_text, sparkline


def test_totals_are_those_of_the_window_and_scale():
    """A tenth of the scale over a quarter of the event: expected starts are the integral there."""
    scenario = load_scenario("prime_day")
    view = preview(scenario, window=(0.0, 86_400.0), scale=0.1)
    whole = curve(json_values(scenario), window=(0.0, 86_400.0), scale=0.1)
    assert view.streams[0].expected[1] == pytest.approx(whole.total)
    assert view.streams[0].expected[2] == pytest.approx(whole.total * 2.5)
    assert sum(view.streams[0].per_region) == pytest.approx(whole.total)
    assert view.turns == pytest.approx(whole.total * 2.2)


def test_no_spike_hides_between_two_points():
    """The peak shown is the stated one, however short."""
    total = preview(load_scenario("deal_drop")).streams[0].rate_per_s.sum(axis=0)
    assert total.max() == pytest.approx(800, rel=0.01)


def test_every_turn_has_a_model():
    """Shares of turns by the policy's models sum to one, and more turns mean more input than in proportion."""
    short, long = (
        preview(load_scenario("smoke", [f"mix.turns_per_interaction={{mean: {mean}, max: 8}}"])) for mean in (2, 4)
    )
    assert sum(model.turn_share for model in short.models) == pytest.approx(1)
    inputs = [sum(model.input_tokens_per_interaction for model in view.models) for view in (short, long)]
    outputs = [sum(model.output_tokens_per_interaction for model in view.models) for view in (short, long)]
    assert outputs[1] == pytest.approx(2 * outputs[0])
    assert inputs[1] > 2 * inputs[0]


def test_a_window_outside_the_event_is_refused():
    """As for a run."""
    with pytest.raises(ScenarioError, match="lasts 20 s"):
        preview(load_scenario("smoke"), window=(10.0, 50.0))


def test_an_event_without_customers_has_a_preview():
    """A peak of zero is drawn flat, not as an error."""
    text = preview_text(preview(load_scenario("smoke", ["demand.interactions.peak_per_s=0"])))
    assert "0 interactions" in text
    assert "too few starts to tell" in text


def test_sparklines_show_the_largest_of_each_part():
    """A full bar is the top, nothing is blank, anything above nothing is at least the smallest bar."""
    values = np.zeros(100)
    values[3], values[50] = 8.0, 0.1
    assert sparkline(values, 8.0, width=10) == "█    ▁    "


@pytest.mark.parametrize(
    ("value", "text"), [(63.0e6, "63.0 million"), (12345.0, "12,345"), (4.25, "4.25"), (3.7e9, "3.7 billion")]
)
def test_numbers_are_written_for_people(value, text):
    """Millions and billions in words."""
    assert amount(value) == text


def test_a_model_that_retires_by_then_is_named():
    late = load_scenario("smoke", ["event.start=2027-11-26T00:00:00-05:00"])
    assert any("Claude Sonnet 4.5 ends on 2027-04-08, before the event" in line for line in advice(late))
    assert not any("ends on" in line for line in advice(load_scenario("smoke")))
