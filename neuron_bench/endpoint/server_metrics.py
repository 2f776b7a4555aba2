"""A server's /metrics before and after a sweep, as what the sweep did. Engine names only (`vllm:`, `vllm_neuron:`)."""

from __future__ import annotations

PREFIXES = ("vllm:", "vllm_neuron:")


def joined(before: str, after: str) -> dict[str, float]:
    """By `name{labels}`: growth of counters, sums and counts; the value afterwards of gauges. Buckets are left out.

    Empty where the server has no such page. A page that cannot be parsed counts as none: metrics are an extra.
    """
    start, end = _read(before), _read(after)
    return {
        name: value - start.get(name, (kind, 0.0))[1] if kind != "gauge" else value
        for name, (kind, value) in end.items()
    }


def _read(page: str) -> dict[str, tuple[str, float]]:
    """Kind and value of each engine sample."""
    from prometheus_client.parser import text_string_to_metric_families

    found: dict[str, tuple[str, float]] = {}
    try:
        for family in text_string_to_metric_families(page):
            for sample in family.samples:
                if sample.name.startswith(PREFIXES) and not sample.name.endswith(("_bucket", "_created")):
                    labels = ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))
                    found[f"{sample.name}{{{labels}}}"] = (family.type, sample.value)
    except ValueError:
        return {}
    return {name: pair for name, pair in found.items() if pair[1] == pair[1] and abs(pair[1]) != float("inf")}
