"""A server's /metrics before and after a sweep, as what the sweep did. Engine names only (`vllm:`, `vllm_neuron:`)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

PREFIXES = ("vllm:", "vllm_neuron:")


@dataclass(frozen=True)
class EngineLimits:
    """What a page says of the engine behind it. None = it does not say."""

    engine: str | None = None
    block_tokens: int | None = None
    kv_blocks: int | None = None


def grown(before: str, after: str) -> dict[str, float]:
    """By `name{labels}`: growth of counters, sums and counts; the value afterwards of gauges. Buckets are left out.

    Empty where the server has no such page. A page that cannot be parsed counts as none: metrics are an extra.
    """
    start = {name: value for name, (_, value) in _values(before).items()}
    return {
        name: value - start.get(name, 0.0) if kind != "gauge" else value
        for name, (kind, value) in _values(after).items()
    }


def engine_limits(page: str) -> EngineLimits:
    """The engine by its metrics' names, and its cache by vLLM's `cache_config_info`."""
    samples = [sample for _, sample in _samples(page)]
    names = {sample.name.partition(":")[0] for sample in samples}
    engine = "vllm-neuron" if "vllm_neuron" in names else "vllm" if "vllm" in names else None
    labels = next((sample.labels for sample in samples if sample.name.startswith("vllm:cache_config_info")), {})
    return EngineLimits(engine, _whole(labels.get("block_size")), _whole(labels.get("num_gpu_blocks")))


def _whole(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdigit() and int(text) > 0 else None


def _samples(page: str) -> Iterator[tuple[Metric, Sample]]:
    """Every engine sample of a page with its family; none where the page cannot be parsed."""
    try:
        families = list(text_string_to_metric_families(page))
    except ValueError:
        return
    for family in families:
        for sample in family.samples:
            if sample.name.startswith(PREFIXES):
                yield family, sample


def _values(page: str) -> dict[str, tuple[str, float]]:
    """Kind and value of each engine sample that is a number of its own."""
    values = {}
    for family, sample in _samples(page):
        if not sample.name.endswith(("_bucket", "_created")) and math.isfinite(sample.value):
            labels = ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))
            values[f"{sample.name}{{{labels}}}"] = (family.type, sample.value)
    return values
