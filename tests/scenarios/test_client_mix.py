"""A few clients dominate: a mix fitted on a production service generates its rate, its peak and its burstiness."""

import csv
import gzip
from collections import defaultdict

import numpy as np
import pytest

from scenarios.arrivals import stream_starts
from scenarios.demand import curve

from .test_arrivals import event

WINDOW_S = 600.0
SCALE = 4e-3  # 1.4 billion requests in two weeks: a sample of some five million keeps the test short


@pytest.fixture(scope="module")
def servegen(traces):
    """(43, 2016) rates and CVs of the clients of ServeGen's m-small, per 600 s."""
    rates, cvs = defaultdict(list), defaultdict(list)
    with gzip.open(traces / "servegen_m_small_rates.csv.gz", "rt") as file:
        for row in csv.DictReader(file):
            rates[row["client"]].append(float(row["rate"]))
            cvs[row["client"]].append(float(row["cv"] or 0))
    return np.array(list(rates.values())), np.array(list(cvs.values()))


@pytest.fixture(scope="module")
def generated(servegen, tmp_path_factory):
    """The fitted scenario and its arrivals: total rate as a trace, each client's share and rate-weighted CV."""
    rates, cvs = servegen
    total = rates.sum(axis=0)
    path = tmp_path_factory.mktemp("servegen") / "total.csv"
    path.write_text("period,count\n" + "".join(f"{i * WINDOW_S},{value}\n" for i, value in enumerate(total)))
    columns = {"time_column": "period", "count_column": "count"}
    shape = {"kind": "trace", "file": str(path), **columns, "step_s": WINDOW_S, "offset_s": 0.0}
    length_s = len(total) * WINDOW_S
    scenario = event(float(total.max()), length_s, {"process": "gamma"}, shape)
    busy = rates.sum(axis=1)
    scenario["demand"]["interactions"]["clients"] = {
        str(i): {"share": busy[i] / busy.sum(), "cv": float((rates[i] * cvs[i]).sum() / busy[i])}
        for i in np.flatnonzero(busy)
    }
    starts = stream_starts(scenario, "interactions", window=(0.0, length_s), scale=SCALE, seed=1)
    return scenario, starts


def test_the_mean_rate_is_the_services(servegen, generated):
    """Within 2%."""
    _, starts = generated
    mean = len(starts) / SCALE / (servegen[0].shape[1] * WINDOW_S)
    assert mean == pytest.approx(servegen[0].sum(axis=0).mean(), rel=0.02)


def test_the_busiest_ten_minutes_are_the_services(servegen, generated):
    """Within 10%."""
    counts = np.bincount((generated[1].offset_s / WINDOW_S).astype(int))
    assert counts.max() / SCALE / WINDOW_S == pytest.approx(servegen[0].sum(axis=0).max(), rel=0.10)


def test_burstiness_is_the_services(servegen, generated):
    """The rate-weighted CV of the clients' gaps is within 15% of the service's 3.6.

    Gaps are measured on the integral of each client's rate, where a quiet night does not look like a burst.
    """
    rates, cvs = servegen
    scenario, starts = generated
    whole = curve(scenario, scale=SCALE)
    weighted = 0.0
    for client, keys in enumerate(scenario["demand"]["interactions"]["clients"].values()):
        gaps = np.diff(whole.counts_at(0, starts.offset_s[starts.client == client]))
        if len(gaps) > 100:  # the smallest clients send nothing in a sample; they weigh nothing either
            weighted += keys["share"] * gaps.std() / gaps.mean()
    assert weighted == pytest.approx((rates * cvs).sum() / rates.sum(), rel=0.15)


def test_the_largest_clients_keep_their_share(generated):
    """The top client sends 30% of everything, the top five 77%."""
    shares = np.sort(np.bincount(generated[1].client) / len(generated[1]))[::-1]
    assert shares[0] == pytest.approx(0.30, abs=0.01)
    assert shares[:5].sum() == pytest.approx(0.77, abs=0.01)
