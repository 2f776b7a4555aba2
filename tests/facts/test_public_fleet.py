"""Public figures of a real fleet and of its chips hang together, and are not used for what they cannot say."""

import math

import pytest

from capacity.fleet.sizing import regional_factor
from capacity.simulator.rate_at_slo import at_rate, drawn_work, throughput_bound_per_s
from facts.reader import instances, number, rows
from neuron_bench.importers.tables import usd_per_million
from tests.capacity.models import llama_8b, step_model
from tests.capacity.scenario_of import scenario
from tests.capacity.test_plan_small import SHORT, plan
from tests.capacity.test_service import lengths


def test_three_regions_of_which_one_may_be_lost_need_three_halves():
    shares = dict.fromkeys(("a", "b", "c"), 1 / 3)
    assert regional_factor(shares, "b", region_loss=True) == pytest.approx(1.5)


def test_a_plan_of_three_regions_of_which_one_may_be_lost_buys_three_halves_of_the_chips():
    zones = {"us-east-1": "America/New_York", "us-west-2": "America/New_York", "eu-west-1": "America/New_York"}
    event = {"event__regions": {name: {"share": 1 / 3, "time_zone": zone} for name, zone in zones.items()}}
    busy = SHORT | event | {"demand__interactions__peak_per_s": 3_000}
    never, may = (
        sum(
            s.chosen.bought_chips
            for s in plan(scenario(**busy, capacity__resilience__region_loss=lost)).supplies
            if s.chosen
        )
        for lost in (False, True)
    )
    assert may / never == pytest.approx(1.5, rel=0.02)  # whole instances in each of three zones


def test_a_decoder_twice_as_fast_halves_the_chip_seconds_of_a_decode_bound_stage_only():
    quick, slow = llama_8b(a=0.012, c=2e-4, d=0.0), llama_8b(a=0.024, c=4e-4, d=0.0)
    decode = at_rate(drawn_work(lengths(prompt=1, answer=400), 2_000, 1), 1.0)
    prefill = at_rate(drawn_work(lengths(prompt=4_000, answer=1), 2_000, 1), 1.0)
    assert throughput_bound_per_s(decode, quick) / throughput_bound_per_s(decode, slow) == pytest.approx(2, rel=0.01)
    both = [step_model(a=0.0, b=2.5e-4, c=c, max_batched_tokens=4096) for c in (2e-4, 4e-4)]
    assert throughput_bound_per_s(prefill, both[0]) == pytest.approx(throughput_bound_per_s(prefill, both[1]))


def test_neuron_cost_per_million_follows_from_throughput_and_their_reserved_rate():
    checked = 0
    for row in rows("neuron_published_perf.csv"):
        published, throughput = number(row["cost_per_1m_units_usd_ri"]), number(row["throughput"])
        box = instances().get(row["instance"])
        rate = box.reserved_effective_usd_per_hour if box else None
        if published is None or throughput is None or rate is None:
            continue
        assert usd_per_million(throughput, rate) == pytest.approx(published, rel=1e-3, abs=6e-4)
        checked += 1
    assert checked > 100


def test_load_curves_obey_littles_law():
    """requests/s x mean latency is the concurrency: 1 for one user, never above the load generator's limit."""
    checked = 0
    for row in rows("neuron_load_curves.csv"):
        rate, latency = number(row["requests_per_s"]), number(row["request_latency_mean_s"])
        stated, limit = number(row["littles_law_concurrency"]), number(row["max_concurrency"])
        if rate is None or latency is None or stated is None:
            continue
        in_flight = rate * latency
        assert math.isclose(in_flight, stated, rel_tol=0.02, abs_tol=0.02), row["source_file"]
        assert limit is None or in_flight <= limit * 1.01
        checked += 1
    assert checked > 40
