"""The process: an inherited socket, a clean end, and never an orphan."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from emulator.__main__ import main
from host import processes
from tests.emulator.conftest import ROOT, Emulator, start, write_stack


def gone_within(pid: int, limit_s: float) -> bool:
    """Whether a process that is not our child ends in time."""
    deadline_s = time.monotonic() + limit_s
    while time.monotonic() < deadline_s:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def test_it_serves_on_an_inherited_socket(tmp_path):
    """The parent binds, so nobody else can take the port in between."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        fd, port = listening.fileno(), listening.getsockname()[1]
        command = [sys.executable, "-m", "emulator", "--stack", str(write_stack(tmp_path)), "--fd", str(fd)]
        child = processes.start("emulator", command, folder=ROOT, descriptors=[fd], stdout=True)
        with processes.running(child, within_s=300):
            assert child.ready()["ready"]
            assert Emulator(f"http://127.0.0.1:{port}", child.pid).get("/health")["ok"]
        assert child.end is not None
        assert child.end.exit_code == 0


def test_sigterm_lets_an_answer_end(tmp_path):
    """An answer under way is finished before the process exits with 0."""
    with processes.running(start(tmp_path)) as running:
        url = running.ready()["url"]
        connection = http.client.HTTPConnection(url.removeprefix("http://"))
        body = {"model": "custom-8b", "prompt": [1, 2], "max_tokens": 300, "ignore_eos": True, "stream": True}
        connection.request("POST", "/v1/completions", json.dumps(body))
        answer = connection.getresponse()
        running.send(signal.SIGTERM)
        assert answer.read().endswith(b"data: [DONE]\n\n")
        connection.close()
        end = running.wait(300.0)
        assert end is not None
        assert end.exit_code == 0


def test_it_ends_when_its_parent_is_gone(tmp_path):
    """Even a killed parent leaves nothing behind."""
    code = (
        "import subprocess, sys, time\n"
        "command = [sys.executable, '-m', 'emulator', '--port', '0']\n"
        "child = subprocess.Popen(command, stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT) as parent:
        child = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
        parent.wait(300)
    assert gone_within(child, 300.0)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "no JSON"),
        ('{"schema": "peakday.other/1"}', "schema is not peakday.stack/1"),
        ('{"schema": "peakday.stack/1", "quotas": {"nova-pro": {"tokens": 1}}}', "tokens"),
        ('{"schema": "peakday.stack/1", "profiles": "/no/such.yaml"}', "/no/such.yaml: no such file"),
        ('{"schema": "peakday.stack/1", "faults": [{"kind": "x", "length_s": 1}]}', "fault: kind is 'x'"),
    ],
)
def test_a_stack_file_of_no_use_is_one_clear_line(tmp_path, monkeypatch, capsys, content, words):
    """Exit code 2 and the reason, no traceback."""
    path = tmp_path / "stack.json"
    path.write_text(content)
    monkeypatch.setattr(sys, "argv", ["emulator", "--stack", str(path), "--port", "0"])
    assert main() == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert words in line


def test_a_port_in_use_is_exit_code_5(tmp_path):
    """The port is named, and the way out."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "emulator", "--port", str(port)]
        ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=900)
    assert (ended.returncode, len(ended.stderr.strip().splitlines())) == (5, 1)
    assert f"port {port}" in ended.stderr
