"""Whole runs: Locust's master and workers as child processes, through to a finished record."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import orjson
import pytest

from host import processes
from host.ports import free_port
from loadgen.job import LoadError, LoadJob, TargetSpec
from loadgen.record import load_run, read_info
from loadgen.run import run_load
from loadgen.targets.mapping import read_customers, target_specs
from loadgen.targets.module import load_class
from slo.histogram import RELATIVE_WIDTH, Histogram
from tests.loadgen.server import assistant, assistant_events, chat_events, response, serving, streamed

ONE_INTERACTION = {"mix": {"interactions_per_session": {"mean": 1.0, "max": 1}}}
"""When a second one begins is up to how soon the first was answered, and so whether it falls into the run."""


def turns_of(folder: Path) -> set[tuple[object, ...]]:
    """What customers did, without its times."""
    turns = load_run(folder).turns
    keys = ["customer_id", "session_id", "interaction_id", "turn_index"]
    return set(turns[turns["turn_index"] == 0][keys].itertuples(index=False, name=None))


def test_a_run_leaves_a_finished_record_and_no_process(make_job, tmp_path):
    """Two workers: verdict, totals, quantiles and provenance, and the same first turns as with one worker."""
    folders = []
    with serving(assistant(lambda: streamed(assistant_events(), 0.02, 0.002))) as server:
        for processes in (1, 2):
            folder = tmp_path / f"w{processes}"
            job = make_job(
                TargetSpec("assistant", server.url), scenario=ONE_INTERACTION, run_dir=str(folder),
                processes=processes, for_s=1.0,
            )  # fmt: skip
            outcome = run_load(job)
            folders.append(folder)
    info = json.loads((folder / "run.json").read_text())
    assert outcome.info == read_info(folder)
    assert info["state"] == "finished"
    assert info["provenance"] == {"bedrock": "simulated"}
    totals = info["totals"]
    ends = ("completed", "failed", "abandoned", "censored", "dropped")
    assert totals["asked"] == totals["sent"] == sum(totals[name] for name in ends) > 20
    assert totals["cache_hit_token_ratio"]["shared"] == pytest.approx(1.0)
    assert info["quantiles"]["ttft_s"]["p50"]["value"] >= 0.02
    assert info["quantiles"]["gap_s"]["p50"]["n"] > 0
    assert set(info["clock"]) == {"0", "1"}
    assert turns_of(folders[0]) == turns_of(folders[1])
    assert not list(folder.glob(".samples"))
    merged = Histogram.from_json(json.loads((folder / "histograms.json").read_text())["metrics"]["ttft_s"])
    union = np.sort(load_run(folder).turns["ttft_s"].dropna().to_numpy())
    for share in (0.5, 0.9, 0.99):
        value = union[int(np.ceil(round(share * len(union), 9))) - 1]
        assert value <= merged.quantile(share) <= value * (1 + RELATIVE_WIDTH)
    assert len(load_run(folder).generator) >= 2


def test_a_replay_sends_the_files_own_lengths(make_job, tmp_path):
    """Each row of a log is one request of its own lengths, and the client's totals are the file's."""
    rows = [(0.0, 300, 3), (0.1, 11, 2), (0.1, 40, 4), (0.9, 5, 2)]
    log = tmp_path / "log.csv"
    lines = [f"2023-11-16 18:00:{start:04.1f},{prompt},{output}" for start, prompt, output in rows]
    log.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n" + "\n".join(lines) + "\n")

    def complete(path, headers, body):
        request = orjson.loads(body)
        assert path == "/v1/completions"
        assert request["min_tokens"] == request["max_tokens"]
        assert request["ignore_eos"] is True
        return streamed(chat_events(request["max_tokens"], prompt=len(request["prompt"])))

    with serving(complete) as server:
        target = TargetSpec("openai", server.url + "/v1", model="m")
        outcome = run_load(make_job(target, window=(0.0, 2.0), arrivals_file=str(log)))
    totals = outcome.info.totals
    assert totals.asked == totals.completed == len(rows)
    assert totals.input_tokens == sum(prompt for _, prompt, _ in rows)
    assert totals.output_tokens == sum(output for *_, output in rows)


def test_an_interrupted_runs_rates_are_those_of_the_time_it_asked(make_job):
    """Ctrl-C after a second of thirty: sent over that second, not over thirty; 130. It says what it waits for."""
    told, notices = [], []

    def interrupt(state):
        notices.extend(filter(None, [state.get("notice")]))
        if state["state"] == "running" and not told and state["live"]["counters"].get("completed", 0) > 30:
            told.append(True)
            os.kill(os.getpid(), signal.SIGINT)

    with serving(assistant(lambda: streamed(assistant_events()))) as server:
        outcome = run_load(make_job(TargetSpec("assistant", server.url), for_s=30.0), interrupt)
    totals, asked_s = outcome.info.totals, outcome.info.asked_s
    assert outcome.exit_code == 130
    assert asked_s < 28
    (notice,) = notices
    assert "those in flight have up to" in notice
    assert totals.achieved_rate_per_s == pytest.approx(totals.sent / asked_s)
    assert totals.sent > 30


def test_any_page_that_is_named_is_scraped_into_the_record(make_job):
    """Beside a target that has no page of its own."""
    page = [(0.0, response(b"engine_steps_total 7\n", content_type="text/plain"))]
    with serving(lambda *_: page) as engine, serving(assistant(lambda: streamed(assistant_events()))) as server:
        job = make_job(TargetSpec("assistant", server.url), scrape_urls=(f"{engine.url}/numbers",), for_s=1.0)
        run_load(job)
    rows = load_run(job.folder).server
    assert set(rows[rows["metric"] == "engine_steps_total"]["value"]) == {7.0}


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, 2], ids=["once", "twice"])
def test_ctrl_c_once_drains_and_twice_stops(make_job, times):
    """Answers take two seconds: asked for once, the run waits for those under way; asked again, it does not."""
    pressed = []

    def interrupt(state):
        running = state["state"] == "running" and state["live"]["elapsed_s"] > 0.8 + 0.4 * len(pressed)
        if running and len(pressed) < times:
            pressed.append(True)
            os.kill(os.getpid(), signal.SIGINT)

    with serving(assistant(lambda: streamed(assistant_events(), 2.0))) as server:
        patient = {"load": {"drain_s": 10.0}}
        job = make_job(TargetSpec("assistant", server.url), rate_per_s=10.0, for_s=30.0, scenario=patient)
        outcome = run_load(job, interrupt)
    totals = outcome.info.totals
    assert outcome.exit_code == 130
    assert outcome.info.interrupted
    assert totals.asked < 60
    if times == 1:
        assert totals.completed == totals.asked
    else:
        assert totals.censored > 0


def test_a_failing_target_ends_the_run_by_its_abort_rule(make_job):
    """Every turn is refused: the rule ends the run long before its window does, says which, and exits 6."""
    refused = [(0.0, response(b"{}", "500 Internal Server Error"))]
    with serving(assistant(lambda: refused)) as server:
        job = make_job(
            TargetSpec("assistant", server.url), for_s=60.0, abort_rules=True, scenario={"abort_if": {"window_s": 2.0}}
        )
        outcome = run_load(job)
    assert outcome.exit_code == 6
    assert outcome.info.aborted.startswith("abort_if.error_ratio: 100%")
    assert outcome.info.asked_s < 30


def test_a_killed_worker_voids_the_run(make_job):
    """Its half of what was still to come is gone: the run is invalid, says which worker and share, and exits 3."""
    killed = []

    def kill(state):
        if state["state"] == "running" and not killed and state["live"]["counters"].get("completed", 0) > 5:
            killed.append(state["live"]["workers"]["1"]["pid"])
            os.kill(killed[0], signal.SIGKILL)

    with serving(assistant(lambda: streamed(assistant_events()))) as server:
        outcome = run_load(make_job(TargetSpec("assistant", server.url), processes=2, for_s=60.0), kill)
    assert outcome.exit_code == 3
    share = re.search(r"lost worker 1 \(killed by SIGKILL at .*\); ([0-9.]+)% of the planned", outcome.info.reasons[0])
    turns, asked_s = load_run(outcome.run_dir).turns, outcome.info.asked_s
    of_worker_1 = turns[turns["session_id"].str[1:].astype(int) % 2 == 1]
    left_s = asked_s - of_worker_1["intended_start_s"].max()
    assert asked_s < 50
    assert float(share[1]) / 100 == pytest.approx(0.5 * left_s / asked_s, abs=0.2)


def test_a_process_of_ours_that_dies_ends_the_run_and_is_named(make_job):
    """The assistant of the local stack is killed: the run ends there, invalid, with its name, signal and time."""
    end = processes.End("assistant", -9, datetime(2026, 11, 29, 1, 2, 3, tzinfo=UTC))
    elapsed = []

    def system_ended():
        return end if elapsed and elapsed[-1] > 1.0 else None

    def note(report):
        elapsed.append(report["live"]["elapsed_s"] or 0.0)

    with serving(assistant(lambda: streamed(assistant_events()))) as server:
        job = make_job(TargetSpec("assistant", server.url), for_s=30.0)
        outcome = run_load(job, note, system_ended)
    assert outcome.exit_code == 3
    assert "the assistant ended: killed by SIGKILL at 01:02:03 UTC" in outcome.info.reasons[0]
    assert outcome.info.asked_s < 28
    (crossing,) = [c for c in outcome.info.what_broke_first if c.what == "the assistant"]
    assert 1.0 <= crossing.at_s < 28


def test_a_killed_master_leaves_a_marked_record(make_job):
    """The run is over and invalid; the rows written until then are read as ever."""
    killed = []

    def kill(state):
        if state["state"] == "running" and not killed and state["live"]["counters"].get("completed", 0) > 5:
            killed.append(state["live"]["master_pid"])
            os.kill(killed[0], signal.SIGKILL)

    with serving(assistant(lambda: streamed(assistant_events()))) as server:
        job = make_job(TargetSpec("assistant", server.url), for_s=30.0)
        outcome = run_load(job, kill)
    assert outcome.exit_code == 3
    assert "master ended before" in outcome.info.reasons[0]
    assert len(load_run(job.folder).turns) > 5


@pytest.mark.slow
def test_the_page_and_the_exporter_tell_of_the_run_while_it_goes_on(make_job):
    """Locust's own page has our panel, the exporter its metrics, and both end with the run."""
    seen = {}
    web_port, metrics_port = free_port(), free_port()

    def look(state):
        if state["state"] == "running" and not seen and state["live"]["counters"].get("completed", 0) > 5:
            for name, url in (
                ("page", f"http://127.0.0.1:{web_port}/peak/live"),
                ("metrics", f"http://127.0.0.1:{metrics_port}/metrics"),
            ):
                with urllib.request.urlopen(url, timeout=120) as answer:
                    seen[name] = answer.read().decode()

    with serving(assistant(lambda: streamed(assistant_events()))) as server:
        target = TargetSpec("assistant", server.url)
        outcome = run_load(make_job(target, for_s=3.0, web_port=web_port, metrics_port=metrics_port), look)
    assert outcome.info.state == "finished"
    assert json.loads(seen["page"])["live"]["counters"]["completed"] > 5
    assert 'peakday_run_info{run_id="run",scenario="tiny",simulated="true"} 1' in seen["metrics"]


def test_a_folder_that_holds_a_run_is_left_alone(make_job):
    """A record is never overwritten."""
    job = make_job(TargetSpec("openai", "http://127.0.0.1:1/v1", model="m"))
    job.folder.mkdir()
    (job.folder / "run.json").write_text("{}")
    with pytest.raises(LoadError, match="already holds a run"):
        run_load(job)


def test_a_job_survives_its_file(make_job, tmp_path):
    """What the workers read is what the command meant."""
    job = make_job(TargetSpec("openai", "http://127.0.0.1:1/v1", model="m"), command=("peakday", "run"))
    job.write(tmp_path / "job.json")
    assert LoadJob.read(tmp_path / "job.json") == job


@pytest.mark.usefixtures("secret")
def test_a_worker_from_elsewhere_gets_the_run_and_sends_its_rows(make_job):
    """One worker here, one that shares no file with the master: every turn is in the one record."""
    port = free_port()
    code = f"from loadgen.remote_workers import run_worker; raise SystemExit(run_worker('127.0.0.1', {port}))"
    elsewhere = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL)
    try:
        with serving(assistant(lambda: streamed(assistant_events()))) as server:
            target = TargetSpec("assistant", server.url)
            job = make_job(target, remote_workers=1, bind_port=port, for_s=1.0)
            outcome = run_load(job)
        assert elsewhere.wait(300) in (0, 3)  # where the machine was busy the run is INVALID, and the worker says so
    finally:
        elsewhere.kill()
        elsewhere.wait()
    assert set(outcome.info.clock) == {"0", "1"}
    turns = load_run(job.folder).turns
    assert outcome.info.totals.asked == len(turns) > 30
    assert {int(session[1:]) % 2 for session in turns["session_id"]} == {0, 1}
    assert len(list(job.folder.glob("turns-[01]-*.parquet"))) >= 2


def test_a_bundle_holds_every_file_a_target_names(make_job, tmp_path):
    """A mapping's customers and a module are read where the worker is, which has no disk in common with the master."""
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
    (here / "customers.csv").write_text("id,name\n1,Ada\n")
    (here / "own.py").write_text("class Own:\n    pass\n")
    mapped = TargetSpec("http", "http://127.0.0.1:1", "a", mapping={"customers": str(here / "customers.csv")})
    own = TargetSpec("module", "http://127.0.0.1:1", "b", module=f"{here / 'own.py'}:Own")
    bundle = json.loads(json.dumps(make_job(mapped, replace(mapped, region="c"), own).bundle()))
    shutil.rmtree(here)
    job = LoadJob.unpack(bundle, there)
    assert [read_customers(job.targets[i].mapping["customers"])[0]["name"] for i in (0, 1)] == ["Ada", "Ada"]
    assert load_class(job.targets[2].module).__name__ == "Own"
    assert json.loads(Path(job.messages).read_text())["messages"]


@pytest.mark.usefixtures("secret")
def test_a_worker_from_elsewhere_reads_the_customers_of_a_mapping(make_job, tmp_path, monkeypatch):
    """The one worker has no file of the master's: its customers come with the run, and none stays behind."""
    left = tmp_path / "temporary"
    left.mkdir()
    monkeypatch.setenv("TMPDIR", str(left))
    (tmp_path / "customers.csv").write_text("name\nAda\n")
    (tmp_path / "target.yaml").write_text(
        "schema: peakday.target/1\nurl: http://127.0.0.1:1/chat\nformat: json\ncustomers: customers.csv\n"
        'body: {question: "{message}", who: "{customer.name}"}\ntext: {path: text}\n'
    )
    (spec,) = target_specs(tmp_path / "target.yaml")
    port = free_port()
    code = f"from loadgen.remote_workers import run_worker; raise SystemExit(run_worker('127.0.0.1', {port}))"
    elsewhere = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL)
    try:
        with serving(lambda *_: [(0.0, response(b'{"text": "yes"}'))]) as server:
            target = replace(spec, url=f"{server.url}/chat")
            outcome = run_load(make_job(target, processes=0, remote_workers=1, bind_port=port))
        assert elsewhere.wait(300) in (0, 3)  # where the machine was busy the run is INVALID, and the worker says so
    finally:
        elsewhere.kill()
        elsewhere.wait()
    assert list(left.rglob("*")) == []
    assert outcome.info.totals.completed == len(server.requests) > 5
    assert {orjson.loads(body)["who"] for *_, body in server.requests} == {"Ada"}


def test_a_worker_loads_no_heavy_library():
    """What a worker imports is small: no data frames, no compiler, no schema library."""
    modules = "loadgen.worker.worker_run, loadgen.coordinator.coordinator, scenarios.arrivals, scenarios.sessions"
    code = f"import sys, {modules}; print(' '.join({{name.split('.')[0] for name in sys.modules}}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"pandas", "scipy", "numba", "pydantic", "pyarrow", "boto3", "botocore"} & set(loaded)
