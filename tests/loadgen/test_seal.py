"""The master's port: strangers are dropped unread and counted; what was changed or heard before is a stranger's."""

from __future__ import annotations

import hashlib
import hmac
import subprocess
import sys

import msgpack
import pytest
import zmq
from hypothesis import given, settings
from hypothesis import strategies as st

from host.ports import free_port
from loadgen.job import LoadError, TargetSpec
from loadgen.record import load_run
from loadgen.remote_workers import run_worker
from loadgen.run import run_load
from loadgen.seal import TO_MASTER, TO_WORKER, VARIABLE, Seal, shared_secret
from loadgen.targets.mapping import expand_headers
from tests.loadgen.server import assistant, assistant_events, serving, streamed

SECRET = "a secret of the tests"


def test_what_was_sealed_opens_once():
    """The same bytes again are a stranger's: nobody plays a report back."""
    ours, theirs = Seal(SECRET), Seal(SECRET)
    message = ours.closed(TO_MASTER, "a", b"report")
    assert theirs.opened(TO_MASTER, "a", message) == b"report"
    assert theirs.opened(TO_MASTER, "a", message) is None
    assert theirs.strangers == 1


@pytest.mark.parametrize(
    ("way", "worker", "secret"), [(TO_WORKER, "a", SECRET), (TO_MASTER, "b", SECRET), (TO_MASTER, "a", SECRET[1:])]
)
def test_a_message_opens_for_its_way_worker_and_secret_alone(way, worker, secret):
    """A worker's report comes back as nobody's order, and as no other worker's report."""
    assert Seal(secret).opened(way, worker, Seal(SECRET).closed(TO_MASTER, "a", b"report")) is None


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=80), st.data())
def test_no_changed_or_invented_message_opens(invented, data):
    """Any byte of a true message flipped, cut off, or all of it made up."""
    message = Seal(SECRET).closed(TO_MASTER, "a", b"report")
    at = data.draw(st.integers(0, len(message) - 1))
    flipped = message[:at] + bytes([message[at] ^ 1]) + message[at + 1 :]
    for bad in (invented, flipped, message[:at]):
        assert Seal(SECRET).opened(TO_MASTER, "a", bad) is None


def test_a_secret_may_be_a_mounted_file(monkeypatch, tmp_path):
    """$PEAKDAY_SECRETS names the folder; a variable that is set wins; a header's ${NAME} is read the same way."""
    (tmp_path / VARIABLE).write_text("a secret from a file of sixteen\n")
    (tmp_path / "SHOP_KEY").write_text("k-1")
    monkeypatch.setenv("PEAKDAY_SECRETS", str(tmp_path))
    monkeypatch.delenv(VARIABLE, raising=False)
    assert shared_secret() == "a secret from a file of sixteen"
    assert expand_headers({"X-Key": "${SHOP_KEY}"}) == {"X-Key": "k-1"}
    monkeypatch.setenv(VARIABLE, "a secret of the environment")
    assert shared_secret() == "a secret of the environment"
    with pytest.raises(LoadError, match="OTHER_KEY is not set"):
        expand_headers({"X-Key": "${OTHER_KEY}"})


@pytest.mark.parametrize("value", ["", "short"])
def test_workers_of_other_machines_need_a_secret(monkeypatch, value):
    """One line says how to make one; nothing has been started."""
    monkeypatch.setenv(VARIABLE, value)
    with pytest.raises(LoadError, match="openssl rand -hex 32"):
        shared_secret()
    with pytest.raises(LoadError, match=VARIABLE):
        run_worker("127.0.0.1", 1)


def strangers_messages() -> list[bytes]:
    """What a stranger may send that knows everything but the secret."""
    snapshot = {"worker": 0, "seq": 9, "counters": {"asked": 500, "completed": 500}, "histograms": {}}
    known = [
        ("client_ready", "2.43.0", "evil"), ("peakday_hello", {"version": "0.1.0"}, "evil"),
        ("peakday_ready", {"worker": 0}, "evil"), ("peakday_final", snapshot, "evil"),
        ("stats", {"peakday": snapshot | {"worker": "9-9"}}, "evil"), ("quit", None, "evil"),
        ("locustfile", {"version": "2.43.0"}, "evil"),
    ]  # fmt: skip
    plain = [msgpack.dumps(message) for message in known]
    tag = hmac.digest(hashlib.sha256(b"").digest(), plain[0], "sha256")
    return [b"\xc1", b"", *plain, *(tag + bytes(8) + one for one in plain)]


def test_a_stranger_on_the_masters_port_changes_nothing_and_learns_nothing(make_job, secret):
    """Forged turns, another worker's place, garbage: the run is whole and its own, and its record counts them."""
    port = free_port()
    code = f"from loadgen.remote_workers import run_worker; raise SystemExit(run_worker('127.0.0.1', {port}))"
    stranger = zmq.Context.instance().socket(zmq.DEALER)
    stranger.setsockopt(zmq.IDENTITY, b"evil")
    stranger.setsockopt(zmq.LINGER, 0)
    stranger.connect(f"tcp://127.0.0.1:{port}")
    for message in strangers_messages():
        stranger.send(message)
    elsewhere = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL)
    try:
        with serving(assistant(lambda: streamed(assistant_events()))) as server:
            target = TargetSpec("assistant", server.url)
            outcome = run_load(make_job(target, processes=0, remote_workers=1, bind_port=port))
        assert elsewhere.wait(300) in (0, 3)
        assert not stranger.poll(0)
    finally:
        stranger.close()
        elsewhere.kill()
        elsewhere.wait()
    record = load_run(outcome.run_dir)
    assert outcome.info.totals.asked == len(record.turns) == outcome.info.totals.completed
    assert any("16 message(s) without this run's secret" in warning for warning in record.info.warnings)
    assert secret not in "".join(path.read_text(errors="replace") for path in outcome.run_dir.rglob("*.json"))
