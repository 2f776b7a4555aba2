"""Prometheus text: families of metrics to a page, every series under its HELP and TYPE.

Source of the form: Prometheus documentation, "Exposition formats", text format 0.0.4; prometheus-client writes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class _Families(Collector):
    """Families that are made already."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        """The families as they came."""
        yield from self._families


def exposed(families: Iterable[Metric]) -> bytes:
    """The page of these families; labels are escaped here and nowhere else."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families(families))
    return generate_latest(registry)


def add_histogram(
    family: HistogramMetricFamily, labels: Sequence[str], counts: Iterable[tuple[float, int]], n: int, sum_s: float
) -> None:
    """Add one histogram to its family.

    Args:
        counts: (upper edge, count at or below it), edges rising, +Inf left out.
        n: all values. sum_s: their sum.
    """
    buckets: list[tuple[str, float]] = [(f"{edge:g}", float(count)) for edge, count in counts]
    family.add_metric(labels, [*buckets, ("+Inf", float(n))], sum_s)
