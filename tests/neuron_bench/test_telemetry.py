"""Telemetry: every shared example parses, and no damage to a record breaks a bench."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from neuron_bench.device.neuron_ls import TelemetryError, parse_neuron_ls
from neuron_bench.device.neuron_monitor import CONFIG, parse_record
from neuron_bench.device.telemetry import Sampler, monitor_figures, nvidia_figures, power_figures, proc_figures
from neuron_bench.endpoint.server_metrics import grown

RECORD: dict[str, Any] = {
    "neuron_runtime_data": [
        {
            "pid": 1, "error": "",
            "report": {
                "neuroncore_counters": {
                    "neuroncores_in_use": {"0": {"neuroncore_utilization": 40.0}, "1": {"neuroncore_utilization": 60}},
                    "error": "",
                },
                "execution_stats": {
                    "execution_summary": {"completed": 100, "timed_out": 2},
                    "latency_stats": {"total_latency": None, "device_latency": {"p50": 0.01, "p99": 0.013}},
                    "error": "",
                },
                "memory_used": {"neuron_runtime_used_bytes": {"host": 7, "neuron_device": 20}, "error": ""},
            },
        }
    ],
    "system_data": {
        "vcpu_usage": {"average_usage": {"idle": 60.0}, "error": ""},
        "neuron_hw_counters": {"neuron_devices": [{"mem_ecc_uncorrected": 0, "sram_ecc_uncorrected": 1}]},
    },
    "instance_info": {"instance_type": "trn2.48xlarge", "error": ""},
    "neuron_hardware_info": {"error": ""},
}  # fmt: skip


def test_a_record_becomes_flat_numbers() -> None:
    """Percent to ratio, failures summed, unknown None."""
    record = parse_record(json.dumps(RECORD))
    assert dict(record.core_busy_ratio) == {0: 0.4, 1: 0.6}
    assert (record.device_mem_bytes, record.host_mem_bytes) == (20, 7)
    assert (record.completed, record.failed) == (100, 2)
    assert record.device_latency_s_p99 == 0.013
    assert record.host_busy_ratio == pytest.approx(0.4)
    assert record.ecc_uncorrected == 1
    assert record.problems == ()


def test_a_core_above_all_its_time_is_a_problem() -> None:
    """Kept as it was said, and named."""
    odd = copy.deepcopy(RECORD)
    odd["neuron_runtime_data"][0]["report"]["neuroncore_counters"]["neuroncores_in_use"]["1"] = {
        "neuroncore_utilization": 120.0
    }
    record = parse_record(json.dumps(odd))
    assert record.core_busy_ratio[1] == 1.2
    assert record.problems == ("core 1 busy 120%",)


def paths(node: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    keys = node.keys() if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
    return [(*here, key) for key in keys] + [path for key in keys for path in paths(node[key], (*here, key))]


JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(-9, 999), st.floats(), st.text(max_size=3), st.just([]), st.just({})
)


def reaches(node: Any, key: Any) -> bool:
    return (
        key in node if isinstance(node, dict) else isinstance(node, list) and isinstance(key, int) and key < len(node)
    )


@given(damage=st.dictionaries(st.sampled_from(paths(RECORD)), JUNK, max_size=5), drop=st.booleans())
def test_no_damage_to_a_record_is_an_error(damage: dict[tuple[Any, ...], Any], drop: bool) -> None:
    """Groups missing, null or of another kind: what is left is read, and figures are finite numbers."""
    record = copy.deepcopy(RECORD)
    for path, junk in damage.items():
        node: Any = record
        for key in path[:-1]:
            node = node[key] if reaches(node, key) else None
        if reaches(node, path[-1]):
            node[path[-1]] = junk
            if drop and isinstance(node, dict):
                del node[path[-1]]
    assert all(value == value for _, value in parse_record(json.dumps(record)).figures())


@given(line=st.text(max_size=20))
def test_a_junk_line_gives_no_figures_and_no_error(line: str) -> None:
    """A killed tool leaves half a line."""
    assert monitor_figures(line) == []
    assert monitor_figures(json.dumps(RECORD)) != []


@pytest.mark.parametrize("text", ["", "{}", "[1]", '[{"nc_count": 2}]', "[null]"])
def test_neuron_ls_that_is_no_list_of_devices_is_refused(text: str) -> None:
    """In one line."""
    with pytest.raises(TelemetryError, match="neuron-ls: "):
        parse_neuron_ls(text)


def test_every_neuron_ls_example_parses(examples: Path) -> None:
    """The three variants seen: LNC named or not, a null neighbour list, an instance type."""
    found = {path.name: parse_neuron_ls(path.read_text()) for path in sorted(examples.glob("neuron_ls.*.example.json"))}
    assert len(found) == 3
    two = found["neuron_ls.trn2_two_devices.example.json"]
    assert [(device.cores, device.logical_config) for device in two] == [(4, 2), (4, 2)]
    (one,) = found["neuron_ls.single_device.example.json"]
    assert (one.logical_config, one.connected_to) == (None, ())
    assert found["neuron_ls.newer_with_instance.example.json"][0].instance_type == "trn2.48xlarge"


def test_every_neuron_monitor_example_parses(examples: Path) -> None:
    """Busy, idle, without a driver, and six records of a stream: one failed group, one lost runtime, no traceback."""
    busy, idle, lost = (
        parse_record((examples / f"neuron_monitor.{name}.example.json").read_text())
        for name in ("busy", "idle", "no_driver")
    )
    assert busy.core_busy_ratio[0] == 0.4
    assert (idle.core_busy_ratio, idle.completed) == ({}, None)
    assert any("driver not installed" in problem for problem in lost.problems)
    stream = (examples / "neuron_monitor.stream.example.ndjson").read_text()
    records = [parse_record(line) for line in stream.splitlines()]
    assert len(records) == 6
    assert [record.device_latency_s_p50 is None for record in records] == [True, False, True, False, False, True]
    assert sum(bool(record.problems) for record in records) == 2


def test_prometheus_examples_parse(examples: Path) -> None:
    """Metric names of the companion script and of vLLM on Neuron, by the reference parser."""
    for path in examples.glob("*.example.prom"):
        families = {family.name for family in text_string_to_metric_families(path.read_text())}
        assert any(name.startswith(("neuroncore_", "vllm_neuron:")) for name in families)


def test_server_metrics_are_what_the_sweep_did() -> None:
    """Counters grow from before to after, gauges are as they stand, other names and buckets are left out."""
    before = "# TYPE vllm:prompt_tokens counter\nvllm:prompt_tokens_total 10\n"
    after = (
        "# TYPE vllm:prompt_tokens counter\nvllm:prompt_tokens_total 35\n# TYPE vllm:num_requests_running gauge\n"
        'vllm:num_requests_running{engine="0"} 2\n# TYPE python_gc counter\npython_gc_total 9\n'
    )
    assert grown(before, after) == {"vllm:prompt_tokens_total{}": 25, "vllm:num_requests_running{engine=0}": 2}
    assert grown("", "") == {}
    assert grown("", "}{") == {}


def test_our_monitor_configuration_asks_for_known_groups(examples: Path) -> None:
    """Metric types are among those of the documented configuration."""
    example = json.loads((examples / "neuron_monitor.config.example.json").read_text())

    def types(config: Any) -> set[str]:
        runtime = {metric["type"] for entry in config["neuron_runtimes"] for metric in entry["metrics"]}
        return runtime | {metric["type"] for metric in config["system_metrics"]}

    assert types(CONFIG) <= types(example)


def test_power_is_a_share_of_the_maximum(tmp_path: Path) -> None:
    """A valid line counts; no data and rubbish do not; both places of the tree are read."""
    lines = {
        "neuron0/stats/power": "POWER_STATUS_VALID,1700000000,10.00,50.00,25.50",
        "neuron1/stats/power": "POWER_STATUS_NO_DATA,0,0,0,0",
        "neuron2/power": "POWER_STATUS_VALID,1700000000,10.00,50.00,40.00",
        "neuron3/power": "rubbish",
    }
    for place, line in lines.items():
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "utilization").write_text(line + "\n")
    figures = power_figures(tmp_path)()
    assert [(name, value) for _, name, value in figures] == [("power_ratio.0", 0.255), ("power_ratio.2", 0.4)]


def test_the_busy_share_is_of_the_time_between_two_looks(tmp_path: Path) -> None:
    """100 ticks more, 25 of them idle or waiting: 75% busy. The first look knows nothing."""
    stat = tmp_path / "stat"
    poll = proc_figures(stat)
    stat.write_text("cpu 100 0 100 700 100 0 0 0 0 0\n")
    assert not [name for _, name, _ in poll() if name == "busy_ratio"]
    stat.write_text("cpu 150 0 125 715 110 0 0 0 0 0\n")
    assert [value for _, name, value in poll() if name == "busy_ratio"] == [0.75]


def test_a_gpu_line_keeps_what_is_there() -> None:
    """`[N/A]` is unknown, not zero."""
    figures = nvidia_figures("37, 1024, [N/A], 1410, 45\n")
    assert [(name, value) for _, name, value in figures] == [
        ("utilization.gpu", 37.0), ("memory.used", 1024.0), ("clocks.sm", 1410.0), ("temperature.gpu", 45.0),
    ]  # fmt: skip
    assert monitor_figures("{") == []


def test_a_missing_tool_leaves_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing else: a bench goes on without telemetry."""
    monkeypatch.setenv("PATH", "")
    with Sampler("cuda") as machine:
        pass
    assert machine.missing == ["no telemetry tool for cuda on the path"]
