"""What the machine did while we measured: a long table of (t_s, source, name, value), sampled beside the bench.

cpu: /proc (Linux). neuron: neuron-monitor and sysfs power. cuda: nvidia-smi. A missing tool leaves no rows and a
reason; nothing here can fail a bench.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from neuron_bench.device.neuron_ls import TelemetryError
from neuron_bench.device.neuron_monitor import CONFIG, parse_record

PERIOD_S = 1.0
SYSFS = Path("/sys/devices/virtual/neuron_device")
_NVIDIA = ("utilization.gpu", "memory.used", "power.draw", "clocks.sm", "temperature.gpu")

Figure = tuple[str, str, float]
"""source, name, value"""


@dataclass(frozen=True)
class Reading:
    """One figure at one time: a row of telemetry.parquet."""

    t_s: float
    source: str
    name: str
    value: float


class Sampler:
    """Collects figures in threads between `start` and `stop`."""

    def __init__(self, device: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.device, self.clock = device, clock
        self.rows: list[Reading] = []
        self.missing: list[str] = []
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._tools: list[subprocess.Popen[str]] = []
        self._began = 0.0
        self._scratch: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Sampler:
        self._began = self.clock()
        self._poll(proc_figures())
        if self.device == "neuron":
            self._poll(power_figures(SYSFS))
            self._scratch = tempfile.TemporaryDirectory(prefix="peakday-telemetry-")
            self._follow(_monitor_command(Path(self._scratch.name)), monitor_figures)
        if self.device == "cuda":
            self._follow(_nvidia_command(), nvidia_figures)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for tool in self._tools:
            tool.terminate()
        for thread in self._threads:
            thread.join(timeout=5)
        for tool in self._tools:
            tool.wait(timeout=5)
        if self._scratch is not None:
            self._scratch.cleanup()

    def _keep(self, figures: Iterator[Figure] | list[Figure]) -> None:
        now = self.clock() - self._began
        self.rows += [Reading(now, source, name, value) for source, name, value in figures]

    def _poll(self, source: Callable[[], list[Figure]]) -> None:
        def work() -> None:
            while not self._stop.wait(PERIOD_S):
                self._keep(source())

        self._run(work)

    def _follow(self, command: list[str] | None, understand: Callable[[str], list[Figure]]) -> None:
        """Read a tool's lines until it ends."""
        if command is None or shutil.which(command[0]) is None:
            self.missing.append(f"no telemetry tool for {self.device} on the path")
            return
        tool = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self._tools.append(tool)

        def work() -> None:
            assert tool.stdout is not None
            for line in tool.stdout:
                self._keep(understand(line))

        self._run(work)

    def _run(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        self._threads.append(thread)


def proc_figures(stat: Path = Path("/proc/stat")) -> Callable[[], list[Figure]]:
    """A poller of the whole machine's busy share since the call before, and its load."""
    last: list[int] = []

    def poll() -> list[Figure]:
        figures: list[Figure] = [("host", "load1", os.getloadavg()[0])] if hasattr(os, "getloadavg") else []
        try:
            now = [int(field) for field in stat.read_text().splitlines()[0].split()[1:9]]
        except (OSError, ValueError, IndexError):
            return figures
        if last:
            spent = [after - before for after, before in zip(now, last, strict=True)]
            idle, whole = spent[3] + spent[4], sum(spent)
            if whole > 0:
                figures.append(("host", "busy_ratio", 1 - idle / whole))
        last[:] = now
        return figures

    return poll


def power_figures(root: Path) -> Callable[[], list[Figure]]:
    """A poller of each chip's mean power as a share of its maximum, from sysfs.

    Source: the Neuron Sysfs user guide; one line `status,epoch_s,min,max,avg` in percent, new every minute. Driver 2.31
    moved nodes: both places are tried.
    """

    def poll() -> list[Figure]:
        return [figure for path in sorted(root.glob("neuron[0-9]*")) for figure in _power(path)]

    return poll


def _power(device: Path) -> Iterator[Figure]:
    for place in ("stats/power/utilization", "power/utilization"):
        try:
            status, _, _, _, mean = (device / place).read_text().strip().split(",")
            if status == "POWER_STATUS_VALID":
                yield "neuron-sysfs", f"power_ratio.{device.name.removeprefix('neuron')}", float(mean) / 100
                return
        except (OSError, ValueError):
            continue


def _monitor_command(folder: Path) -> list[str]:
    config = folder / "neuron-monitor.json"
    config.write_text(json.dumps(CONFIG))
    return [shutil.which("neuron-monitor") or "/opt/aws/neuron/bin/neuron-monitor", "-c", str(config)]


def monitor_figures(line: str) -> list[Figure]:
    """One record of neuron-monitor; half a line gives none."""
    try:
        return [("neuron-monitor", name, value) for name, value in parse_record(line).figures()]
    except TelemetryError:
        return []


def _nvidia_command() -> list[str]:
    fields = ",".join(_NVIDIA)
    return ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader,nounits", "-lms", str(int(PERIOD_S * 1e3))]


def nvidia_figures(line: str) -> list[Figure]:
    """One GPU's line; `[N/A]` fields are left out."""
    figures: list[Figure] = []
    for name, cell in zip(_NVIDIA, line.split(","), strict=False):
        try:
            figures.append(("nvidia-smi", name, float(cell)))
        except ValueError:
            continue
    return figures
