"""One record of neuron-monitor as flat numbers. Missing groups, nulls and failed groups are ordinary.

Source: the Neuron Monitor user guide, SDK 2.32: utilisation is percent in the JSON (a ratio here), latencies are
seconds, execution counters are per period. Never run on a chip by us.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from neuron_bench.device.neuron_ls import TelemetryError

CONFIG = {
    "period": "1s",
    "neuron_runtimes": [
        {
            "tag_filter": ".*",
            "metrics": [{"type": kind} for kind in ("neuroncore_counters", "memory_used", "execution_stats")],
        }
    ],
    "system_metrics": [{"type": kind} for kind in ("vcpu_usage", "memory_info", "neuron_hw_counters")],
}
"""What we ask neuron-monitor for (`-c`)."""


@dataclass(frozen=True)
class MonitorRecord:
    """Sums over runtimes, cores by index. None = the record does not say. `problems`: failed groups, absurd values."""

    core_busy_ratio: Mapping[int, float]
    device_mem_bytes: int | None
    host_mem_bytes: int | None
    completed: int | None
    failed: int | None
    device_latency_s_p50: float | None
    device_latency_s_p99: float | None
    host_busy_ratio: float | None
    ecc_uncorrected: int | None
    instance_type: str | None
    problems: tuple[str, ...]

    def figures(self) -> Iterator[tuple[str, float]]:
        """(name, value) of everything it says, for a long table."""
        for core, ratio in self.core_busy_ratio.items():
            yield f"core_busy_ratio.{core}", ratio
        for name in (
            "device_mem_bytes", "host_mem_bytes", "completed", "failed", "device_latency_s_p50",
            "device_latency_s_p99", "host_busy_ratio", "ecc_uncorrected",
        ):  # fmt: skip
            value = getattr(self, name)
            if value is not None:
                yield name, float(value)


def parse_record(line: str) -> MonitorRecord:
    """One line of neuron-monitor's output.

    Raises:
        TelemetryError: not a JSON object.
    """
    try:
        raw = json.loads(line)
    except json.JSONDecodeError as error:
        raise TelemetryError(f"neuron-monitor: not JSON ({error})") from None
    if not isinstance(raw, dict):
        raise TelemetryError(f"neuron-monitor: expected an object, got {type(raw).__name__}")
    reports = [_group(runtime, "report") for runtime in _items(raw, "neuron_runtime_data")]
    busy = _core_busy(reports)
    return MonitorRecord(
        core_busy_ratio=busy,
        device_mem_bytes=_whole(_total(reports, "memory_used", "neuron_runtime_used_bytes", "neuron_device")),
        host_mem_bytes=_whole(_total(reports, "memory_used", "neuron_runtime_used_bytes", "host")),
        completed=_whole(_total(reports, "execution_stats", "execution_summary", "completed")),
        failed=_whole(_failed(reports)),
        device_latency_s_p50=_latency(reports, "p50"),
        device_latency_s_p99=_latency(reports, "p99"),
        host_busy_ratio=_host_busy(raw),
        ecc_uncorrected=_ecc(raw),
        instance_type=_text(_group(raw, "instance_info").get("instance_type")),
        problems=(*_errors(raw), *(f"core {core} busy {ratio:.0%}" for core, ratio in busy.items() if ratio > 1)),
    )


def _group(parent: object, *path: str) -> dict[str, object]:
    """A nested object; empty where any step is missing, null or of another kind."""
    for name in path:
        parent = parent.get(name) if isinstance(parent, dict) else None
    return parent if isinstance(parent, dict) else {}


def _items(parent: object, *path: str) -> list[dict[str, object]]:
    items = _group(parent, *path[:-1]).get(path[-1])
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _total(reports: list[dict[str, object]], *path: str) -> float | None:
    """Sum over runtimes of a figure; None where none has it."""
    values = [_number(_group(report, *path[:-1]).get(path[-1])) for report in reports]
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _failed(reports: list[dict[str, object]]) -> float | None:
    kinds = ("completed_with_err", "completed_with_num_err", "timed_out", "incorrect_input", "failed_to_queue")
    values = [_total(reports, "execution_stats", "execution_summary", kind) for kind in kinds]
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _latency(reports: list[dict[str, object]], quantile: str) -> float | None:
    """Worst over runtimes: quantiles do not add."""
    path = ("execution_stats", "latency_stats", "device_latency")
    values = [_number(_group(report, *path).get(quantile)) for report in reports]
    return max((value for value in values if value is not None), default=None)


def _core_busy(reports: list[dict[str, object]]) -> dict[int, float]:
    busy: dict[int, float] = {}
    for report in reports:
        for core, counters in _group(report, "neuroncore_counters", "neuroncores_in_use").items():
            percent = _number(counters.get("neuroncore_utilization")) if isinstance(counters, dict) else None
            if core.isdigit() and percent is not None:
                busy[int(core)] = busy.get(int(core), 0.0) + percent / 100
    return busy


def _host_busy(raw: Mapping[str, object]) -> float | None:
    idle = _number(_group(raw, "system_data", "vcpu_usage", "average_usage").get("idle"))
    return None if idle is None else 1 - idle / 100


def _ecc(raw: Mapping[str, object]) -> int | None:
    devices = _items(raw, "system_data", "neuron_hw_counters", "neuron_devices")
    names = ("mem_ecc_uncorrected", "sram_ecc_uncorrected")
    known = [count for device in devices for name in names if (count := _number(device.get(name))) is not None]
    return int(sum(known)) if known else None


def _errors(raw: Mapping[str, object]) -> Iterator[str]:
    """The text of every non-empty `error` in the record, with the group that holds it."""
    for runtime in _items(raw, "neuron_runtime_data"):
        if message := _text(runtime.get("error")):
            yield f"runtime: {message}"
        for name, group in _group(runtime, "report").items():
            if message := _text(_group(group).get("error")):
                yield f"{name}: {message}"
    for name, group in {**_group(raw, "system_data"), "hardware": raw.get("neuron_hardware_info")}.items():
        if message := _text(_group(group).get("error")):
            yield f"{name}: {message}"
