"""The local stack is described once, in stack.json, and faults are told on the clock of the run."""

import ssl
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from peakday.console import Console
from peakday.stack.local import MetricsAt, describe
from peakday.stack.resolved import open_stack, resolve
from scenarios.loading import load_scenario, scenario_hash
from scenarios.world import World


def described(name: str, window_start_s: float):
    """stack.json of a scenario that starts at a moment of its event."""
    scenario = load_scenario(name)
    world = World(Path("catalogue.sqlite"), Path("conversations.yaml"), Path("messages.json"))
    return describe(scenario, world, scenario_hash(scenario), {}, Path(), seed=1, window_start_s=window_start_s)


def status_of(url: str, headers: dict[str, str]) -> int:
    """Status of a GET."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=120) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@pytest.mark.system
def test_health_and_metrics_alone_are_served_at_another_address():
    """Of assistant and emulator; whoever reads there can neither ask nor steer, and no page of the web can read.

    The same stack's emulator speaks TLS beside, to whoever trusts the authority in its file.
    """
    pytest.importorskip("trustme")
    metrics = MetricsAt("127.0.0.2", 0)
    with open_stack(resolve("smoke", [], None), metrics=metrics, tls=True, console=Console(quiet=True)) as stack:
        trusting = ssl.create_default_context(cafile=stack.tls.ca_file)
        with urllib.request.urlopen(f"{stack.tls.url}/v1/models", context=trusting, timeout=120) as answer:
            assert answer.status == 200
        bases = {name: url.removesuffix("/metrics") for name, url in stack.metrics.items()}
        answers = {
            (name, path, host): status_of(base + path, {"Host": host})
            for name, base in bases.items()
            for path, host in (
                ("/metrics", "10.0.0.5"), ("/metrics", "rebind.evil.example"), ("/healthz", "10.0.0.5"),
                ("/health", "10.0.0.5"), ("/v1/models", "10.0.0.5"), ("/truth", "10.0.0.5"), ("/", "10.0.0.5"),
            )
        }  # fmt: skip
    assert set(bases) == {"assistant", "emulator"}
    assert all(url.startswith("http://127.0.0.2:") for url in bases.values())
    served = {key for key, status in answers.items() if status == 200}
    at = "10.0.0.5"
    assert served == {
        ("assistant", "/metrics", at), ("emulator", "/metrics", at), ("assistant", "/healthz", at),
        ("emulator", "/health", at),
    }  # fmt: skip


def test_a_fault_ahead_of_the_window_strikes_that_much_later():
    """region_loss breaks a region three hours into the event; a window that starts 4 s before sees it at 4 s."""
    faults = described("region_loss", 3 * 3600 - 4.0).faults
    assert next((fault["kind"], fault["at_s"]) for fault in faults) == ("region_down", 4.0)


def test_a_fault_that_is_over_is_left_out():
    assert described("region_loss", 5 * 3600.0).faults == ()


def test_the_description_holds_every_switch_of_the_assistant():
    scenario = load_scenario("smoke")
    assert described("smoke", 0.0).assistant == scenario.assistant
