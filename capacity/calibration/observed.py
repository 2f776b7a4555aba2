"""Timings of one model's calls in one run, as calibration and backtests need them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from capacity.demand.calls import refuse_weak_evidence, run_provenance
from capacity.plan import PlanError
from capacity.simulator.requests import Floats, Ints, Requests, requests
from loadgen.record import Run

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class EngineTimes:
    """Means by the engine's own histograms over a load step: its queue, and from there to a first token."""

    queue_s: float
    prefill_s: float


@dataclass(frozen=True)
class Observed:
    """Calls in the order of their sending; all arrays [n]. decode_s: first token to last.

    `timed` is false where the first content came later than the first token, as in a round that asks for tools: such a
    call loads the engine like any other, and its timings say nothing about steps. None: every call is timed. engine:
    where its page was scraped. hits_reported: the server says of each call how much of its prompt it
    had cached, if only 0. hit_ratio: share of all prompt tokens that it had, by its own counters.
    """

    name: str
    arrival_s: Floats
    input_tokens: Ints
    output_tokens: Ints
    cached_tokens: Ints
    ttft_s: Floats
    decode_s: Floats
    provenance: str
    timed: Bools | None = None
    engine: EngineTimes | None = None
    hits_reported: bool = False
    hit_ratio: float | None = None

    @property
    def included(self) -> Bools:
        """Calls whose timings count."""
        return np.ones(len(self.arrival_s), dtype=bool) if self.timed is None else self.timed

    @property
    def decoded(self) -> Bools:
        """Included calls with two tokens or more."""
        return np.asarray(self.included & (self.output_tokens > 1))

    @property
    def rate_per_s(self) -> float:
        """Mean arrival rate."""
        return (len(self.arrival_s) - 1) / float(self.arrival_s[-1] - self.arrival_s[0])

    @property
    def tpot_s(self) -> Floats:
        """Mean gap of each included answer with two tokens or more."""
        return np.asarray(self.decode_s[self.decoded] / (self.output_tokens[self.decoded] - 1))

    def requests(self) -> Requests:
        """The same calls for a simulator."""
        return requests(self.arrival_s, self.input_tokens, self.output_tokens, self.cached_tokens)

    def split(self, share: float) -> tuple[Observed, Observed]:
        """The first share of the calls, and the rest."""
        cut = int(len(self.arrival_s) * share)
        return self._part(slice(None, cut), "first"), self._part(slice(cut, None), "rest")

    def _part(self, rows: slice, label: str) -> Observed:
        return Observed(
            f"{self.name} ({label})", self.arrival_s[rows], self.input_tokens[rows], self.output_tokens[rows],
            self.cached_tokens[rows], self.ttft_s[rows], self.decode_s[rows], self.provenance,
            None if self.timed is None else self.timed[rows], None, self.hits_reported, self.hit_ratio,
        )  # fmt: skip

    def decoding_max(self) -> float:
        """Most requests that decoded at once, by their measured times."""
        first_s = self.arrival_s + self.ttft_s
        moments = np.concatenate([first_s, first_s + self.decode_s])
        change = np.concatenate([np.ones(len(first_s)), -np.ones(len(first_s))])
        return float(np.cumsum(change[np.lexsort((change, moments))]).max())


def observed_calls(run: Run, model: str) -> Observed:
    """One model's answered calls in a run.

    Raises:
        PlanError: the run is cut off or invalid, or has no such call with tokens and timings.
    """
    refuse_weak_evidence(run)
    key = ["session_id", "interaction_id", "turn_index"]
    calls = run.calls[(run.calls["model"] == model) & (run.calls["status"] == "ok")]
    table = calls.merge(run.turns[[*key, "intended_start_s", "start_lag_s"]], on=key)
    wanted = ["input_tokens", "output_tokens", "ttft_s", "e2e_s", "intended_start_s"]
    table = table.dropna(subset=wanted)
    if table.empty:
        models = ", ".join(sorted(run.calls["model"].dropna().unique())) or "none"
        raise PlanError(f"{run.path}: no answered call of {model!r} with tokens and timings; models in it: {models}")
    table["arrival_s"] = table["intended_start_s"] + table["start_lag_s"].fillna(0.0) + table["start_s"].fillna(0.0)
    table = table.sort_values("arrival_s")

    def floats(name: str) -> Floats:
        return np.asarray(table[name].to_numpy(dtype=np.float64, na_value=0.0))

    read = floats("cache_read_tokens")
    prompt = floats("input_tokens") + read + floats("cache_write_tokens_5m") + floats("cache_write_tokens_1h")
    return Observed(
        name=run.run_id,
        arrival_s=floats("arrival_s"),
        input_tokens=np.maximum(prompt, 1).astype(np.int64),
        output_tokens=np.maximum(floats("output_tokens"), 1).astype(np.int64),
        cached_tokens=np.minimum(read, np.maximum(prompt, 1) - 1).astype(np.int64),
        ttft_s=floats("ttft_s"),
        decode_s=np.maximum(floats("e2e_s") - floats("ttft_s"), 0.0),
        provenance=run_provenance(run, model, str(table["supply"].iloc[0])),
        timed=np.asarray(table["purpose"] != "tool_round", dtype=bool),
        hits_reported=bool(table["cache_read_tokens"].notna().all()),
    )
