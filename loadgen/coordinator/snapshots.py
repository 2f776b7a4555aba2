"""Cumulative snapshots of the workers' counters and histograms: losing one, or getting one twice, changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from loadgen.live import Snapshot
from slo.histogram import Histogram


class Snapshots:
    """The newest snapshot of each worker, and their sum.

    A snapshot is cumulative: `{"worker": int, "seq": int, "counters": {name: number}, "histograms": {metric: …}}`.
    """

    def __init__(self) -> None:
        self.latest: dict[int, Snapshot] = {}

    def accept(self, snapshot: Snapshot) -> bool:
        """Keep it when it is newer than what its worker sent before; say whether it was."""
        previous = self.latest.get(snapshot["worker"])
        if previous is not None and previous["seq"] >= snapshot["seq"]:
            return False
        self.latest[snapshot["worker"]] = snapshot
        return True

    def counters(self) -> dict[str, float]:
        """Sums over workers."""
        return add_counters(snapshot["counters"] for snapshot in self.latest.values())

    def histograms(self) -> dict[str, Histogram]:
        """Sums over workers, by metric."""
        merged: dict[str, Histogram] = {}
        for snapshot in self.latest.values():
            for metric, raw in snapshot["histograms"].items():
                merged.setdefault(metric, Histogram()).merge(Histogram.from_json(raw))
        return merged


def add_counters(counters: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Sum mappings key by key."""
    total: dict[str, float] = {}
    for worker_counters in counters:
        for name, value in worker_counters.items():
            total[name] = total.get(name, 0) + value
    return total
