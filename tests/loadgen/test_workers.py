"""However many workers share a run: the same turns, and histograms that merge into those of all rows together."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import orjson
import pytest

from loadgen.chunks import ChunkWriter
from loadgen.coordinator.snapshots import Snapshots
from loadgen.job import TargetSpec
from loadgen.record import load_run
from loadgen.run import begin_record
from loadgen.worker.worker_run import WorkerRun
from slo.histogram import RELATIVE_WIDTH
from tests.loadgen.conftest import make_job_in
from tests.loadgen.server import chat_events, serving, streamed

WORKERS = (1, 2, 4)
KEY = ["session_id", "interaction_id", "turn_index", "customer_id", "region", "said"]


def together(job, workers):
    """One run of several workers, side by side on one event loop: its record, and what its master would hold."""
    begin_record(job, datetime.now(UTC))
    plays = [WorkerRun(job, worker, workers) for worker in range(workers)]
    for play in plays:
        play.prepare()
    for play in plays:
        play.start(0.05)
    snapshots = Snapshots()
    for play in plays:
        snapshots.accept(play.wait())
    ChunkWriter(job.folder).pump(0.0, 0.0, everything=True)
    return load_run(job.folder), snapshots


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The same job for each number of workers: its record with the words of each turn, and its snapshots."""
    made = {}
    for workers in WORKERS:
        with serving(lambda *_: streamed(chat_events(4), 0.01, 0.002)) as server:
            target = TargetSpec("openai", f"http://127.0.0.1:{server.port}/v1", model="m")
            job = make_job_in(tmp_path_factory.mktemp(f"w{workers}"))(target)
            run, snapshots = together(job, workers)
        said = {headers["traceparent"].split("-")[1]: words(body) for _, headers, body in server.requests}
        run.turns["said"] = run.turns["trace_id"].map(said)
        made[workers] = (run, snapshots)
    return made


def words(body):
    """A request's whole conversation so far."""
    return orjson.dumps(orjson.loads(body)["messages"]).decode()


@pytest.mark.parametrize("workers", WORKERS[1:])
def test_the_same_seed_gives_the_same_turns_for_every_number_of_workers(runs, workers):
    """Customers, sessions and the very words that are sent; the window's end may cut off later turns here or there."""
    alone, shared = (runs[number][0].turns.set_index(KEY[:3]).sort_index()[KEY[3:]] for number in (1, workers))
    assert alone["said"].notna().all()
    begun = [turns.reset_index().groupby("session_id").first() for turns in (alone, shared)]
    assert len(begun[0]) > 10
    assert begun[0].equals(begun[1])
    both = alone.index.intersection(shared.index)
    assert alone.loc[both].equals(shared.loc[both])


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("metric", ["ttft_s", "e2e_s", "ttft_from_send_s", "e2e_from_send_s", "tpot_s", "start_lag_s"])
def test_merged_quantiles_are_those_of_all_rows_within_a_bin(runs, workers, metric):
    """Adding the workers' histograms up loses nothing but the width of a bin."""
    run, snapshots = runs[workers]
    assert len(snapshots.latest) == workers
    values = np.sort(run.turns[metric].dropna().to_numpy())
    merged = snapshots.histograms()[metric]
    assert merged.n == len(values)
    for share in (0.5, 0.9, 0.99):
        exact = values[max(1, int(np.ceil(share * len(values)))) - 1]
        assert exact <= merged.quantile(share) <= exact * (1 + RELATIVE_WIDTH) + 1e-6, share


@pytest.mark.parametrize("workers", WORKERS)
def test_counters_of_all_workers_are_the_rows(runs, workers):
    """asked = completed + failed + abandoned + censored + dropped, and each has its row."""
    run, snapshots = runs[workers]
    counters = snapshots.counters()
    assert counters["asked"] == len(run.turns)
    assert counters["asked"] == sum(
        counters[name] for name in ("completed", "failed", "abandoned", "censored", "dropped")
    )
