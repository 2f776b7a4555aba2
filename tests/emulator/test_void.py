"""A run against emulator that stood still is void: loadgen asks them, and they do not lie."""

from loadgen.job import TargetSpec
from loadgen.run import run_load
from tests.loadgen.conftest import make_job

__all__ = ["make_job"]  # a fixture


def test_a_run_during_which_the_emulator_froze_is_invalid(emulator, make_job):
    """Half a second of standing still in a run of three: exit code 3, and the verdict names the emulator."""
    emulator.control("faults", [{"kind": "freeze", "length_s": 0.5, "at_s": 1.0}])
    target = TargetSpec("openai", f"{emulator.url}/v1", model="custom-8b")
    outcome = run_load(make_job(target, rate_per_s=20.0, for_s=3.0, emulator_url=emulator.url), None)
    assert outcome.exit_code == 3
    assert any("emulator was late" in reason for reason in outcome.info.reasons)
