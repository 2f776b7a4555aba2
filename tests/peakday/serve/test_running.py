"""A run under way: its numbers as they come, and having it end."""

import asyncio
import json

import pytest

from loadgen import control
from loadgen.job import TargetSpec
from peakday.serve.running import Watch, _events
from tests.loadgen.conftest import make_job_in
from tests.peakday.serve.client import Client

LIVE = {
    "state": "running", "elapsed_s": 10.0, "in_flight": 7, "aborted": None, "notes": [], "lost": [], "faults": [],
    "counters": {"asked": 60, "sent": 58, "completed": 40, "cost_usd": 0.25, "input_tokens": 100,
                 "cache_read_tokens": 300},
    "quantiles": {"ttft_s": {"p50": 0.2, "p99": 0.9, "n": 40}, "start_lag_s": {"p50": 0.001, "p99": 0.002, "n": 40}},
    "errors": {"throttled": 3}, "health": {"0": {"cpu_ratio": 0.4, "heartbeat_late_s": 0.0}}, "workers": ["0"],
    "supplies": {}, "refused": None,
}  # fmt: skip


@pytest.fixture
def going(tmp_path):
    """The folder of a run that the coordinator wrote a moment ago."""
    folder = tmp_path / "runs" / "20260708-093015-smoke"
    folder.mkdir(parents=True)
    job = make_job_in(tmp_path)(TargetSpec("assistant", "http://127.0.0.1:9"), window=(0.0, 60.0))
    job.write(folder / "job.json")
    (folder / "run.json").write_text(json.dumps({"schema": "peakday.run/1", "state": "running"}))
    (folder / "live.json").write_text(json.dumps(LIVE))
    return folder


def test_a_run_under_way_shows_its_numbers(tmp_path, going):
    client = Client(tmp_path)

    async def first():
        return await anext(_events(client.desk, Watch()))

    run = json.loads(asyncio.run(first()).removeprefix("data: "))["going"][0]
    figures = {figure["name"]: figure["text"] for figure in run["figures"]}
    assert (run["state"], figures["in flight"], figures["errors"]) == ("running", "7", "3 x throttled")
    assert figures["offered"] == "60 (6.0/s)"
    assert figures["cache"] == "75.0% of input tokens read"
    assert "start lag p99 2.00 ms" in figures["generator"]


@pytest.mark.parametrize(("wish", "interrupts"), [("stop", 1), ("abort", 2)])
def test_a_run_is_told_to_end_as_by_ctrl_c(tmp_path, going, wish, interrupts):
    """Stop is the first Ctrl-C at its terminal, abort the second."""
    assert control.interrupts_wanted(going) == 0
    answer = Client(tmp_path).post("/runs/20260708-093015-smoke/end", {"wish": wish})
    assert answer.status == 200
    assert control.interrupts_wanted(going) == interrupts
