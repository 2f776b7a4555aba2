"""A worker whose connection breaks joins again, and what the broken line swallowed is in the record, once."""

from __future__ import annotations

import contextlib
import socket
import struct
import subprocess
import sys
import threading
import time

import pytest

from host.ports import free_port
from loadgen.job import TargetSpec
from loadgen.record import load_run
from loadgen.run import run_load
from tests.loadgen.server import assistant, assistant_events, serving, streamed


class Line:
    """A line to a port that can swallow what passes, and break."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._swallows = False
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            with contextlib.suppress(ConnectionError):
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._to))
                self._open += [near, far]
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=pair, daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                if not self._swallows:
                    sink.sendall(data)

    def swallow_and_break(self, swallow_s: float) -> None:
        """Whatever is sent for so long is lost; then both ends see a reset."""
        self._swallows = True
        time.sleep(swallow_s)
        for end in self._open:
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.shutdown(socket.SHUT_RDWR)
                end.close()
        self._open, self._swallows = [], False


@pytest.mark.slow
@pytest.mark.usefixtures("secret")
def test_a_worker_that_joins_again_loses_no_row(make_job):
    """Two reports with their rows are swallowed and the connection is reset, 3 s into 9: every turn is there, once."""
    port = free_port()
    line = Line(port)
    code = f"from loadgen.remote_workers import run_worker; raise SystemExit(run_worker('127.0.0.1', {line.port}))"
    elsewhere = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL)
    try:
        with serving(assistant(lambda: streamed(assistant_events()))) as server:
            job = make_job(
                TargetSpec("assistant", server.url), processes=0, remote_workers=1, bind_port=port, for_s=9.0
            )
            threading.Thread(target=_break_after_turns, args=(server, line), daemon=True).start()
            outcome = run_load(job)
        elsewhere.wait(300)
    finally:
        elsewhere.kill()
        elsewhere.wait()
    turns = load_run(job.folder).turns
    assert outcome.info.verdict is not None
    assert not [reason for reason in outcome.info.verdict.reasons if "lost" in reason or "no row" in reason]
    assert outcome.info.totals.asked == len(turns) > 100
    assert not turns.duplicated(["session_id", "interaction_id", "turn_index"]).any()


def _break_after_turns(server, line: Line) -> None:
    while len(server.requests) < 60:
        time.sleep(0.05)
    line.swallow_and_break(1.8)
