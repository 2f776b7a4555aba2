"""Energy that this machine's processors and accelerators have used, from counters that only grow.

RAPL: Linux powercap, `intel-rapl:N/energy_uj` of each package, microjoules, which wrap at `max_energy_range_uj` (Linux
kernel, Documentation/power/powercap/powercap.rst); AMD's packages are under the same names. NVML:
`nvmlDeviceGetTotalEnergyConsumption`, millijoules since the driver was loaded, Volta and newer (NVML API reference).
Neuron: neuron-monitor and sysfs give power as a share of a maximum that is not published, so no joules. Written to
these documents; neither a RAPL package nor a GPU has been read here.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

POWERCAP = Path("/sys/class/powercap")
RAPL, NVML = "RAPL", "NVML"


class NvmlLibrary(Protocol):
    """The four calls of libnvidia-ml that are used; each returns 0 when it went well."""

    nvmlInit_v2: Callable[[], int]
    nvmlDeviceGetCount_v2: Callable[[object], int]
    nvmlDeviceGetHandleByIndex_v2: Callable[[int, object], int]
    nvmlDeviceGetTotalEnergyConsumption: Callable[[object, object], int]


@dataclass(frozen=True)
class Counter:
    """One device's counter. read_j: joules so far; wraps_j: where it starts again from 0, None if it never does."""

    source: str
    name: str
    read_j: Callable[[], float]
    wraps_j: float | None = None


class EnergyMeter:
    """Joules by source since the meter was made. A counter that stops answering is left out from then on."""

    def __init__(self, counters: Sequence[Counter]) -> None:
        self._last: dict[Counter, float] = {}
        self._spent: dict[str, float] = {}
        for counter in counters:
            with contextlib.suppress(OSError, ValueError):
                self._last[counter] = counter.read_j()
                self._spent.setdefault(counter.source, 0.0)

    def spent_j(self) -> Mapping[str, float]:
        """By source; empty where there is no counter. A counter must be read before it wraps twice (an hour or so)."""
        for counter, before_j in list(self._last.items()):
            try:
                now_j = counter.read_j()
            except (OSError, ValueError):
                del self._last[counter]
                self._spent.pop(counter.source, None)  # a part of the devices is no figure of them all
                continue
            grown_j = now_j - before_j
            self._last[counter] = now_j
            if counter.source in self._spent:
                self._spent[counter.source] += grown_j if grown_j >= 0 else grown_j + (counter.wraps_j or 0.0)
        return dict(self._spent)


def energy_meter() -> EnergyMeter:
    """Of this machine: its processor packages and its NVIDIA GPUs."""
    return EnergyMeter([*rapl_counters(POWERCAP), *nvml_counters(_nvml())])


def rapl_counters(root: Path) -> list[Counter]:
    """Packages that may be read; their parts (core, dram) are left out, as the package holds the first."""
    return [
        Counter(RAPL, folder.name, _microjoules(folder / "energy_uj"), _range_j(folder))
        for folder in sorted(root.glob("intel-rapl:*"))
        if folder.name.count(":") == 1
    ]


def _microjoules(path: Path) -> Callable[[], float]:
    return lambda: int(path.read_text()) * 1e-6


def _range_j(folder: Path) -> float | None:
    try:
        return int((folder / "max_energy_range_uj").read_text()) * 1e-6
    except (OSError, ValueError):
        return None


def nvml_counters(library: NvmlLibrary | None) -> list[Counter]:
    """Every GPU that NVML lists."""
    count = ctypes.c_uint()
    if library is None or library.nvmlInit_v2() or library.nvmlDeviceGetCount_v2(ctypes.byref(count)):
        return []
    counters = []
    for index in range(count.value):
        handle = ctypes.c_void_p()
        if not library.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(handle)):
            counters.append(Counter(NVML, f"gpu{index}", _millijoules(library, handle)))
    return counters


def _millijoules(library: NvmlLibrary, handle: ctypes.c_void_p) -> Callable[[], float]:
    def read_j() -> float:
        value = ctypes.c_ulonglong()
        if status := library.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(value)):
            raise OSError(f"NVML status {status}")
        return value.value * 1e-3

    return read_j


def _nvml() -> NvmlLibrary | None:
    try:
        return cast("NvmlLibrary", ctypes.CDLL("libnvidia-ml.so.1"))
    except OSError:
        return None
