"""Customers who leave an overloaded server make no p99 better: the time they waited in vain is counted."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from dashboards.numbers.run import quantile_number
from loadgen.analysis.totals import latency_quantiles
from loadgen.job import TargetSpec
from slo.histogram import Histogram
from tests.loadgen.conftest import make_job_in
from tests.loadgen.server import assistant, assistant_events, serving, streamed
from tests.loadgen.worker_runs import play

ONE_TURN = {"mean": 1.0, "max": 1}
SERVICE_S = 0.05
ATTEMPTS = 5
RATE_PER_S = 40.0
"""Twice what the one slot serves."""


def one_slot():
    """An assistant that serves one turn after the other, also those whose customer has left."""
    free_s = [0.0]

    def answer():
        now_s = time.monotonic()
        free_s[0] = max(free_s[0], now_s) + SERVICE_S
        return streamed(assistant_events(), first_s=free_s[0] - now_s)

    return assistant(answer)


@pytest.fixture(scope="module")
def turns(tmp_path_factory):
    """The turns of the same single-turn customers, who wait for ever and who wait for half a second or so.

    And under "late_s": how long the process of customers and server stood still, which is nobody's patience.
    """
    found = {"late_s": 0.0}
    for name, patience in (("patient", None), ("impatient", {"median": 0.5, "cv": 0.3})):
        mix = {"turns_per_interaction": ONE_TURN, "interactions_per_session": ONE_TURN, "patience_s": patience}
        scenario = {"mix": mix, "load": {"drain_s": 60.0}}
        for _ in range(ATTEMPTS):  # who stands still at its beginning has customers who have all left
            with serving(one_slot()) as server:
                make_job = make_job_in(tmp_path_factory.mktemp(name))
                job = make_job(TargetSpec("assistant", server.url), scenario=scenario, rate_per_s=RATE_PER_S, for_s=2.0)
                run, _ = play(job)
            if run.turns["status"].eq("ok").any():
                break
        found[name] = run.turns
        found["late_s"] = max(found["late_s"], run.generator["heartbeat_late_s_max"].sum())
    return found


def p99(turns):
    return latency_quantiles(turns, Histogram())["ttft_s"]["p99"]


def test_the_same_customers_come_whether_patient_or_not(turns):
    """The two differ in nothing but who stays: so many leave that an average of answers alone would look better."""
    assert len(turns["patient"]) == len(turns["impatient"]) > 40
    assert set(turns["patient"]["status"]) == {"ok"}
    assert turns["impatient"]["status"].eq("abandoned").mean() > 0.2
    answered_s = turns["impatient"].query("status == 'ok'")["ttft_s"]
    assert answered_s.quantile(0.99) < 0.8 * p99(turns["patient"]).value + turns["late_s"]


def test_p99_does_not_improve_with_impatient_customers(turns):
    """It is as long as with patient ones, or it is told as a bound from below, which they do not contradict."""
    patient, impatient = p99(turns["patient"]), p99(turns["impatient"])
    answered_s = turns["impatient"].query("status == 'ok'")["ttft_s"]
    if impatient.censored:
        printed = quantile_number("ttft_s", "TTFT", "p99", replace(impatient, n_tail=100)).text
        assert printed.startswith("≥")
        assert answered_s.quantile(0.99) <= impatient.value <= 1.2 * patient.value + turns["late_s"]
    else:
        assert impatient.value >= 0.8 * patient.value - turns["late_s"]
