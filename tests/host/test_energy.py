"""Joules are read from counters that only grow; where there is none there is no figure."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pytest

from host.energy import Counter, EnergyMeter, nvml_counters, rapl_counters
from loadgen.analysis.totals import with_energy
from loadgen.run_info import Totals


def package(root: Path, name: str, microjoules: int, most: int = 10_000_000) -> Path:
    folder = root / name
    folder.mkdir()
    (folder / "energy_uj").write_text(f"{microjoules}\n")
    (folder / "max_energy_range_uj").write_text(f"{most}\n")
    return folder / "energy_uj"


def test_packages_are_added_and_a_counter_that_wrapped_goes_on(tmp_path):
    """3 J of one package; the other went from 9 J over its end at 10 J to 1 J, which is 2 J. Parts count once."""
    first, second = package(tmp_path, "intel-rapl:0", 1_000_000), package(tmp_path, "intel-rapl:1", 9_000_000)
    package(tmp_path, "intel-rapl:0:0", 500_000)
    meter = EnergyMeter(rapl_counters(tmp_path))
    first.write_text("4000000\n")
    second.write_text("1000000\n")
    assert meter.spent_j() == {"RAPL": pytest.approx(5.0)}


def test_without_a_counter_nothing_is_said(tmp_path):
    assert EnergyMeter([*rapl_counters(tmp_path), *nvml_counters(None)]).spent_j() == {}


def test_a_counter_that_may_not_be_read_is_no_counter(tmp_path):
    package(tmp_path, "intel-rapl:0", 1).unlink()
    assert EnergyMeter(rapl_counters(tmp_path)).spent_j() == {}


def test_a_part_of_the_devices_is_no_figure_of_them_all():
    """When one of two GPUs stops answering, their sum is unknown, not that of the other."""
    broken = iter([1.0])

    def read_j() -> float:
        for value in broken:
            return value
        raise OSError("gone")

    meter = EnergyMeter([Counter("NVML", "gpu0", read_j), Counter("NVML", "gpu1", lambda: 5.0)])
    assert meter.spent_j() == {}


class FakeNvml:
    """The documented calls, of two GPUs that used 2.5 J each since the first reading."""

    def __init__(self) -> None:
        self.millijoules = 1000

    def nvmlInit_v2(self) -> int:
        return 0

    def nvmlDeviceGetCount_v2(self, count) -> int:
        count._obj.value = 2
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, index: int, handle) -> int:
        handle._obj.value = index + 1
        return 0

    def nvmlDeviceGetTotalEnergyConsumption(self, handle, millijoules) -> int:
        assert isinstance(handle, ctypes.c_void_p)
        millijoules._obj.value = self.millijoules
        return 0


def test_gpus_are_read_in_millijoules_and_added():
    library = FakeNvml()
    meter = EnergyMeter(nvml_counters(library))
    library.millijoules += 2500
    assert meter.spent_j() == {"NVML": pytest.approx(5.0)}


def test_joules_a_token_and_tokens_a_second_and_watt_are_each_others_inverse():
    """60 J for 30 tokens are 2 J each, and half a token a second for every watt."""
    counted = with_energy(Totals(output_tokens=30), {"RAPL": 40.0, "NVML": 20.0})
    assert (counted.joules_per_output_token, counted.output_tokens_per_s_per_watt) == (2.0, 0.5)


def test_a_machine_without_a_counter_has_null_and_no_zero():
    counted = with_energy(Totals(output_tokens=30), {})
    assert (counted.energy_j, counted.joules_per_output_token, counted.output_tokens_per_s_per_watt) == (None,) * 3
