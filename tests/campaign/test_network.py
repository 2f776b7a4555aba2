"""Two machines: master and target in one network namespace, the worker in another, and a bad line between them."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from loadgen.record import load_run
from loadgen.seal import VARIABLE
from tests.campaign.network import Network, network

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0 or not Path("/dev/net/tun").exists(), reason="needs root and /dev/net/tun"),
]

TARGET = """
import asyncio, sys, time
EVENT = 'data: {"choices":[{"index":0,"delta":{"content":"a "}}]}\\n\\n'
LAST = 'data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":5}}\\n\\ndata: [DONE]\\n\\n'
async def connection(reader, writer):
    try:
        while True:
            head = (await reader.readuntil(b"\\r\\n\\r\\n")).decode().lower()
            await reader.readexactly(int(head.split("content-length: ")[1].split("\\r\\n")[0]))
            print(time.time(), flush=True)
            writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Type: text/event-stream\\r\\n")
            writer.write(b"Transfer-Encoding: chunked\\r\\n\\r\\n")
            for part in (EVENT,) * 5 + (LAST,):
                await asyncio.sleep(0.01)
                writer.write(f"{len(part):x}\\r\\n{part}\\r\\n".encode())
            writer.write(b"0\\r\\n\\r\\n")
    except (ConnectionError, asyncio.IncompleteReadError, IndexError):
        writer.close()
async def main():
    server = await asyncio.start_server(connection, sys.argv[1], 8000)
    await server.serve_forever()
asyncio.run(main())
"""


def rehearse(folder: Path, *, for_s: float = 5.0, disturb: Callable[[Network], None] | None = None, **line: float):
    """A run of one worker over a line, disturbed while turns are sent: exit codes of both, and the record."""
    with network("master", "worker") as net:
        master, worker = net.names
        target = f"http://{net.address(master)}:8000"
        (folder / "peakday.yaml").write_text(f"owned_targets: ['{target}']\n")
        environment = {**os.environ, "COLUMNS": "120", VARIABLE: secrets.token_hex(32)}

        def start(where: str, *command: str) -> subprocess.Popen[str]:
            return subprocess.Popen(
                net.command(where, sys.executable, *command), cwd=folder, env=environment, text=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip

        server = start(master, "-c", TARGET, net.address(master))
        commands = [
            start(
                master, "-m", "peakday", "run", "smoke", "--target", f"openai={target}/v1", "--model", "m",
                "--rate", "5/s", "--for", f"{for_s:g}s", "--master", "--workers", "1", "--seed", "1",
                "--insecure-network",
            ),
            start(worker, "-m", "peakday", "run", "--worker", "--master-host", net.address(master)),
        ]  # fmt: skip
        for name, value in line.items():
            setattr(net, name, value)
        if disturb is not None:
            threading.Thread(target=when_running, args=(folder, lambda: disturb(net)), daemon=True).start()
        try:
            output = [process.communicate(timeout=120)[0] for process in commands]
        finally:
            for process in commands:
                process.kill()
                process.communicate()
            server.kill()
            (folder / "received").write_text(server.communicate()[0])
    runs = list((folder / "runs").glob("*/run.json")) if (folder / "runs").is_dir() else []
    assert runs, output
    return [process.returncode for process in commands], load_run(runs[0].parent), output


def when_running(folder: Path, disturb: Callable[[], None]) -> None:
    """Bring the disturbance two seconds after t0."""
    while not any('"running"' in file.read_text() for file in (folder / "runs").glob("*/live.json")):
        time.sleep(0.05)
    time.sleep(2.0)
    disturb()


def cut(net: Network) -> None:
    """No packet for ten seconds."""
    net.cut = True
    time.sleep(10.0)
    net.cut = False


def test_a_slow_and_lossy_line_changes_no_count_and_is_no_reason_to_void(tmp_path):
    """20 ms each way, 1% loss: every turn is in the record, and the clocks' offset lies in its half-width."""
    codes, run, output = rehearse(tmp_path, delay_s=0.02, loss_ratio=0.01)
    assert codes[1] == 0, output
    totals = run.info.totals
    assert totals.asked == len(run.turns) == totals.completed > 15
    (clock,) = run.info.clock.values()
    assert abs(clock.clock_offset_s) <= clock.clock_half_width_s + 0.001, clock  # one clock: the machine is the same


def test_a_partition_of_ten_seconds_voids_the_run_and_names_the_worker(tmp_path):
    codes, run, output = rehearse(tmp_path, for_s=14.0, delay_s=0.005, disturb=cut)
    assert codes[0] == 3, output
    assert not run.info.verdict.valid
    assert any("worker" in reason for reason in run.info.verdict.reasons), run.info.verdict
    assert json.loads((run.path / "run.json").read_text())["state"] == "finished"


def test_a_worker_whose_master_is_lost_stops_sending_within_seven_seconds_and_fails(tmp_path):
    """Five seconds without a heartbeat, and what was under way; Locust alone would go on for a minute."""
    killed_at = []

    def kill_master(net: Network) -> None:
        ours = [process for process in psutil.process_iter() if in_folder(process, tmp_path)]
        for process in ours:
            if "peakday" in process.cmdline() and "--master" in process.cmdline():
                for child in process.children(recursive=True):
                    child.kill()
                process.kill()
        killed_at.append(time.time())

    codes, _, output = rehearse(tmp_path, for_s=40.0, disturb=kill_master)
    assert codes[1] == 5, output
    assert "the master has been silent" in output[1]
    received = [float(line) for line in (tmp_path / "received").read_text().split()]
    assert max(received) < killed_at[0] + 7.0


def in_folder(process: psutil.Process, folder: Path) -> bool:
    """Whether a process works in a folder."""
    try:
        return process.cwd() == str(folder)
    except (psutil.Error, OSError):
        return False
