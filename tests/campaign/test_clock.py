"""The wall clock jumps while a run goes on, as an NTP step or a resumed laptop makes it: no duration moves."""

import os
import shutil
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

from host.errors import Exit
from loadgen.record import load_run
from tests.campaign.faults import named

STEPS_S = (3_600, -7_200, 0)
"""Off the right time: an hour ahead, two hours behind, right again; three seconds each."""
LENGTH_S = 20.0
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler to make the clock with"),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="preloads a library as Linux does"),
]


def set_clock(file: Path, step_s: int) -> None:
    """In place: every process of the run has the file mapped."""
    with file.open("r+b") as clock:
        clock.write(struct.pack("=q", step_s))


@pytest.fixture
def stepped(tmp_path):
    """A run during whose load the clock was set three times: (exit code, output, record)."""
    library, clock, marker = tmp_path / "clock.so", tmp_path / "clock", f"clock-{os.getpid()}"
    source = Path(__file__).with_name("clock_step.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"], check=True)
    clock.write_bytes(struct.pack("=q", 0))
    environment = {**os.environ, "LD_PRELOAD": str(library), "PEAKDAY_CLOCK": str(clock), "PEAKDAY_TEST_MARKER": marker}
    command = [sys.executable, "-m", "peakday", "run", "smoke", "--rate", "3/s", "--for", f"{LENGTH_S:g}s"]
    log = tmp_path / "log"
    with log.open("w") as output:
        run = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=output, stderr=output)
        while run.poll() is None and not (named(marker, "worker") and list(tmp_path.glob("runs/*/live.json"))):
            time.sleep(0.1)
        time.sleep(5.0)
        for step_s in STEPS_S:
            set_clock(clock, step_s)
            time.sleep(3.0)
        code = run.wait(240)
    return code, log.read_text(), load_run(next(tmp_path.glob("runs/*")))


def test_a_clock_that_is_set_moves_no_duration_and_loses_nobody(stepped):
    """Every planned turn has a row, no duration is negative or as long as a step, and no worker is lost."""
    code, output, run = stepped
    assert code in (Exit.OK, Exit.INVALID_RUN), output  # INVALID where the machine is too busy for the start lags
    assert "lost" not in output
    assert "Traceback" not in output
    durations = run.turns[["start_lag_s", "ttfb_s", "ttft_s", "e2e_s", "gap_s_max", "tpot_s"]]
    assert durations.min().min() >= 0
    assert durations.max().max() < min(map(abs, filter(None, STEPS_S)))
    assert run.turns["intended_start_s"].between(0, LENGTH_S).mean() == 1
    assert len(run.turns) > 2 * LENGTH_S
