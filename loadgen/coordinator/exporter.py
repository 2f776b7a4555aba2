"""The run as Prometheus text: what the master serves while a run goes on. Names are those of the Grafana dashboards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from slo.histogram import Histogram

EDGES_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 20, 30, 60, 120)
COUNTERS = ("asked", "sent", "completed", "abandoned", "dropped", "censored")
HISTOGRAMS = {"ttft_s": "ttft", "e2e_s": "e2e", "gap_s": "gap", "start_lag_s": "start_lag"}


def exposition(live: Mapping[str, Any], histograms: Mapping[str, Histogram], run: Mapping[str, str]) -> str:
    """A page of metrics.

    Args:
        live: the content of live.json.
        histograms: merged over workers, by metric.
        run: labels of the run: run_id, scenario, simulated.
    """
    return "\n".join([*_info(run), *_counts(live), *_workers(live), *_distributions(histograms), ""])


def _info(run: Mapping[str, str]) -> Iterator[str]:
    yield "# TYPE peakday_run_info gauge"
    yield f"peakday_run_info{_labels(run)} 1"


def _counts(live: Mapping[str, Any]) -> Iterator[str]:
    counters = live["counters"]
    for name in COUNTERS:
        yield f"# TYPE peakday_turns_{name}_total counter"
        yield f"peakday_turns_{name}_total {counters.get(name, 0):g}"
    yield "# TYPE peakday_turns_failed_total counter"
    for code, count in sorted(live["errors"].items()):
        yield f"peakday_turns_failed_total{_labels({'error_code': code})} {count}"
    yield "# TYPE peakday_cost_usd_total counter"
    yield f"peakday_cost_usd_total {counters.get('cost_usd', 0):.9g}"
    yield "# TYPE peakday_turns_in_flight gauge"
    yield f"peakday_turns_in_flight {live['in_flight']}"


def _workers(live: Mapping[str, Any]) -> Iterator[str]:
    for key, name in (("cpu_ratio", "worker_cpu_ratio"), ("heartbeat_late_s", "worker_heartbeat_late_seconds")):
        yield f"# TYPE peakday_{name} gauge"
        for worker, health in sorted(live.get("health", {}).items()):
            yield f"peakday_{name}{_labels({'worker': worker})} {health[key]:.6g}"


def _distributions(histograms: Mapping[str, Histogram]) -> Iterator[str]:
    for metric, name in HISTOGRAMS.items():
        histogram = histograms.get(metric, Histogram())
        yield f"# TYPE peakday_{name}_seconds histogram"
        for edge_s, count in zip(EDGES_S, histogram.cumulative(EDGES_S), strict=True):
            yield f'peakday_{name}_seconds_bucket{{le="{edge_s:g}"}} {count}'
        yield f'peakday_{name}_seconds_bucket{{le="+Inf"}} {histogram.n}'
        yield f"peakday_{name}_seconds_sum {histogram.upper_sum_s:.9g}"
        yield f"peakday_{name}_seconds_count {histogram.n}"


def _labels(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{name}="{_escaped(str(value))}"' for name, value in labels.items()) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
