"""Which quotas a run would pass, and when."""

from __future__ import annotations

import numpy as np
import pytest
import yaml

from capacity.quotas.pressure import Pressure, pressures_of, used_today
from capacity.quotas.quota import CallTokens, Granted
from peakday.run import quota_check as throttling
from peakday.run.load import LoadOptions
from peakday.run.quota_check import UNKNOWN
from peakday.run.rehearsal import dry_run, prepare

TOKENS = CallTokens(reserved=6_000.0, settled=1_000.0)


def against(calls, **limits):
    """Pressures of these calls a minute, by kind."""
    granted = Granted(limits.get("rpm"), limits.get("tpm"), limits.get("tpd"), "quotas.yaml")
    found = pressures_of("nova-pro", "us-east-1", np.array(calls, float), TOKENS, 5.0, granted)
    return {item.kind: item for item in found}


def test_a_kind_without_a_limit_presses_nothing():
    """Only what is held is compared."""
    assert against([10, 20]) == {}
    assert set(against([10, 20], rpm=100)) == {"rpm"}


def test_minutes_above_a_limit_are_counted():
    """At the limit is allowed; above it throttles."""
    rpm = against([50, 100, 101, 20, 300], rpm=100)["rpm"]
    assert rpm.minutes_over == (2, 4)
    assert rpm.needed == 300


def test_tokens_take_the_reading_that_asks_for_more():
    """60 calls a minute of 5 s hold 5 at once: 30,000 reserved against 60,000 charged; with 30 s it turns."""
    assert against([60], tpm=1e6)["tpm"].needed == 60_000
    granted = Granted(None, 1e6, None, "quotas.yaml")
    [held_long] = pressures_of("m", "r", np.array([60.0]), TOKENS, 30.0, granted)
    assert held_long.needed == 180_000


def test_a_days_tokens_add_up():
    """The day's quota is passed in the minute that the sum passes it."""
    assert against([10] * 5, tpd=35_000)["tpd"].minutes_over == (3, 4)


def test_each_day_begins_anew():
    """A run of several days is held to the day's tokens day by day."""
    used = used_today(np.ones(2 * 1440 + 5))
    assert used[1439] == 1440
    assert used[1440] == 1
    assert used.max() == 1440


@pytest.mark.parametrize(
    ("kind", "minutes", "says"),
    [
        ("rpm", (65, 66), "throttles from 1:05 h into the run, in 2 minutes"),
        ("tpm", (0,), "throttles from 0:00 h into the run, in 1 minute"),
        ("tpd", (600, 601), "the day's tokens are used up 10:00 h into the run"),
    ],
)
def test_when_is_told_in_hours_of_the_run(kind, minutes, says):
    """The first minute above, and how many."""
    assert throttling._when(Pressure("m", "r", kind, 2.0, 1.0, "s", minutes)) == says


def quotas(tmp_path, value):
    """A pull with one quota."""
    name = "Cross-region model inference requests per minute for Amazon Nova Pro"
    row = {"code": "L-1", "name": name, "value": value, "default": 1.0, "adjustable": True}
    document = {
        "schema": "peakday.quotas/1", "pulled_utc": "2026-11-23T12:00:00+00:00",
        "regions": {"us-east-1": {"bedrock": [row], "ec2": []}},
    }  # fmt: skip
    path = tmp_path / "quotas.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def told(path, scale=1.0):
    text, data = dry_run(prepare("smoke", (), LoadOptions(quotas=path, scale=scale), None))
    assert all(line in text for line in data["throttles"])
    return data["throttles"]


def test_a_dry_run_says_what_throttles(tmp_path, monkeypatch):
    """A tight quota throttles from the first minute; a wide one is named with its share; nothing held is said."""
    monkeypatch.chdir(tmp_path)
    [tight] = told(quotas(tmp_path, 1.0))
    assert "nova-pro in us-east-1" in tight
    assert "1 held; throttles from 0:00 h" in tight
    assert "(L-1)" in tight
    [wide] = told(quotas(tmp_path, 1e6))
    assert wide.startswith("throttles     nothing by the quotas held; nearest nova-pro in us-east-1")
    assert told(None) == [UNKNOWN]


def test_a_thinner_run_asks_for_less(tmp_path, monkeypatch):
    """A quota that the whole run passes may hold a tenth of it."""
    monkeypatch.chdir(tmp_path)
    path = quotas(tmp_path, 5.0)
    assert "throttles from" in told(path)[0]
    assert "nothing by the quotas held" in told(path, scale=0.1)[0]
