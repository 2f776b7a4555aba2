"""Two machines: master and target in one network namespace, the worker in another, and a bad line between them."""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from loadgen.record import Run, load_run
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
            for number, part in enumerate((EVENT,) * 5 + (LAST,)):
                await asyncio.sleep(0.01 if number else 0.4)  # start lag may be 5% of this
                writer.write(f"{len(part):x}\\r\\n{part}\\r\\n".encode())
            writer.write(b"0\\r\\n\\r\\n")
    except (ConnectionError, asyncio.IncompleteReadError, IndexError):
        writer.close()
async def main():
    server = await asyncio.start_server(connection, sys.argv[1], 8000)
    await server.serve_forever()
asyncio.run(main())
"""


def rehearse(
    folder: Path,
    *,
    for_s: float = 5.0,
    workers: int = 1,
    disturb: Callable[[Network], None] | None = None,
    **line: float,
):
    """A run over a line that is disturbed while turns are sent: exit codes of master and workers, and the record."""
    with network("master", "worker") as net:
        master, worker = net.names
        target = f"http://{net.address(master)}:8000"
        (folder / "peakday.yaml").write_text(f"owned_targets: ['{target}']\nunpaid_targets: ['{target}']\n")
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
                "--rate", "5/s", "--for", f"{for_s:g}s", "--master", "--workers", str(workers), "--seed",
                "1", "--insecure-network",
            ),
            *(
                start(worker, "-m", "peakday", "run", "--worker", "--master-host", net.address(master))
                for _ in range(workers)
            ),
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


def cut(seconds: float) -> Callable[[Network], None]:
    """No packet for so long."""

    def disturb(net: Network) -> None:
        net.cut = True
        time.sleep(seconds)
        net.cut = False

    return disturb


def noted(case: str, codes: list[int], run: Run, **more: object) -> None:
    """A row of the table of docs/scale-out.md, printed by `pytest -s`."""
    verdict = "VALID" if run.info.valid else f"INVALID: {run.info.reasons[0]}"
    counts = f"{run.info.totals.asked} offered, {len(run.turns)} rows" if run.info.totals else "no totals"
    print(f"| {case} | {verdict} | {codes} | {counts} | {more or ''} |")


def test_a_slow_and_lossy_line_changes_no_count_and_is_no_reason_to_void(tmp_path):
    """20 ms each way, 1% loss: every turn is in the record, and the clocks' offset lies in its half-width."""
    codes, run, output = rehearse(tmp_path, delay_s=0.02, loss_ratio=0.01)
    totals = run.info.totals
    (clock,) = run.info.clock.values()
    noted("20 ms each way, 1% loss", codes, run, offset_ms=1e3 * clock.clock_offset_s)
    assert codes[1] in (0, 3), output
    assert totals.asked == len(run.turns) == totals.completed > 15
    assert abs(clock.clock_offset_s) <= clock.clock_half_width_s + 0.001, clock  # one clock: the machine is the same
    assert not any("worker" in reason and "lost" in reason for reason in run.info.reasons), run.info.reasons


def test_a_cut_of_two_seconds_loses_nothing(tmp_path):
    """Rows wait in the worker until the line is back: every offered turn has one, and no worker counts as lost."""
    codes, run, output = rehearse(tmp_path, for_s=10.0, delay_s=0.005, disturb=cut(2.0))
    noted("cut of 2 s", codes, run)
    assert codes[0] in (0, 3), output
    assert run.info.totals.asked == len(run.turns)
    assert not any("lost" in reason or "no row" in reason for reason in run.info.reasons), run.info.reasons


def test_a_partition_of_five_seconds_voids_the_run_and_names_the_worker(tmp_path):
    """Both sides end by themselves: the master early, since the run can only be INVALID, the worker with its reason."""
    began_s = time.monotonic()
    codes, run, output = rehearse(tmp_path, for_s=60.0, delay_s=0.005, disturb=cut(5.0))
    noted("partition of 5 s", codes, run, of_60_s=round(time.monotonic() - began_s))
    assert codes[0] == 3, output
    assert codes[1] in (3, 5), output  # the verdict may reach it before it has ended by itself
    assert any("worker 0 was lost" in reason for reason in run.info.verdict.reasons), run.info.verdict
    assert "the run can only be INVALID" in output[0]
    assert "the master has been silent" in output[1]
    assert time.monotonic() - began_s < 55.0
    assert json.loads((run.path / "run.json").read_text())["state"] == "finished"


def test_a_worker_whose_master_is_lost_stops_sending_within_five_seconds_and_fails(tmp_path):
    """Locust alone would go on for a minute."""
    killed_at = []

    def kill_master(net: Network) -> None:
        killed_at.append(time.time())
        for process in commands_in(tmp_path, "--master"):
            for child in process.children(recursive=True):
                child.kill()
            process.kill()

    codes, run, output = rehearse(tmp_path, for_s=40.0, disturb=kill_master)
    received = [float(at_s) for at_s in re.findall(r"^\d+\.\d+$", (tmp_path / "received").read_text(), re.MULTILINE)]
    noted("master killed", codes, run, last_request_s=round(max(received) - killed_at[0], 1))
    assert codes[1] == 5, output
    assert "the master has been silent" in output[1]
    assert max(received) < killed_at[0] + 5.0


def test_a_frozen_worker_ends_the_run_early_and_the_other_worker_fails_too(tmp_path):
    """One of two stops breathing: it is said while the run goes on, and every command of the run exits 3."""
    frozen: list[psutil.Process] = []

    def freeze(net: Network) -> None:
        (first, *_) = (child for process in commands_in(tmp_path, "--worker") for child in process.children())
        first.suspend()
        frozen.append(first)
        time.sleep(12.0)
        first.resume()

    began_s = time.monotonic()
    codes, run, output = rehearse(tmp_path, for_s=60.0, workers=2, disturb=freeze)
    noted("one worker of two frozen for 12 s", codes, run, of_60_s=round(time.monotonic() - began_s))
    assert codes[0] == 3, output
    assert sorted(codes[1:])[0] == 3, output
    assert "was lost: the run can only be INVALID" in output[0]
    assert any("the run is INVALID: worker" in text for text in output[1:])
    assert time.monotonic() - began_s < 55.0


def test_a_worker_that_waits_says_for_what(tmp_path):
    """No master is there, and the line says so every ten seconds."""
    environment = {**os.environ, VARIABLE: secrets.token_hex(32)}
    command = [sys.executable, "-m", "peakday", "run", "--worker", "--master-host", "127.0.0.1", "--master-port", "1"]
    worker = subprocess.Popen(command, cwd=tmp_path, env=environment, text=True, stderr=subprocess.PIPE)
    try:
        lines = [worker.stderr.readline() for _ in range(2)]
    finally:
        worker.terminate()
        worker.communicate(timeout=20)
    assert [line.startswith("load worker: waiting for its master at 127.0.0.1:1 (") for line in lines] == [True] * 2


def commands_in(folder: Path, word: str) -> list[psutil.Process]:
    """The commands of a run that were started in a folder, by what they are."""
    ours = [process for process in psutil.process_iter() if in_folder(process, folder)]
    return [process for process in ours if "peakday" in process.cmdline() and word in process.cmdline()]


def in_folder(process: psutil.Process, folder: Path) -> bool:
    """Whether a process works in a folder."""
    try:
        return process.cwd() == str(folder)
    except (psutil.Error, OSError):
        return False
