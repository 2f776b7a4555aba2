"""The local stack is described once, in stack.json, and faults are told on the clock of the run."""

from pathlib import Path

from peakday.stack.local import describe
from scenarios.loading import load_scenario, scenario_hash
from scenarios.world import World


def described(name: str, window_start_s: float):
    """stack.json of a scenario that starts at a moment of its event."""
    scenario = load_scenario(name)
    world = World(Path("catalogue.sqlite"), Path("conversations.yaml"), Path("messages.json"))
    return describe(scenario, world, scenario_hash(scenario), {}, Path(), seed=1, window_start_s=window_start_s)


def test_a_fault_ahead_of_the_window_strikes_that_much_later():
    """region_loss breaks a region three hours into the event; a window that starts 4 s before sees it at 4 s."""
    faults = described("region_loss", 3 * 3600 - 4.0).faults
    assert next((fault["kind"], fault["at_s"]) for fault in faults) == ("region_down", 4.0)


def test_a_fault_that_is_over_is_left_out():
    assert described("region_loss", 5 * 3600.0).faults == ()


def test_the_description_holds_every_switch_of_the_assistant():
    scenario = load_scenario("smoke")
    assert described("smoke", 0.0).assistant == scenario.assistant
