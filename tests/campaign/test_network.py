"""Two machines: master and target in one network namespace, the worker in another, and a bad line between them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from loadgen.record import load_run
from tests.campaign.network import network

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0 or not Path("/dev/net/tun").exists(), reason="needs root and /dev/net/tun"),
]

TARGET = """
import asyncio, sys
EVENT = 'data: {"choices":[{"index":0,"delta":{"content":"a "}}]}\\n\\n'
LAST = 'data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":5}}\\n\\ndata: [DONE]\\n\\n'
async def connection(reader, writer):
    try:
        while True:
            head = (await reader.readuntil(b"\\r\\n\\r\\n")).decode().lower()
            await reader.readexactly(int(head.split("content-length: ")[1].split("\\r\\n")[0]))
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


def rehearse(folder: Path, *, for_s: float = 5.0, cut_at_s: float | None = None, cut_for_s: float = 0.0, **line: float):
    """A run of one worker over a line; exit codes of master and worker, and the record (None: none was written)."""
    with network("master", "worker") as net:
        master, worker = net.names
        target = f"http://{net.address(master)}:8000"
        (folder / "peakday.yaml").write_text(f"owned_targets: ['{target}']\n")
        environment = {**os.environ, "COLUMNS": "120"}

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
            ),
            start(worker, "-m", "peakday", "run", "--worker", "--master-host", net.address(master)),
        ]  # fmt: skip
        for name, value in line.items():
            setattr(net, name, value)
        if cut_at_s is not None:
            threading.Thread(target=cut, args=(net, folder, cut_at_s, cut_for_s), daemon=True).start()
        try:
            output = [process.communicate(timeout=120)[0] for process in commands]
        finally:
            for process in (*commands, server):
                process.kill()
                process.communicate()
    runs = list((folder / "runs").glob("*/run.json")) if (folder / "runs").is_dir() else []
    assert runs, output
    return [process.returncode for process in commands], load_run(runs[0].parent), output


def cut(net, folder: Path, at_s: float, for_s: float) -> None:
    """Cut the line so long after t0, and join it again."""
    while not any("running" in file.read_text() for file in (folder / "runs").glob("*/live.json")):
        time.sleep(0.05)
    time.sleep(at_s)
    net.cut = True
    time.sleep(for_s)
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
    codes, run, output = rehearse(tmp_path, for_s=14.0, delay_s=0.005, cut_at_s=2.0, cut_for_s=10.0)
    assert codes[0] == 3, output
    assert not run.info.verdict.valid
    assert any("worker" in reason for reason in run.info.verdict.reasons), run.info.verdict
    assert json.loads((run.path / "run.json").read_text())["state"] == "finished"
