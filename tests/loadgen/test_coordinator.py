"""The master's bookkeeping: whose number is whose, until every arrival has exactly one worker."""

from __future__ import annotations

from array import array
from types import SimpleNamespace

import pytest

from loadgen.coordinator.coordinator import Coordinator
from loadgen.coordinator.status_line import line
from loadgen.job import TargetSpec
from loadgen.worker.recorder import Recorder
from loadgen.worker.sample_buffer import RemoteSampleBuffer


class FakeRunner:
    """Locust's master runner: its clients, and what is sent to whom."""

    def __init__(self):
        self.clients = {}
        self.sent = []

    def send_message(self, kind, data=None, client_id=None):
        self.sent.append((kind, client_id, data))

    def to(self, kind):
        return [client_id for one, client_id, _ in self.sent if one == kind]


@pytest.fixture
def master(make_job):
    """A coordinator that waits for two workers from elsewhere, and the ways to speak to it."""
    return Master(make_job(TargetSpec("assistant", "http://127.0.0.1:1"), processes=0, remote_workers=2, bind_port=1))


class Master:
    def __init__(self, job):
        job.folder.mkdir()
        self.runner = FakeRunner()
        self.coordinator = Coordinator(job, self.runner, None)
        self.version = job.peakday_version

    def hello(self, node_id, version=None):
        self.runner.clients.setdefault(node_id, SimpleNamespace(state="ready"))
        self.coordinator._on_hello(None, SimpleNamespace(node_id=node_id, data={"version": version or self.version}))
        return self.number(node_id)

    def number(self, node_id):
        """What this worker was told it is; None before."""
        told = [
            data["worker"]
            for kind, client_id, data in self.runner.sent
            if (kind, client_id) == ("peakday_job", node_id)
        ]
        return told[-1] if told else None

    def ready(self, node_id, number=None):
        number = self.number(node_id) if number is None else number
        data = {"worker": number, "pid": 1}
        self.coordinator._on_ready(None, SimpleNamespace(node_id=node_id, data=data))


def test_a_worker_that_was_restarted_takes_the_number_of_the_one_that_left(master):
    """Numbers 0 and 1 stay 0 and 1: no arrival is left out, and none is asked twice."""
    assert [master.hello("a"), master.hello("b")] == [0, 1]
    del master.runner.clients["a"]
    assert master.hello("c") == 0
    master.ready("b")
    master.ready("c")
    assert sorted(master.runner.to("peakday_go")) == ["b", "c"]


def test_a_worker_that_left_after_it_was_ready_does_not_count(master):
    """The run waits for who takes its place."""
    master.hello("a")
    master.hello("b")
    master.ready("a")
    master.runner.clients["a"].state = "missing"
    assert master.hello("c") == 0
    master.ready("b")
    assert master.runner.to("peakday_go") == []
    master.ready("c")
    assert sorted(master.runner.to("peakday_go")) == ["b", "c"]


def test_a_worker_too_many_waits_for_a_number(master):
    """It gets one when somebody leaves, and none while everybody stays."""
    assert [master.hello("a"), master.hello("b"), master.hello("c")] == [0, 1, None]
    del master.runner.clients["b"]
    master.coordinator._hand_out()
    assert master.number("c") == 1


def test_a_worker_that_comes_back_after_its_number_went_to_another_does_not_play(master):
    """Two workers of one number would ask the same arrivals twice."""
    master.hello("a")
    master.hello("b")
    master.runner.clients["a"].state = "missing"
    assert master.hello("c") == 0
    master.runner.clients["a"].state = "running"
    master.ready("a", number=0)
    master.ready("b")
    assert master.runner.to("peakday_go") == []
    master.ready("c")
    assert sorted(master.runner.to("peakday_go")) == ["b", "c"]


@pytest.mark.parametrize("said", [{"version": "0.0.1"}, None], ids=["other", "from before versions were said"])
def test_a_worker_of_another_version_gets_nothing_and_refuses_the_run(master, said):
    """The run's files and words are of one version: a bundle that cannot be read is never sent."""
    master.runner.clients["a"] = SimpleNamespace(state="ready")
    master.coordinator._on_hello(None, SimpleNamespace(node_id="a", data=said))
    assert master.runner.to("peakday_job") == []
    assert "workers run different versions of peakday" in master.coordinator._live()["refused"]


@pytest.fixture
def running(master, monkeypatch):
    """A run under way whose workers a and b are both there; a look at it is one turn of the master's watch."""
    for node_id in ("a", "b"):
        master.hello(node_id)
    for node_id in ("a", "b"):
        master.ready(node_id)
    looks = []

    def sleep(_):
        if looks:
            raise StopIteration
        looks.append(1)

    monkeypatch.setattr("loadgen.coordinator.coordinator.gevent.sleep", sleep)

    def look():
        looks.clear()
        with pytest.raises(StopIteration):
            master.coordinator._watch()

    master.look = look
    return master


def test_a_run_that_lost_a_worker_ends_early_and_says_so(running):
    """It can only be INVALID: the others stop, once, and what a reader of the run sees names the worker."""
    running.look()
    assert running.runner.to("peakday_stop") == []
    running.runner.clients["b"].state = "missing"
    running.look()
    running.look()
    assert running.runner.to("peakday_stop") == [None]
    for worker, asked_s in ((0, 2.5), (1, 60.0)):  # one stopped then; of the other it is what it planned
        running.coordinator._snapshots.accept(
            Recorder(worker, RemoteSampleBuffer(), array("q")).snapshot() | {"asked_s": asked_s}
        )
    live = running.coordinator._live()
    assert live["asked_s"] == 2.5
    assert live["lost"] == ["worker 1 was lost"]
    assert "ended early, 0 s after its start: worker 1 was lost" in live["notes"]
    assert line(live | {"elapsed_s": 3.0}, 10.0).endswith("worker 1 was lost: INVALID")


def test_workers_are_told_the_verdict_before_they_are_let_go(running):
    """So that their command exits as the master's does."""
    running.runner.clients["b"].state = "missing"
    running.look()
    running.runner.quit = lambda: running.runner.sent.append(("quit", None, None))
    running.runner.environment = SimpleNamespace(web_ui=None)
    running.coordinator._finish()
    kinds = [kind for kind, *_ in running.runner.sent]
    (verdict,) = {(data["valid"], data["reason"]) for kind, _, data in running.runner.sent if kind == "peakday_verdict"}
    assert verdict == (False, "worker 1 was lost; run again")
    assert kinds.index("peakday_verdict") < kinds.index("quit")
