"""Two benches side by side: exact gates first, then medians whose intervals lie apart. Unlike benches are refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from neuron_bench.errors import BenchUsageError
from neuron_bench.record import Bench

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


def _require_alike(before: Bench, after: Bench) -> None:
    for name in ("device_kind", "method", "chip", "model_id", "provenance"):
        sides = [set(bench.cases[name].dropna()) for bench in (before, after)]
        if sides[0] != sides[1]:
            raise BenchUsageError(f"{before.bench_id} and {after.bench_id} differ in {name}: {sides[0]} and {sides[1]}")
    hosts = [bench.info.get("host", {}).get("name") for bench in (before, after)]
    if hosts[0] != hosts[1]:
        raise BenchUsageError(f"{before.bench_id} and {after.bench_id} ran on two hosts: a bench compares on one")


def _timed(bench: Bench) -> dict[str, dict[str, Any]]:
    rows = bench.cases[bench.cases.wall_s_p50.notna() & ~bench.cases.phase.isin(["compile", "load"])]
    return {str(row["record_id"]): {str(k): v for k, v in row.items()} for row in rows.to_dict("records")}


def _change(name: str, old: dict[str, Any], new: dict[str, Any], threshold: float) -> Change:
    ratio = new["wall_s_p50"] / old["wall_s_p50"]
    apart = new["wall_s_p50_lo"] > old["wall_s_p50_hi"] or new["wall_s_p50_hi"] < old["wall_s_p50_lo"]
    if abs(ratio - 1) <= threshold:
        verdict = "same"
    elif "contended" in f"{old['flags']};{new['flags']}" or not apart:
        verdict = "unclear"
    else:
        verdict = "slower" if ratio > 1 else "faster"
    return Change(name, float(old["wall_s_p50"]), float(new["wall_s_p50"]), verdict)


def exact_figures(bench: Bench) -> dict[str, dict[str, Any]]:
    """Per case what must be equal, with what follows from shapes: padded-token share, KV bytes, operations."""
    figures = {}
    for name, row in _timed(bench).items():
        known = {column: row[column] for column in EXACT if row[column] == row[column] and row[column] is not None}
        figures[name] = known | dict(_derived(row))
    return figures


def _derived(row: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    bucket, tokens = row["bucket_tokens"], row["input_tokens"]
    if bucket == bucket and bucket and row["phase"] != "decode":
        yield "padded_token_ratio", 1 - tokens / bucket
    work = json.loads(row["work"]) if isinstance(row.get("work"), str) else {}
    yield from work.items()


def _exact(before: Bench, after: Bench) -> Iterator[str]:
    old, new = exact_figures(before), exact_figures(after)
    graphs = [len({figures.get("artifact_key") for figures in side.values()}) for side in (old, new)]
    if graphs[0] != graphs[1]:
        yield f"graph count {graphs[0]} -> {graphs[1]}"
    for name in sorted(set(old) & set(new)):
        for column in sorted(set(old[name]) | set(new[name])):
            left, right = old[name].get(column), new[name].get(column)
            if left != right:
                yield f"{name}: {column} {left} -> {right}"
