"""Published vLLM load tests on Neuron (neuron_load_curves.csv): one user, a constant rate, saturation; means only.

Rows are checked against themselves and each other. A row that contradicts is kept, flagged and not used for a fit.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace

from neuron_bench import checks
from neuron_bench.device.chips import chip_name
from neuron_bench.importers.tables import whole
from neuron_bench.record import CaseRow

COUNT_TOLERANCE_RATIO = 0.05
"""The source rounds its means and ends each test with requests in flight: its columns agree to a few percent."""

_MODES = {"synchronous": "one_user", "asynchronous": "constant_rate", "throughput": "saturation"}


def load_curve_rows(table: Iterable[Mapping[str, str]]) -> list[CaseRow]:
    """Each load test as a row; means only, so its quantiles are null.

    Rates are of the whole deployment. A lone user cannot wait longer for a first token than users of a loaded
    deployment: such a TTFT has warm-up in it.
    """
    rows = [_row(row, line) for line, row in enumerate(table, start=2)]
    for place, (alone, loaded) in enumerate(itertools.pairwise(rows)):
        same = (alone.source_url, alone.model_id) == (loaded.source_url, loaded.model_id)
        modes = (_mode(alone), _mode(loaded)) == ("one_user", "constant_rate")
        if same and modes and checks.above(alone.ttft_s_mean, loaded.ttft_s_mean, COUNT_TOLERANCE_RATIO):
            rows[place] = replace(alone, flags=";".join(filter(None, (alone.flags, "ttft_above_loaded"))))
    return rows


def _mode(row: CaseRow) -> str:
    return (row.label or "").partition("; ")[0]


def _row(row: Mapping[str, str], line: int) -> CaseRow:
    instance, note = row["instance"].split(" ")[0], row["config_note"]
    chip, tp, replicas = chip_name(instance), whole(row["tp_degree"]), whole(row["data_parallel_replicas"])
    max_num_seqs = whole(row["max_batch_size_per_replica"])
    rate_per_s, latency_s = float(row["requests_per_s"]), float(row["request_latency_mean_s"])
    ttft_s, itl_s = float(row["ttft_mean_ms"]) / 1e3, float(row["inter_token_latency_mean_ms"]) / 1e3
    tokens_per_s = float(row["output_tokens_per_s"])
    # Answers may stop early: their tokens are what came out over the requests that finished.
    tokens, tokens_by_gaps = tokens_per_s / rate_per_s, (latency_s - ttft_s) / itl_s + 1
    # Little's law over the whole latency, and over first token to last.
    in_flight, decoding = rate_per_s * latency_s, rate_per_s * (latency_s - ttft_s)
    slots = (replicas or 0) * (max_num_seqs or 0)
    return CaseRow(
        record_id=f"line-{line}",
        source_url=f"{row['source_repo']} {row['source_file']}",
        created_utc=row["run_date"],
        label="; ".join(part for part in (_MODES[row["load_mode"].split("@")[0]], note) if part),
        device_kind="neuron",
        method="endpoint",
        chip=chip,
        instance_type=instance or None,
        chips_used=whole(row["chips_used"]),
        cores_used=tp * replicas if tp and replicas else None,
        versions=json.dumps({"engine": "vllm (optimum-neuron)"}),
        model_id=row["model"],
        weights_random=False,
        tp=tp,
        replicas=replicas,
        phase="serve",
        batch=max_num_seqs,
        input_tokens=float(row["prompt_tokens_mean"]),
        output_tokens=tokens,
        bucket_tokens=whole(row["sequence_length"]),
        concurrency=in_flight,
        wall_s_mean=latency_s,
        ttft_s_mean=ttft_s,
        tpot_s_mean=itl_s,
        requests_per_s=rate_per_s,
        output_tokens_per_s=tokens_per_s,
        flags=checks.raised(
            {
                "configuration_unknown": tp is None or chip is None,
                "latency_below_ttft": latency_s <= ttft_s,
                "tokens_disagree_with_latency": abs(tokens_by_gaps - tokens) / tokens > COUNT_TOLERANCE_RATIO,
                "decoding_above_slots": slots > 0 and decoding > slots,
                "in_flight_above_limit": checks.above(in_flight, float(row["max_concurrency"]), COUNT_TOLERANCE_RATIO),
                "host_sampling": "CPU sampling" in note,
            }
        ),
    )
