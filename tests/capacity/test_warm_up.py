"""A replica's start is planned as slow as a bench saw it, and never faster than was stated."""

from pathlib import Path

import pandas as pd
import pytest

from capacity.fleet.warm_up import with_measured_warm_up
from neuron_bench.record import Bench
from tests.capacity.scenario_of import scenario
from tests.capacity.test_plan_small import SHORT, plan


def bench(compile_s, load_s, provenance="measured"):
    cases = pd.DataFrame({"phase": ["compile", "load", "decode"], "compile_s": [compile_s, None, None],
                          "load_s": [None, load_s, None]})  # fmt: skip
    return Bench(Path("benches/slow"), {"provenance": provenance}, cases)


@pytest.mark.parametrize(("load_s", "planned_s"), [(1_500.0, 1_800.0), (60.0, 900.0)])
def test_the_longer_of_measured_and_stated_is_planned(load_s, planned_s):
    """300 s to compile; 900 s are stated."""
    found, (note,) = with_measured_warm_up(scenario(**SHORT), [bench(300.0, load_s)])
    assert found.capacity.resilience.warm_up_lag_s == planned_s
    assert f"{300 + load_s:,.0f} s to compile and load" in note.value


def test_a_slow_start_is_paid_for():
    slow = plan(scenario(**SHORT), benches=[bench(300.0, 3_300.0)])
    assert slow.event_cost_usd.mid > plan().event_cost_usd.mid
    assert any(note.name == "warm-up of slow" for note in slow.inputs)


def test_a_bench_that_timed_no_start_changes_nothing():
    event = scenario(**SHORT)
    assert with_measured_warm_up(event, [bench(None, None)]) == (event, ())
