"""The generator's account of itself."""

from __future__ import annotations

from types import SimpleNamespace

import loadgen.worker.health
from loadgen.worker.health import Health
from loadgen.worker.recorder import ASKED


def test_the_first_second_holds_its_own_cpu_time_alone(monkeypatch):
    """What was spent between the start order and t0, making states ready, belongs to no second of the run."""
    now = SimpleNamespace(wall_ns=0, cpu_ns=0)
    monkeypatch.setattr(loadgen.worker.health, "now_ns", lambda: now.wall_ns)
    monkeypatch.setattr(loadgen.worker.health.time, "process_time_ns", lambda: now.cpu_ns)
    driver = SimpleNamespace(tick=lambda: None, in_flight=0, dispatch_lag_ns_max=0)
    counters = dict.fromkeys((*ASKED, "sent"), 0)
    rows = []
    recorder = SimpleNamespace(worker=0, counters=counters, generator=rows.append, flush=lambda: None)
    health = Health(driver, recorder, 500_000_000)
    for now.wall_ns, now.cpu_ns in ((500_000_000, 500_000_000), (1_500_000_000, 600_000_000)):
        health.beat()
    assert [row[-1] for row in rows] == [0.1]
