"""Published vLLM load tests on Neuron (neuron_load_curves.csv): one user, a constant rate, saturation; means only.

Rows are checked against themselves and each other. A row that contradicts is kept, flagged and not used for a fit.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from facts import reader
from neuron_bench.device.chips import chip_name
from neuron_bench.record import CaseRow

FILE = "neuron_load_curves.csv"

COUNT_TOLERANCE_RATIO = 0.05
"""The source rounds its means and ends each test with requests in flight: its columns agree to a few percent."""

_MODES = {"synchronous": "one_user", "asynchronous": "constant_rate", "throughput": "saturation"}


@dataclass(frozen=True)
class LoadPoint:
    """One load test of one deployment. Rates are of the whole deployment; latencies are means, in seconds."""

    line: int
    model: str
    instance: str
    chip: str | None
    chips: int | None
    tp: int | None
    replicas: int | None
    max_num_seqs: int | None
    sequence_tokens: int | None
    input_tokens: float
    output_tokens_wanted: float
    concurrency_max: float
    mode: str
    requests_per_s: float
    latency_s: float
    ttft_s: float
    itl_s: float
    output_tokens_per_s: float
    date: str
    note: str
    source_file: str
    source_repo: str
    flags: tuple[str, ...] = ()

    @property
    def output_tokens(self) -> float:
        """Mean tokens of an answer: what came out over the requests that finished (answers may stop early)."""
        return self.output_tokens_per_s / self.requests_per_s

    @property
    def rate_per_replica_per_s(self) -> float:
        """Requests one replica finished in a second."""
        return self.requests_per_s / (self.replicas or 1)

    @property
    def decoding(self) -> float:
        """Mean requests decoding in one replica. Source: Little's law over first token to last."""
        return self.rate_per_replica_per_s * (self.latency_s - self.ttft_s)

    @property
    def in_flight(self) -> float:
        """Mean requests in the whole deployment. Source: Little's law over the whole latency."""
        return self.requests_per_s * self.latency_s

    @property
    def deployment(self) -> tuple[str, str]:
        """Rows with the same value are one deployment; a file may test it several times."""
        return self.source_file, self.model


def points(rows: Iterable[Mapping[str, str]] | None = None) -> list[LoadPoint]:
    """Every row of the table, checked; by default the one in facts."""
    table = reader.rows(FILE) if rows is None else list(rows)
    parsed = [_parse(row, line) for line, row in enumerate(table, start=2)]
    return _check_runs([replace(point, flags=_row_flags(point)) for point in parsed])


def _parse(row: Mapping[str, str], line: int) -> LoadPoint:
    def whole(name: str) -> int | None:
        value = reader.number(row[name])
        return None if value is None else int(value)

    return LoadPoint(
        line=line,
        model=row["model"],
        instance=row["instance"].split(" ")[0],
        chip=chip_name(row["instance"].split(" ")[0]),
        chips=whole("chips_used"),
        tp=whole("tp_degree"),
        replicas=whole("data_parallel_replicas"),
        max_num_seqs=whole("max_batch_size_per_replica"),
        sequence_tokens=whole("sequence_length"),
        input_tokens=float(row["prompt_tokens_mean"]),
        output_tokens_wanted=float(row["output_tokens_mean"]),
        concurrency_max=float(row["max_concurrency"]),
        mode=_MODES[row["load_mode"].split("@")[0]],
        requests_per_s=float(row["requests_per_s"]),
        latency_s=float(row["request_latency_mean_s"]),
        ttft_s=float(row["ttft_mean_ms"]) / 1e3,
        itl_s=float(row["inter_token_latency_mean_ms"]) / 1e3,
        output_tokens_per_s=float(row["output_tokens_per_s"]),
        date=row["run_date"],
        note=row["config_note"],
        source_file=row["source_file"],
        source_repo=row["source_repo"],
    )


def _row_flags(point: LoadPoint) -> tuple[str, ...]:
    """What one row says against itself."""
    gaps = (point.latency_s - point.ttft_s) / point.itl_s
    off = abs(gaps + 1 - point.output_tokens) / point.output_tokens
    slots = (point.replicas or 0) * (point.max_num_seqs or 0)
    checks = {
        "configuration_unknown": point.tp is None or point.chip is None,
        "latency_below_ttft": point.latency_s <= point.ttft_s,
        "tokens_disagree_with_latency": off > COUNT_TOLERANCE_RATIO,
        "decoding_above_slots": slots > 0 and point.decoding * (point.replicas or 1) > slots,
        "in_flight_above_limit": point.in_flight > point.concurrency_max * (1 + COUNT_TOLERANCE_RATIO),
        "host_sampling": "CPU sampling" in point.note,
    }
    return tuple(name for name, bad in checks.items() if bad)


def _check_runs(table: list[LoadPoint]) -> list[LoadPoint]:
    """What the rows of one test say against each other.

    A lone user cannot wait longer for a first token than users of a loaded deployment: such a TTFT has warm-up in it.
    """
    checked = list(table)
    for alone, loaded in itertools.pairwise(table):
        same = alone.deployment == loaded.deployment and alone.mode == "one_user" and loaded.mode == "constant_rate"
        if same and alone.ttft_s > loaded.ttft_s * (1 + COUNT_TOLERANCE_RATIO):
            at = table.index(alone)
            checked[at] = replace(checked[at], flags=(*checked[at].flags, "ttft_above_loaded"))
    return checked


def load_curve_rows(table: Iterable[Mapping[str, str]]) -> list[CaseRow]:
    """Each load test as a row; means only, so its quantiles are null."""
    return [_row(point) for point in points(table)]


def _row(point: LoadPoint) -> CaseRow:
    return CaseRow(
        record_id=f"line-{point.line}",
        source_url=f"{point.source_repo} {point.source_file}",
        created_utc=point.date,
        label="; ".join(part for part in (point.mode, point.note) if part),
        device_kind="neuron",
        method="endpoint",
        chip=point.chip,
        instance_type=point.instance or None,
        chips_used=point.chips,
        cores_used=point.tp * point.replicas if point.tp and point.replicas else None,
        versions=json.dumps({"engine": "vllm (optimum-neuron)"}),
        model_id=point.model,
        weights_random=False,
        tp=point.tp,
        replicas=point.replicas,
        phase="serve",
        batch=point.max_num_seqs,
        input_tokens=point.input_tokens,
        output_tokens=point.output_tokens,
        bucket_tokens=point.sequence_tokens,
        concurrency=point.in_flight,
        wall_s_mean=point.latency_s,
        ttft_s_mean=point.ttft_s,
        tpot_s_mean=point.itl_s,
        requests_per_s=point.requests_per_s,
        output_tokens_per_s=point.output_tokens_per_s,
        flags=";".join(point.flags),
    )
