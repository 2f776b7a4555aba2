"""Two benches side by side: exact gates first, then medians whose intervals lie apart. Unlike benches are refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from host.json_values import mapping
from neuron_bench.errors import BenchUsageError
from neuron_bench.record import Bench, CaseRow

THRESHOLD_RATIO = 0.05
"""Smallest change of a median we call a change, intervals apart or not."""

EXACT = ("artifact_key", "bucket_tokens", "bucket_seqs", "params", "dtypes")
"""Columns that a change of the code under test may not move unnoticed."""


@dataclass(frozen=True)
class Change:
    """One case in both benches. ratio = after / before of the median; verdict: same, faster, slower, unclear."""

    case: str
    before_s: float
    after_s: float
    verdict: str

    @property
    def ratio(self) -> float:
        """After over before."""
        return self.after_s / self.before_s


@dataclass(frozen=True)
class Comparison:
    """`exact`: what changed although nothing may; empty is good. `only_in`: cases without a partner."""

    exact: tuple[str, ...]
    changes: tuple[Change, ...]
    only_in: tuple[str, ...]

    @property
    def slower(self) -> tuple[Change, ...]:
        """Cases that got slower for certain."""
        return tuple(change for change in self.changes if change.verdict == "slower")


def compare(before: Bench, after: Bench, *, threshold_ratio: float = THRESHOLD_RATIO) -> Comparison:
    """Case by case, by record_id; rows flagged `contended` give no verdict.

    Raises:
        BenchUsageError: another host, method, device, chip or model: the difference would be of those.
    """
    _require_alike(before, after)
    old, new = _timed(before), _timed(after)
    both = [name for name in old if name in new]
    return Comparison(
        exact=tuple(_exact(before, after)),
        changes=tuple(_change(name, old[name], new[name], threshold_ratio) for name in both),
        only_in=tuple(sorted(set(old) ^ set(new))),
    )


HOST_KEYS = ("name", "machine", "cpu", "cores", "memory_bytes")
"""What tells two hosts apart, where both records say it."""


def _require_alike(before: Bench, after: Bench) -> None:
    for name in ("device_kind", "method", "chip", "model_id", "provenance"):
        values = [{getattr(row, name) for row in bench.rows} - {None} for bench in (before, after)]
        if values[0] != values[1]:
            raise BenchUsageError(
                f"{before.bench_id} and {after.bench_id} differ in {name}: {values[0]} and {values[1]}"
            )
    hosts = [mapping(bench.info.get("host")) for bench in (before, after)]
    if any(hosts[0][key] != hosts[1][key] for key in HOST_KEYS if key in hosts[0] and key in hosts[1]):
        raise BenchUsageError(f"{before.bench_id} and {after.bench_id} ran on two hosts: a bench compares on one")


def _timed(bench: Bench) -> dict[str, CaseRow]:
    timed = [row for row in bench.rows if row.wall_s_p50 is not None and row.phase not in ("compile", "load")]
    return {row.record_id: row for row in timed}


def _change(name: str, old: CaseRow, new: CaseRow, threshold: float) -> Change:
    before_s, after_s = old.wall_s_p50 or 0.0, new.wall_s_p50 or 0.0
    ratio = after_s / before_s
    if abs(ratio - 1) <= threshold:
        verdict = "same"
    elif "contended" in old.flag_names | new.flag_names or not _apart(old, new):
        verdict = "unclear"
    else:
        verdict = "slower" if ratio > 1 else "faster"
    return Change(name, before_s, after_s, verdict)


def _apart(old: CaseRow, new: CaseRow) -> bool:
    """Whether the intervals of two medians do not meet; unknown ones do."""
    edges = (old.wall_s_p50_lo, old.wall_s_p50_hi, new.wall_s_p50_lo, new.wall_s_p50_hi)
    if any(edge is None for edge in edges):
        return False
    old_lo, old_hi, new_lo, new_hi = (float(edge or 0.0) for edge in edges)
    return new_lo > old_hi or new_hi < old_lo


def exact_figures(bench: Bench) -> dict[str, dict[str, object]]:
    """Per case what must be equal, with what follows from shapes: padded-token share, KV bytes, operations."""
    figures = {}
    for name, row in _timed(bench).items():
        known = {column: getattr(row, column) for column in EXACT if getattr(row, column) is not None}
        figures[name] = known | dict(_derived(row))
    return figures


def _derived(row: CaseRow) -> Iterator[tuple[str, object]]:
    if row.bucket_tokens and row.input_tokens is not None and row.phase != "decode":
        yield "padded_token_ratio", 1 - row.input_tokens / row.bucket_tokens
    work = json.loads(row.work) if row.work else {}
    yield from work.items()


def _exact(before: Bench, after: Bench) -> Iterator[str]:
    old, new = exact_figures(before), exact_figures(after)
    graphs = [len({figures.get("artifact_key") for figures in build.values()}) for build in (old, new)]
    if graphs[0] != graphs[1]:
        yield f"graph count {graphs[0]} -> {graphs[1]}"
    for name in sorted(set(old) & set(new)):
        for column in sorted(set(old[name]) | set(new[name])):
            left, right = old[name].get(column), new[name].get(column)
            if left != right:
                yield f"{name}: {column} {left} -> {right}"
